/* SPDX-License-Identifier: MIT */
/*
 * Atomic access with the memory order in the name, so that a reader never has to guess it, and the
 * single-writer counter.
 *
 * A single-writer counter is written by one thread (its owner) and may be read by any. The owner
 * needs no atomic read-modify-write, only an access that a reader can never see half done. On
 * x86-64 one memory-operand instruction gives exactly that; elsewhere, and under the thread
 * sanitizer (which cannot see into assembly), it is a relaxed load and a relaxed store.
 */
#ifndef POOLALLOC_BASE_ATOMIC_H
#define POOLALLOC_BASE_ATOMIC_H

#include "base/compiler.h"

#include <stdatomic.h>
#include <stdbool.h>

#define atomic_get_relaxed(p)    atomic_load_explicit((p), memory_order_relaxed)
#define atomic_get_acquire(p)    atomic_load_explicit((p), memory_order_acquire)
#define atomic_put_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define atomic_put_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define atomic_add_relaxed(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define atomic_add_release(p, v) atomic_fetch_add_explicit((p), (v), memory_order_release)
#define atomic_or_relaxed(p, v)  atomic_fetch_or_explicit((p), (v), memory_order_relaxed)
#define atomic_sub_relaxed(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_relaxed)

/* In the one order that all threads agree on: of two that each put one word and then get the
 * other's, one sees what the other has put. */
#define atomic_get_in_order(p)    atomic_load_explicit((p), memory_order_seq_cst)
#define atomic_put_in_order(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)

#define atomic_swap_acquire(p, v) atomic_exchange_explicit((p), (v), memory_order_acquire)
#define atomic_swap_release(p, v) atomic_exchange_explicit((p), (v), memory_order_release)

/* On failure *expected holds what was found; a failed try orders nothing. */
#define atomic_try_release(p, expected, v)                                                         \
    atomic_compare_exchange_weak_explicit((p), (expected), (v), memory_order_release,              \
                                          memory_order_relaxed)
#define atomic_try_acquire(p, expected, v)                                                         \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acquire,            \
                                            memory_order_relaxed)

#define atomic_try_acq_rel(p, expected, v)                                                         \
    atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acq_rel,            \
                                            memory_order_acquire)

#if defined(__SANITIZE_THREAD__)
#define BASE_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BASE_THREAD_SANITIZER 1
#endif
#endif

#if defined(__x86_64__) && !defined(BASE_THREAD_SANITIZER)

/* *counter += 1, by the owner. */
ALWAYS_INLINE void counter_increment(_Atomic uint64_t *counter)
{
    __asm__("addq $1, %0" : "+m"(*counter) : : "cc");
}

/* *counter -= 1, by the owner. */
ALWAYS_INLINE void counter_decrement(_Atomic uint64_t *counter)
{
    __asm__("subq $1, %0" : "+m"(*counter) : : "cc");
}

/* *counter -= 1, by the owner; true when it went below zero. */
ALWAYS_INLINE bool counter_decrement_below_zero(_Atomic int32_t *counter)
{
    bool below;
    __asm__("subl $1, %0" : "+m"(*counter), "=@ccs"(below) : : "cc");
    return below;
}

#else

ALWAYS_INLINE void counter_increment(_Atomic uint64_t *counter)
{
    atomic_put_relaxed(counter, atomic_get_relaxed(counter) + 1);
}

ALWAYS_INLINE void counter_decrement(_Atomic uint64_t *counter)
{
    atomic_put_relaxed(counter, atomic_get_relaxed(counter) - 1);
}

ALWAYS_INLINE bool counter_decrement_below_zero(_Atomic int32_t *counter)
{
    int32_t left = atomic_get_relaxed(counter) - 1;
    atomic_put_relaxed(counter, left);
    return left < 0;
}

#endif

/* *counter += n, by the owner (or under the lock that guards it). */
ALWAYS_INLINE void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_put_relaxed(counter, atomic_get_relaxed(counter) + n);
}

#if defined(__x86_64__)
#define CPU_RELAX() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define CPU_RELAX() __asm__ volatile("yield")
#else
#define CPU_RELAX() ((void)0)
#endif

#endif
