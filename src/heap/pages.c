/* SPDX-License-Identifier: MIT */
/*
 * Pages of slabs in which nothing is in use: they go to the kernel while the slab stays its heap's.
 * A pass over a heap's slabs stops when its budget is used up, and the next goes on from there; the
 * heap's lock guards how far it has come.
 */
#include "conf/options.h"
#include "heap/heap.h"
#include "mem/slab.h"
#include "os/clock.h"

/* Whether nobody has drawn from it for as long as free spans are held back, or very much longer,
 * when the count has come round. */
static bool is_stale(const struct span *slab)
{
    uint8_t n_epochs = (uint8_t)(atomic_get_relaxed(&idle_epoch) - slab->slab.epoch);
    return n_epochs * (uint64_t)HEAP_SWEEP_MS > options.purge_ms;
}

/* From purge_at on. False: the budget is used up. */
static bool purge_list_locked(struct heap *heap, bool only_stale, struct sweep_budget *budget)
{
    for (; heap->purge_at != NULL; heap->purge_at = heap->purge_at->slab.next) {
        if (budget->n_looks == 0 || budget->n_slabs == 0)
            return false;
        budget->n_looks--;
        if (!only_stale || is_stale(heap->purge_at))
            budget->n_slabs -= slab_purge(heap->purge_at) > 0;
    }
    return true;
}

/* What one kind of pass has passed over is not done for the other. */
static void purge_restart_locked(struct heap *heap, bool is_stale_only)
{
    heap->purge_at = NULL;
    heap->purge_class = 0;
    heap->purge_is_stale = is_stale_only;
}

/* Slabs whose blocks the checked mode looks at stay as they are, and so do huge pages. */
bool heap_purge_slabs_locked(struct heap *heap, bool only_stale, struct sweep_budget *budget)
{
    if (UNLIKELY(options.check || options.huge == HUGE_ON))
        return true;
    if (heap->purge_is_stale != only_stale)
        purge_restart_locked(heap, only_stale);
    for (;;) {
        if (!purge_list_locked(heap, only_stale, budget))
            return false;
        if (heap->purge_class == N_CLASSES)
            break;
        heap->purge_at = heap->shelves[heap->purge_class++].partial;
    }
    heap->purge_class = 0;
    return true;
}

void heap_purge_slabs(struct heap *heap)
{
    enum { LOOKS_AT_A_TIME = 256, SLABS_AT_A_TIME = 32 };
    lock_take(&heap->lock);
    purge_restart_locked(heap, false);
    lock_release(&heap->lock);
    for (bool done = false; !done;) {
        struct sweep_budget budget = {.n_looks = LOOKS_AT_A_TIME, .n_slabs = SLABS_AT_A_TIME};
        lock_take(&heap->lock);
        done = heap_purge_slabs_locked(heap, false, &budget);
        bool is_wanted = lock_is_wanted(&heap->lock);
        lock_release(&heap->lock);
        if (is_wanted && !done)
            os_sleep_ms(1); /* or we had it again before it is awake */
    }
}
