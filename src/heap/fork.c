/* SPDX-License-Identifier: MIT */
/*
 * fork(2) in a threaded process.
 *
 * Prepare takes every lock in rank order (the heaps' by number), so that whatever locks guard is
 * whole in the child. It was registered first, so it runs last, after the handlers of all other
 * libraries; those that run later still, in the parent or child phase, may call malloc while we
 * hold everything: the forking thread passes every lock (os/lock.h).
 *
 * In the child the other threads' heaps become ORPHANs: their bins were in use without a lock and
 * may be torn, so nobody touches them again; what they hold is lost to the child. Parked heaps and
 * the late heap are whole and go on as before.
 *
 * Tests: tests/stress (fork under load).
 */
#include "heap/heap.h"
#include "mem/arena.h"
#include "mem/meta.h"
#include "os/process.h"

static void fork_prepare(void)
{
    heap_threads_fork_prepare();
    for (uint32_t i = 1; i <= heap_number_max(); i++) {
        struct heap *heap = heap_by_number(i);
        if (heap != NULL)
            lock_take_sibling(&heap->lock);
    }
    arena_fork_prepare();
    meta_fork_prepare();
    lock_fork_begin();
}

static void fork_parent(void)
{
    lock_fork_end();
    meta_fork_parent();
    arena_fork_parent();
    for (uint32_t i = 1; i <= heap_number_max(); i++) {
        struct heap *heap = heap_by_number(i);
        if (heap != NULL)
            lock_release(&heap->lock);
    }
    heap_threads_fork_parent();
}

static bool is_torn(const struct heap *heap)
{
    return atomic_get_relaxed(&heap->state) == HEAP_LIVE && heap->number != LATE_NUMBER &&
           &heap->front != front_mine;
}

static void fork_child(void)
{
    meta_fork_child();
    arena_fork_child();
    for (uint32_t i = 1; i <= heap_number_max(); i++) {
        struct heap *heap = heap_by_number(i);
        if (heap == NULL)
            continue;
        if (is_torn(heap))
            atomic_put_relaxed(&heap->state, HEAP_ORPHAN);
        lock_reset(&heap->lock);
    }
    heap_threads_fork_child();
    lock_fork_end();
}

void heap_fork_init(void)
{
    (void)os_at_fork(fork_prepare, fork_parent, fork_child);
}
