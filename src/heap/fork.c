/* SPDX-License-Identifier: MIT */
/*
 * fork(2) in a threaded process.
 *
 * Prepare takes every lock in rank order (the heaps' by number), so that whatever locks guard is
 * whole in the child. Our handlers are registered before all others, by a constructor that the
 * loader runs first (api/init.c), so that prepare comes last: other libraries' handlers may take
 * their own locks, whose holders may be waiting for ours. Should a library have been faster after
 * all, its handlers may call malloc while we hold everything: the forking thread passes every lock
 * (os/lock.h). libc takes the lock of its list of streams after all handlers, and threads that have
 * it call malloc: we take it before ours.
 *
 * A process of one thread has nothing to fear, and touches nothing: each page it wrote to would be
 * copied for the child. A signal handler that interrupted its thread inside (heap.h) cannot take
 * the locks: its child gets things as they are, and takes from the emergency area as the handler
 * does.
 *
 * In the child the other threads' heaps become ORPHANs: their bins were in use without a lock and
 * may be torn, so nobody touches them again; what they hold is lost to the child. Parked heaps are
 * whole and go on as before.
 *
 * A bare fork system call runs no handlers. Its child is told by a page that the kernel clears in
 * children: the fork mark is FORK_UNNOTICED there. The first slow path sees to it before it goes
 * on, and others wait: whatever a lock guards that was held at that moment is given up.
 *
 * Tests: tests/unit/test_fork_child.c, tests/stress/fork.c, tests/loader/processes.c.
 */
#include "heap/sample.h"
#include "mem/arena.h"
#include "mem/meta.h"
#include "os/pages.h"
#include "os/process.h"
#include "os/sys.h"

static _Atomic uint32_t mark_of_start = FORK_UNWATCHED;
_Atomic(_Atomic uint32_t *) fork_mark = &mark_of_start;

static void no_hook(void)
{
}

static const struct heap_fork_hooks no_hooks = {no_hook, no_hook, no_hook, no_hook};
static const struct heap_fork_hooks *hooks_above = &no_hooks; /* [const] after start */

void heap_fork_also(const struct heap_fork_hooks *hooks)
{
    hooks_above = hooks;
}

static void fork_prepare(void)
{
    if (os_is_single_threaded() || heap_is_inside())
        return;
    os_next_sigaction_find();
    os_streams_lock();
    (void)heap_enter();
    hooks_above->prepare();
    heap_threads_fork_prepare();
    for (uint32_t i = 1; i <= heap_number_max(); i++)
        lock_take_sibling(&heap_by_number(i)->guest_lock);
    for (uint32_t i = 1; i <= heap_number_max(); i++)
        lock_take_sibling(&heap_by_number(i)->lock);
    arena_lock();
    sample_fork_prepare();
    meta_fork_prepare();
    lock_fork_begin();
    heap_leave();
}

static void fork_parent(void)
{
    if (!lock_is_fork_thread())
        return;
    (void)heap_enter();
    lock_fork_end();
    meta_fork_parent();
    sample_fork_parent();
    arena_unlock();
    for (uint32_t i = 1; i <= heap_number_max(); i++) {
        lock_release(&heap_by_number(i)->lock);
        lock_release(&heap_by_number(i)->guest_lock);
    }
    heap_threads_fork_parent();
    hooks_above->parent();
    heap_leave();
    os_streams_unlock();
}

static bool is_torn(const struct heap *heap)
{
    return atomic_get_relaxed(&heap->state) == HEAP_LIVE && &heap->front != front_own &&
           heap != handler_heap();
}

static void tell_forked(void)
{
    const struct heap_pressure_hooks *pressure = atomic_get_acquire(&heap_pressure);
    if (pressure != NULL)
        pressure->forked();
    heap_background_forked();
}

static void fork_child(void)
{
    tell_forked();
    if (!lock_is_fork_thread())
        return;
    _Atomic uint32_t *mark = atomic_get_acquire(&fork_mark);
    if (mark != &mark_of_start)
        atomic_put_release(mark, FORK_NONE);
    (void)heap_enter();
    meta_fork_child();
    sample_fork_child();
    arena_fork_child();
    for (uint32_t i = 1; i <= heap_number_max(); i++) {
        struct heap *heap = heap_by_number(i);
        if (is_torn(heap))
            atomic_put_relaxed(&heap->state, HEAP_ORPHAN);
        lock_reset(&heap->guest_lock);
        lock_reset(&heap->lock);
    }
    heap_threads_fork_child();
    hooks_above->child();
    lock_fork_end();
    heap_leave();
    os_streams_lock_reset();
}

static void see_to_heap(struct heap *heap)
{
    bool is_held = lock_is_held(&heap->lock) || lock_is_held(&heap->guest_lock);
    if (is_torn(heap) || is_held)
        atomic_put_relaxed(&heap->state, HEAP_ORPHAN);
    if (is_held && &heap->front == front_own)
        front_own = (struct front *)&front_empty;
    if (is_held && heap == handler_heap())
        handler_lose();
    lock_reset(&heap->guest_lock);
    lock_reset(&heap->lock);
}

/* Once there are other threads. Where the kernel does not know of such pages, no watch is kept. */
static void fork_watch(void)
{
    size_t bytes = os_page_bytes();
    _Atomic uint32_t *start = &mark_of_start;
    _Atomic uint32_t *mark = os_pages_map(NULL, bytes);
    if (mark == NULL)
        return;
    atomic_put_relaxed(mark, FORK_NONE);
    if (sys_wipe_on_fork(mark, bytes) < 0) {
        atomic_put_relaxed(&mark_of_start, FORK_NONE);
        os_pages_unmap(mark, bytes);
    } else if (!atomic_try_acq_rel(&fork_mark, &start, mark)) {
        os_pages_unmap(mark, bytes); /* another thread was first */
    }
}

static void fork_unnoticed(_Atomic uint32_t *mark)
{
    uint32_t seen = FORK_UNNOTICED;
    if (!atomic_try_acq_rel(mark, &seen, FORK_BEING_SEEN_TO)) {
        while (atomic_get_acquire(mark) != FORK_NONE)
            CPU_RELAX();
        return;
    }
    meta_fork_unnoticed();
    sample_fork_unnoticed();
    arena_fork_unnoticed();
    for (uint32_t i = 1; i <= heap_number_max(); i++)
        see_to_heap(heap_by_number(i));
    heap_threads_fork_unnoticed();
    hooks_above->unnoticed();
    tell_forked();
    atomic_put_release(mark, FORK_NONE);
}

COLD void heap_fork_look(void)
{
    _Atomic uint32_t *mark = atomic_get_acquire(&fork_mark);
    if (mark != &mark_of_start) {
        if (!lock_is_fork_thread()) /* else other handlers came before ours */
            fork_unnoticed(mark);
    } else if (!os_is_single_threaded()) {
        fork_watch();
    }
}

void heap_fork_init(void)
{
    (void)os_at_fork(fork_prepare, fork_parent, fork_child);
}
