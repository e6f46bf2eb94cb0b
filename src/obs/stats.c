/* SPDX-License-Identifier: MIT */
#include "obs/stats.h"

#include "heap/heap.h"
#include "mem/meta.h"

static void add_frees(struct stats *stats, struct heap *heap)
{
    for (unsigned class = 0; class < N_CLASSES; class ++)
        stats->classes[class].n_frees += bin_frees(&heap->front.bins[class]);
}

static void add_allocs(struct stats *stats, struct heap *heap)
{
    for (unsigned class = 0; class < N_CLASSES; class ++)
        stats->classes[class].n_allocs += atomic_get_relaxed(&heap->front.bins[class].allocs);
}

static void add_blocks(struct stats *stats, struct heap *heap)
{
    lock_take(&heap->lock);
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        uint64_t n_slabs = heap->shelves[class].n_slabs;
        stats->classes[class].n_blocks += n_slabs * (UNIT_BYTES / class_bytes(class));
    }
    lock_release(&heap->lock);
}

static void for_each_heap(struct stats *stats, void (*add)(struct stats *, struct heap *))
{
    for (uint32_t i = 1; i <= heap_number_max(); i++) {
        struct heap *heap = heap_by_number(i);
        if (heap != NULL)
            add(stats, heap);
    }
}

bool stats_read(struct stats *stats)
{
    *stats = (struct stats){.n_heaps = heap_number_max()};
    if (!heap_enter())
        return false;
    for_each_heap(stats, add_frees);
    atomic_thread_fence(memory_order_acquire);
    for_each_heap(stats, add_allocs);
    for_each_heap(stats, add_blocks);
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        struct class_stats *s = &stats->classes[class];
        if (s->n_frees > s->n_allocs)
            s->n_frees = s->n_allocs;
        stats->small_bytes += (s->n_allocs - s->n_frees) * class_bytes(class);
    }
    stats->meta_bytes = meta_bytes();
    arena_get_stats(&stats->arena);
    heap_leave();
    return true;
}
