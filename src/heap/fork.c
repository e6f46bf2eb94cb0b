/* SPDX-License-Identifier: MIT */
/*
 * fork(2) in a threaded process.
 *
 * Prepare takes every lock in rank order (the heaps' by number), so that whatever locks guard is
 * whole in the child. Our handlers are registered before all others, by a constructor that the
 * loader runs first (api/init.c), so that prepare comes last: other libraries' handlers may take
 * their own locks, whose holders may be waiting for ours. Should a library have been faster after
 * all, its handlers may call malloc while we hold everything: the forking thread passes every lock
 * (os/lock.h).
 *
 * A process of one thread has nothing to fear, and touches nothing: each page it wrote to would be
 * copied for the child.
 *
 * In the child the other threads' heaps become ORPHANs: their bins were in use without a lock and
 * may be torn, so nobody touches them again; what they hold is lost to the child. Parked heaps are
 * whole and go on as before.
 *
 * Tests: tests/unit/test_fork_child.c, tests/stress/fork.c.
 */
#include "heap/heap.h"
#include "mem/arena.h"
#include "mem/meta.h"
#include "os/process.h"

/* This fork needs no care. Written by a thread that is alone, or that holds all locks. */
static bool is_alone;

static void fork_prepare(void)
{
    if (os_is_single_threaded()) {
        is_alone = true;
        return;
    }
    heap_threads_fork_prepare();
    for (uint32_t i = 1; i <= heap_number_max(); i++)
        lock_take_sibling(&heap_by_number(i)->guest_lock);
    for (uint32_t i = 1; i <= heap_number_max(); i++)
        lock_take_sibling(&heap_by_number(i)->lock);
    arena_fork_prepare();
    meta_fork_prepare();
    lock_fork_begin();
    is_alone = false;
}

static void fork_parent(void)
{
    if (is_alone)
        return;
    lock_fork_end();
    meta_fork_parent();
    arena_fork_parent();
    for (uint32_t i = 1; i <= heap_number_max(); i++) {
        lock_release(&heap_by_number(i)->lock);
        lock_release(&heap_by_number(i)->guest_lock);
    }
    heap_threads_fork_parent();
}

static bool is_torn(const struct heap *heap)
{
    return atomic_get_relaxed(&heap->state) == HEAP_LIVE && &heap->front != front_mine;
}

static void fork_child(void)
{
    if (is_alone)
        return;
    meta_fork_child();
    arena_fork_child();
    for (uint32_t i = 1; i <= heap_number_max(); i++) {
        struct heap *heap = heap_by_number(i);
        if (is_torn(heap))
            atomic_put_relaxed(&heap->state, HEAP_ORPHAN);
        lock_reset(&heap->guest_lock);
        lock_reset(&heap->lock);
    }
    heap_threads_fork_child();
    lock_fork_end();
}

void heap_fork_init(void)
{
    (void)os_at_fork(fork_prepare, fork_parent, fork_child);
}
