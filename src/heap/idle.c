/* SPDX-License-Identifier: MIT */
/*
 * Heaps whose threads are alive and do nothing, for seconds or for hours: what they have set aside
 * and what others have freed for them goes home, and their slabs can be had by others. Their bins
 * stay as they are: these are their owners' alone.
 *
 * Time is an epoch that the first slow path after SWEEP_MS counts up. An owner notes the epoch
 * whenever it is in a slow path; who has not for two of them is idle. That is a guess: an owner that
 * comes back meanwhile finds its heap locked for a moment, or a slab gone, as it may be at any time.
 *
 * Tests: tests/unit/test_heap_idle.c, tests/race/race_adoption.c.
 */
#include "heap/heap.h"
#include "os/clock.h"

enum {
    SWEEP_MS = 200,
    SWEEP_HEAPS = 64, /* looked at in one sweep; the next goes on from there */
    IDLE_EPOCHS = 2,
};

_Atomic uint32_t idle_epoch;

static _Atomic uint32_t swept_ms;   /* when the epoch began */
static _Atomic uint32_t hand;       /* counts the heaps looked at, */
static _Atomic uint32_t group_hand; /* here for groups */
static _Atomic uint32_t n_idle;     /* in the last sweep */
static _Atomic uint32_t n_swept;    /* counts the heaps that were sent home */

static bool is_quiet(const struct heap *heap)
{
    return atomic_get_relaxed(&idle_epoch) - atomic_get_relaxed(&heap->active) >= IDLE_EPOCHS;
}

bool heap_is_idle(const struct heap *heap)
{
    return atomic_get_relaxed(&heap->state) == HEAP_LIVE && is_quiet(heap);
}

/* It is swept like an idle one, but nobody may have its slabs. */
static bool is_quiet_group(const struct heap *heap)
{
    return heap_is_group(heap) && is_quiet(heap);
}

bool heap_any_idle(void)
{
    return atomic_get_relaxed(&n_idle) > 0;
}

static bool has_mail(const struct heap *heap)
{
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        if (!inbox_is_empty(&heap->inboxes[class]))
            return true;
    }
    return false;
}

void heap_sweep_locked(struct heap *heap)
{
    uint32_t active = atomic_get_relaxed(&heap->active);
    if (heap->swept == active + 1 && !has_mail(heap))
        return;
    heap->swept = active + 1;
    (void)atomic_add_relaxed(&n_swept, 1);
    heap_flush_shared_locked(heap);
}

/* False: it is in use. */
static bool sweep_heap(struct heap *heap, bool (*is_to_be_swept)(const struct heap *))
{
    if (heap == NULL || !is_to_be_swept(heap))
        return false;
    if (!lock_try(&heap->lock))
        return true;
    if (is_to_be_swept(heap))
        heap_sweep_locked(heap);
    lock_release(&heap->lock);
    return true;
}

static void sweep_threads(void)
{
    uint32_t n = heap_for_threads_count();
    uint32_t n_found = 0;
    for (uint32_t i = 0; i < SWEEP_HEAPS && i < n; i++) {
        struct heap *heap = heap_for_threads_at(atomic_add_relaxed(&hand, 1) % n);
        n_found += sweep_heap(heap, heap_is_idle);
    }
    atomic_put_relaxed(&n_idle, n_found);
}

static void sweep_groups(void)
{
    uint32_t n = heap_number_max();
    if (LIKELY(n == heap_for_threads_count()))
        return;
    for (uint32_t i = 0; i < SWEEP_HEAPS && i < n; i++)
        (void)sweep_heap(heap_by_number(1 + atomic_add_relaxed(&group_hand, 1) % n),
                         is_quiet_group);
}

bool heap_sweep_due(void)
{
    uint32_t now = (uint32_t)os_clock_ms();
    uint32_t last = atomic_get_relaxed(&swept_ms);
    if (LIKELY(now - last < SWEEP_MS) || !atomic_try_acq_rel(&swept_ms, &last, now))
        return false;
    uint32_t before = atomic_get_relaxed(&n_swept);
    (void)atomic_add_relaxed(&idle_epoch, 1);
    sweep_threads();
    sweep_groups();
    return atomic_get_relaxed(&n_swept) != before;
}
