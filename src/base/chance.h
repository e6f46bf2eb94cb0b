/* SPDX-License-Identifier: MIT */
/*
 * Chances, and the two functions of real numbers that they need: libc's are in a library of their
 * own.
 */
#ifndef POOLALLOC_BASE_CHANCE_H
#define POOLALLOC_BASE_CHANCE_H

#include "base/bits.h"

/* -ln((x + 1) / 2^64) of random bits: how far it is to the next of events that come by chance, one
 * in a distance of 1. Off by less than 10^-8. */
static inline double chance_distance(uint64_t bits)
{
    unsigned exponent = log2_floor(bits | 1);
    double mantissa = (double)(bits | 1) / (double)(UINT64_C(1) << exponent); /* 1 to 2 */
    double t = (mantissa - 1) / (mantissa + 1);
    double power = t;
    double ln = 0;
    for (int i = 1; i <= 15; i += 2, power *= t * t)
        ln += 2 * power / i;
    return (64 - (int)exponent) * 0.69314718055994531 - ln;
}

/* 1 - exp(-x): the chance of at least one such event in a distance of x >= 0. */
static inline double chance_within(double x)
{
    enum { HALVINGS = 16 };
    if (x > 40)
        return 1;
    double h = x / (1 << HALVINGS);
    double within = h - h * h / 2 + h * h * h / 6;
    for (int i = 0; i < HALVINGS; i++)
        within += within - within * within;
    return within;
}

/* True with this chance. */
ALWAYS_INLINE bool chance_happens(double chance, uint64_t bits)
{
    return (double)(bits >> 11) < chance * (double)(UINT64_C(1) << 53);
}

#endif
