/* SPDX-License-Identifier: MIT */
/*
 * A small lock on a futex, with ranks.
 *
 * Order: a thread takes locks in rising rank only (tries may take any). Debug builds check it.
 *
 * States of the word: 0 free, 1 held, 2 held and somebody may sleep. Take: 0 -> 1 acquire; or,
 * after a short spin, swap in 2 until 0 came out. Release: swap in 0 release; if 2 came out, wake
 * one.
 *
 * Fork: the forking thread holds every lock from its prepare handler to its parent or child
 * handler, and handlers of other libraries may call malloc in between. lock_fork_begin() makes that
 * thread pass every lock unhindered: no other thread can be inside one. See heap/fork.c.
 */
#ifndef POOLALLOC_OS_LOCK_H
#define POOLALLOC_OS_LOCK_H

#include "base/atomic.h"
#include "base/check.h"

enum lock_rank {
    LOCK_REGISTRY = 1,
    LOCK_OBJECT,
    LOCK_THREADS,
    LOCK_GUEST,
    LOCK_HEAP,
    LOCK_ARENA,
    LOCK_SAMPLE,
    LOCK_GUARDED,
    LOCK_META
};

struct lock {
    _Atomic uint32_t word;
    uint32_t rank;
};

#define LOCK_INIT(r)                                                                               \
    {                                                                                              \
        .word = 0, .rank = (r)                                                                     \
    }

/* The thread that is forking and holds every lock, or NULL. */
extern _Atomic(const void *) lock_fork_thread;

void lock_take_slow(struct lock *lock);
void lock_wake(struct lock *lock);
bool lock_is_fork_thread(void);
void lock_debug_take(const struct lock *lock);
void lock_debug_release(const struct lock *lock);

/* This thread holds all locks until lock_fork_end(). */
void lock_fork_begin(void);
void lock_fork_end(void);

/* Whether anybody holds it: for a child of fork, where nobody can come or go. */
bool lock_is_held(const struct lock *lock);

/* By who holds it: somebody may sleep until it is released. */
bool lock_is_wanted(const struct lock *lock);

/* In the child: nobody holds it any more. A thread that another library's handler has started may
 * wait for it already. */
void lock_reset(struct lock *lock);

ALWAYS_INLINE bool lock_try(struct lock *lock)
{
    uint32_t expected = 0;
    if (LIKELY(atomic_get_relaxed(&lock->word) == 0))
        return atomic_try_acquire(&lock->word, &expected, 1);
    return UNLIKELY(atomic_get_relaxed(&lock_fork_thread) != NULL) && lock_is_fork_thread();
}

ALWAYS_INLINE void lock_take(struct lock *lock)
{
    uint32_t expected = 0;
    if (DEBUG_CHECKS)
        lock_debug_take(lock);
    if (UNLIKELY(!atomic_try_acquire(&lock->word, &expected, 1)))
        lock_take_slow(lock);
}

/* Another lock of the rank last taken. For fork alone, which takes all of a rank in one fixed
 * order. */
ALWAYS_INLINE void lock_take_sibling(struct lock *lock)
{
    if (!lock_try(lock))
        lock_take_slow(lock);
}

/* Two ways to take any number of locks, in rising rank still, for those who only look: by waiting,
 * as above; or by waiting for a fifth of a second at most, as it must be where this very thread may
 * hold the lock, in signal handlers that is, or the holder may never come back. */
typedef bool lock_taker(struct lock *lock);
bool lock_take_surely(struct lock *lock);
bool lock_take_soon(struct lock *lock);

ALWAYS_INLINE void lock_release(struct lock *lock)
{
    if (UNLIKELY(atomic_get_relaxed(&lock_fork_thread) != NULL) && lock_is_fork_thread())
        return;
    if (DEBUG_CHECKS)
        lock_debug_release(lock);
    if (UNLIKELY(atomic_swap_release(&lock->word, 0) == 2))
        lock_wake(lock);
}

#endif
