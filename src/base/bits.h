/* SPDX-License-Identifier: MIT */
/*
 * Arithmetic on sizes, powers of two and 64-bit bitmap words.
 */
#ifndef POOLALLOC_BASE_BITS_H
#define POOLALLOC_BASE_BITS_H

#include "base/compiler.h"

#include <stdbool.h>

ALWAYS_INLINE bool is_power_of_two(size_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

/* `to` is a power of two. The caller has made sure that n + to does not overflow. */
ALWAYS_INLINE size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) & ~(to - 1);
}

ALWAYS_INLINE size_t round_down(size_t n, size_t to)
{
    return n & ~(to - 1);
}

ALWAYS_INLINE size_t div_round_up(size_t n, size_t by)
{
    return (n + by - 1) / by;
}

/* Index of the highest set bit; n is not 0. */
ALWAYS_INLINE unsigned log2_floor(size_t n)
{
    return 63u - (unsigned)__builtin_clzll(n);
}

ALWAYS_INLINE unsigned lowest_bit(uint64_t word)
{
    return (unsigned)__builtin_ctzll(word);
}

/* In sums of two bits, of four, of eight, and all of these. Not the builtin: without an instruction
 * for it, which not every processor has, that calls the compiler's library. */
ALWAYS_INLINE unsigned count_bits(uint64_t word)
{
    word -= word >> 1 & UINT64_C(0x5555555555555555);
    word = (word & UINT64_C(0x3333333333333333)) + (word >> 2 & UINT64_C(0x3333333333333333));
    word = (word + (word >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (unsigned)(word * UINT64_C(0x0101010101010101) >> 56);
}

ALWAYS_INLINE size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

ALWAYS_INLINE size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* A bijection on 64 bits that leaves no pattern (the finisher of splitmix64, S. Vigna). */
ALWAYS_INLINE uint64_t mix_bits(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* The bits [first, first + n) of one word, n in 1..64. */
ALWAYS_INLINE uint64_t bits_range(unsigned first, unsigned n)
{
    return (~UINT64_C(0) >> (64 - n)) << first;
}

#endif
