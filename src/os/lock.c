/* SPDX-License-Identifier: MIT */
#include "os/lock.h"

#include "os/calls.h"
#include "os/sys.h"

enum { LOCK_SPINS = 100, SOON_WAITS = 20, SOON_WAIT_MS = 10 };

_Atomic(const void *) lock_fork_thread;

/* Its address names the thread; tids would lie in a child of a raw fork system call. Its bits are
 * the ranks this thread holds, in debug builds. */
static THREAD_LOCAL uint16_t held_ranks;

bool lock_is_fork_thread(void)
{
    return atomic_get_relaxed(&lock_fork_thread) == &held_ranks;
}

void lock_fork_begin(void)
{
    atomic_put_relaxed(&lock_fork_thread, &held_ranks);
}

void lock_fork_end(void)
{
    atomic_put_relaxed(&lock_fork_thread, NULL);
    held_ranks = 0;
}

bool lock_is_held(const struct lock *lock)
{
    return atomic_get_relaxed(&lock->word) != 0;
}

bool lock_is_wanted(const struct lock *lock)
{
    return atomic_get_relaxed(&lock->word) == 2;
}

void lock_reset(struct lock *lock)
{
    if (atomic_swap_release(&lock->word, 0) == 2)
        lock_wake(lock);
}

static bool spin(struct lock *lock)
{
    for (int i = 0; i < LOCK_SPINS; i++) {
        CPU_RELAX();
        uint32_t expected = 0;
        if (atomic_get_relaxed(&lock->word) == 0 && atomic_try_acquire(&lock->word, &expected, 1))
            return true;
    }
    return false;
}

void lock_take_slow(struct lock *lock)
{
    if (lock_is_fork_thread() || spin(lock))
        return;
    while (atomic_swap_acquire(&lock->word, 2) != 0)
        (void)OS_CALL_COUNTED(OS_CALL_WAIT, sys_futex_wait(&lock->word, 2));
}

bool lock_take_surely(struct lock *lock)
{
    lock_take_sibling(lock);
    return true;
}

bool lock_take_soon(struct lock *lock)
{
    if (lock_try(lock) || lock_is_fork_thread() || spin(lock))
        return true;
    for (int i = 0; i < SOON_WAITS; i++) {
        if (atomic_swap_acquire(&lock->word, 2) == 0)
            return true;
        (void)sys_futex_wait_ms(&lock->word, 2, SOON_WAIT_MS);
    }
    return false;
}

void lock_wake(struct lock *lock)
{
    (void)sys_futex_wake(&lock->word, 1);
}

void lock_debug_take(const struct lock *lock)
{
    if (lock_is_fork_thread())
        return;
    ASSERT(held_ranks >> lock->rank == 0);
    held_ranks = (uint16_t)(held_ranks | 1u << lock->rank);
}

void lock_debug_release(const struct lock *lock)
{
    held_ranks = (uint16_t)(held_ranks & ~(1u << lock->rank));
}
