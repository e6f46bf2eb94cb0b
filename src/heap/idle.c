/* SPDX-License-Identifier: MIT */
/*
 * Heaps whose threads are alive and do nothing, for seconds or for hours: what they have set aside
 * and what others have freed for them goes home, their slabs can be had by others, and pages of
 * these in which nothing is in use go to the kernel. Their bins stay as they are: these are their
 * owners' alone. Parked heaps that no guest has been to are swept bins and all. Of a heap that is
 * in use only what others have left for it, when that is much, and free pages of slabs that have
 * not been drawn from for purge_ms: like free spans of that age.
 *
 * Time is an epoch that the first sweep after HEAP_SWEEP_MS counts up; slow paths sweep. An owner
 * notes the epoch whenever it is in a slow path; who has not for two of them is idle. That is a
 * guess: an owner that comes back meanwhile finds its heap locked for a moment, or a slab gone, as
 * it may be at any time.
 *
 * Tests: tests/unit/test_heap_idle.c, tests/race/race_adoption.c.
 */
#include "conf/options.h"
#include "heap/heap.h"
#include "os/clock.h"

enum {
    SWEEP_HEAPS = 64,    /* looked at in one sweep; the next goes on from there */
    SWEEP_LOOKS = 512,   /* at slabs of these, for pages that can go to the kernel, */
    SWEEP_SLABS = 32,    /* and slabs of which some go, */
    SWEEP_BLOCKS = 8192, /* and blocks of mail: it is in somebody's malloc */
    SWEEP_ON_MS = 4,     /* until the next, if the slabs were not enough */
    IDLE_EPOCHS = 2,
    MUCH_MAIL_BYTES = UNIT_BYTES,
    MUCH_MAIL_MEDIUM = 4, /* and so many blocks, if they are medium */
};

_Atomic uint32_t idle_epoch;

static _Atomic uint32_t epoch_ms;   /* when it began */
static _Atomic uint32_t swept_ms;   /* when the last sweep was, */
static _Atomic uint32_t wait_ms;    /* and how long it is to the next */
static _Atomic uint32_t hand;       /* counts the heaps looked at, */
static _Atomic uint32_t group_hand; /* here for groups */
static _Atomic uint32_t n_idle;     /* in the last sweep */

static bool is_quiet(const struct heap *heap)
{
    return atomic_get_relaxed(&idle_epoch) - atomic_get_relaxed(&heap->active) >= IDLE_EPOCHS;
}

bool heap_is_idle(const struct heap *heap)
{
    return atomic_get_relaxed(&heap->state) == HEAP_LIVE && is_quiet(heap);
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

/* What is at rest in a heap that is not in use: all but the bins. Nobody looks twice through all
 * the classes of thousands of threads that do nothing. */
static bool sweep_quiet_locked(struct heap *heap, struct sweep_budget *budget)
{
    uint32_t active = atomic_get_relaxed(&heap->active);
    if (heap->swept == active + 1 && !has_mail(heap))
        return false;
    heap_flush_shared_locked(heap);
    if (heap_purge_slabs_locked(heap, false, budget)) /* or the rest the next time */
        heap->swept = active + 1;
    return true;
}

static bool sweep_quiet(struct heap *heap, struct sweep_budget *budget)
{
    if (!lock_try(&heap->lock))
        return false;
    bool any = is_quiet(heap) && sweep_quiet_locked(heap, budget);
    lock_release(&heap->lock);
    return any;
}

/* Of a heap that guests have used the bins, too. */
static bool sweep_parked_locked(struct heap *heap, struct sweep_budget *budget)
{
    if (heap->swept != atomic_get_relaxed(&heap->active) + 1)
        heap_empty_bins_locked(heap);
    return sweep_quiet_locked(heap, budget);
}

static bool sweep_parked(struct heap *heap, struct sweep_budget *budget)
{
    bool any = false;
    if (!lock_try(&heap->guest_lock))
        return false;
    if (atomic_get_relaxed(&heap->state) == HEAP_PARKED && is_quiet(heap) &&
        lock_try(&heap->lock)) {
        any = sweep_parked_locked(heap, budget);
        lock_release(&heap->lock);
    }
    lock_release(&heap->guest_lock);
    return any;
}

static bool is_much(const struct heap *heap, unsigned class)
{
    size_t n = inbox_n_blocks(&heap->inboxes[class]);
    return n * class_bytes(class) >= MUCH_MAIL_BYTES &&
           (class_is_small(class) || n >= MUCH_MAIL_MEDIUM);
}

/* More than any bin that becomes a magazine has; those of medium blocks have a bound of their
 * own. */
static bool is_left_over(const struct heap *heap, unsigned class)
{
    return class_is_small(class) &&
           heap->shelves[class].n_magazine * class_bytes(class) > 2 * options.cache_class_bytes;
}

static bool has_much_mail(const struct heap *heap)
{
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        if (is_much(heap, class))
            return true;
    }
    return atomic_get_relaxed(&heap->has_mail_left);
}

/* An owner that is busy with other classes may never look into the inbox of this one. */
static void sweep_mail_locked(struct heap *heap, struct sweep_budget *budget)
{
    bool is_left = false;
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        if (is_much(heap, class) || is_left_over(heap, class))
            is_left |= heap_take_in_some_locked(heap, class, budget);
    }
    atomic_put_relaxed(&heap->has_mail_left, is_left);
}

/* True: pages went back. */
static bool sweep_stale_locked(struct heap *heap, struct sweep_budget *budget)
{
    uint32_t n_before = budget->n_slabs;
    (void)heap_purge_slabs_locked(heap, true, budget);
    return budget->n_slabs < n_before;
}

static bool sweep_busy(struct heap *heap, struct sweep_budget *budget)
{
    bool any = has_much_mail(heap);
    if (!lock_try(&heap->lock))
        return false;
    if (UNLIKELY(any))
        sweep_mail_locked(heap, budget);
    any |= sweep_stale_locked(heap, budget);
    lock_release(&heap->lock);
    return any;
}

static bool sweep_heap(struct heap *heap, struct sweep_budget *budget)
{
    uint32_t state = heap != NULL ? atomic_get_relaxed(&heap->state) : HEAP_ORPHAN;
    if (state == HEAP_ORPHAN)
        return false;
    if (state == HEAP_PARKED && is_quiet(heap))
        return sweep_parked(heap, budget);
    return is_quiet(heap) ? sweep_quiet(heap, budget) : sweep_busy(heap, budget);
}

static bool sweep_threads(struct sweep_budget *budget)
{
    uint32_t n = heap_for_threads_count();
    uint32_t n_found = 0;
    bool any = false;
    for (uint32_t i = 0; i < SWEEP_HEAPS && i < n; i++) {
        struct heap *heap = heap_for_threads_at(atomic_add_relaxed(&hand, 1) % n);
        any |= sweep_heap(heap, budget);
        n_found += heap != NULL && heap_is_idle(heap);
    }
    (void)atomic_add_relaxed(&hand, 1); /* it is not always the same that has the first looks */
    atomic_put_relaxed(&n_idle, n_found);
    return any;
}

/* Groups are swept like threads' heaps, but nobody may have their slabs. */
static bool sweep_groups(struct sweep_budget *budget)
{
    uint32_t n = heap_number_max();
    bool any = false;
    if (LIKELY(n == heap_for_threads_count()))
        return false;
    for (uint32_t i = 0; i < SWEEP_HEAPS && i < n; i++) {
        struct heap *heap = heap_by_number(1 + atomic_add_relaxed(&group_hand, 1) % n);
        any |= heap != NULL && heap_is_group(heap) && sweep_heap(heap, budget);
    }
    return any;
}

uint32_t heap_sweep_wait_ms(void)
{
    return atomic_get_relaxed(&wait_ms);
}

static void epoch_look(uint32_t now)
{
    if (now - atomic_get_relaxed(&epoch_ms) < HEAP_SWEEP_MS)
        return;
    atomic_put_relaxed(&epoch_ms, now);
    (void)atomic_add_relaxed(&idle_epoch, 1);
}

bool heap_sweep_due(void)
{
    uint32_t now = (uint32_t)os_clock_ms();
    uint32_t last = atomic_get_relaxed(&swept_ms);
    if (LIKELY(now - last < atomic_get_relaxed(&wait_ms)) ||
        !atomic_try_acq_rel(&swept_ms, &last, now))
        return false;
    epoch_look(now);
    struct sweep_budget budget = {SWEEP_LOOKS, SWEEP_SLABS, SWEEP_BLOCKS};
    bool any = sweep_threads(&budget);
    any |= sweep_groups(&budget);
    atomic_put_relaxed(&wait_ms, budget.n_slabs > 0 ? HEAP_SWEEP_MS : SWEEP_ON_MS);
    return any;
}
