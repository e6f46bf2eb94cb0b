/* SPDX-License-Identifier: MIT */
#include "obs/stats.h"

#include "heap/heap.h"
#include "mem/arena.h"
#include "mem/meta.h"
#include "mem/slab.h"
#include "pressure/pressure.h"

const struct figure total_figures[] = {TOTALS(FIGURE_ROW)};
const struct figure class_figures[] = {CLASS_FIGURES(FIGURE_ROW)};
const struct figure object_figures[] = {OBJECT_FIGURES(FIGURE_ROW)};
const struct figure process_figures[] = {PROCESS_FIGURES(FIGURE_ROW)};

_Static_assert(sizeof(struct class_stats) == N_CLASS_FIGURES * sizeof(uint64_t),
               "a class's figures can be summed by number");

struct reading {
    struct stats *stats;
    lock_taker *take;
    uint64_t number;      /* never used before: marks the heaps whose locks it holds */
    uint32_t n_heaps;     /* those that existed when it began */
    uint64_t slab_pages;  /* carved pages of slabs */
    uint64_t dirty_pages; /* other touched pages of slabs */
};

/* ---- locks ---- */

static void for_each_heap(struct reading *reading, void (*visit)(struct reading *, struct heap *))
{
    for (uint32_t i = 1; i <= reading->n_heaps; i++) {
        struct heap *heap = heap_by_number(i);
        if (heap != NULL)
            visit(reading, heap);
    }
}

static void take_heap(struct reading *reading, struct heap *heap)
{
    if (reading->take(&heap->lock))
        atomic_put_relaxed(&heap->reading, reading->number);
    else
        reading->stats->heaps_busy++;
}

static bool is_taken(const struct reading *reading, struct heap *heap)
{
    return atomic_get_relaxed(&heap->reading) == reading->number;
}

static void release_heap(struct reading *reading, struct heap *heap)
{
    if (!is_taken(reading, heap))
        return;
    atomic_put_relaxed(&heap->reading, 0);
    lock_release(&heap->lock);
}

/* ---- heaps ---- */

static void add_frees(struct reading *reading, struct heap *heap)
{
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        struct class_stats *s = &reading->stats->classes[class];
        uint64_t n_remote = atomic_get_relaxed(&heap->shelves[class].n_remote_frees);
        s->frees += bin_frees(&heap->front.bins[class]) + n_remote;
        s->remote_frees += n_remote;
    }
}

static void add_allocs(struct reading *reading, struct heap *heap)
{
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        struct class_stats *s = &reading->stats->classes[class];
        struct shelf *shelf = &heap->shelves[class];
        s->allocs += atomic_get_relaxed(&heap->front.bins[class].allocs);
        s->refills += atomic_get_relaxed(&shelf->n_refills);
        s->asked_bytes += atomic_get_relaxed(&shelf->asked_bytes);
    }
}

static void add_state(struct reading *reading, struct heap *heap)
{
    uint32_t state = atomic_get_relaxed(&heap->state);
    reading->stats->heaps_live += state == HEAP_LIVE;
    reading->stats->heaps_parked += state == HEAP_PARKED;
    reading->stats->heaps_orphaned += state == HEAP_ORPHAN;
}

/* at_hand is all that is out of its slab, until finish_class(). */
static void add_slab(struct reading *reading, struct class_stats *s, const struct span *slab)
{
    const struct slab_part *part = &slab->slab;
    uint64_t *by_use = (uint64_t *)(void *)s + CLASS_slabs_to_25;
    by_use[(size_t)part->n_out * 4 / part->n_blocks]++;
    s->at_hand += part->n_out;
    s->slab_free += part->n_carved - part->n_out;
    reading->slab_pages += slab_active_pages(slab);
    reading->dirty_pages += slab_dirty_pages(slab);
}

/* Slabs of which all is out. */
static void add_full_slabs(struct reading *reading, unsigned class, uint64_t n)
{
    struct class_stats *s = &reading->stats->classes[class];
    uint64_t n_blocks = class_blocks_a_slab(class);
    s->slabs_full += n;
    s->at_hand += n * n_blocks;
    reading->slab_pages += n * div_round_up(n_blocks * class_bytes(class), PAGE_BYTES);
}

/* An orphan's lists may be torn: its slabs pass for full. */
static void add_slabs_of(struct reading *reading, const struct heap *heap, unsigned class)
{
    struct class_stats *s = &reading->stats->classes[class];
    const struct shelf *shelf = &heap->shelves[class];
    uint64_t n_slabs = atomic_get_relaxed(&shelf->n_slabs);
    uint64_t n_listed = 0;
    s->slabs += n_slabs;
    if (atomic_get_relaxed(&heap->state) != HEAP_ORPHAN) {
        if (shelf->slab != NULL) {
            add_slab(reading, s, shelf->slab);
            n_listed++;
        }
        for (const struct span *slab = shelf->partial; slab != NULL; slab = slab->slab.next) {
            add_slab(reading, s, slab);
            n_listed++;
        }
    }
    add_full_slabs(reading, class, n_slabs - n_listed);
}

static void add_slabs(struct reading *reading, struct heap *heap)
{
    if (!is_taken(reading, heap))
        return;
    for (unsigned class = 0; class < N_CLASSES; class ++)
        add_slabs_of(reading, heap, class);
}

/* ---- sums ---- */

/* What the blocks of a class have that was not asked for, going by the calls that were looked
 * at. */
static uint64_t slack_of(unsigned class, const struct class_stats *s)
{
    if (s->refills == 0)
        return 0;
    uint64_t asked = s->asked_bytes / s->refills;
    return asked < class_bytes(class) ? s->live * (class_bytes(class) - asked) : 0;
}

static void finish_class(struct stats *stats, unsigned class)
{
    struct class_stats *s = &stats->classes[class];
    uint64_t n_out = s->at_hand;
    /* Where memory is weakly ordered, a block's free may be seen before its allocation. */
    if (s->frees > s->allocs)
        s->frees = s->allocs;
    s->live = min_size(s->allocs - s->frees, n_out);
    s->at_hand = n_out - s->live;
    stats->allocs += s->allocs;
    stats->frees += s->frees;
    stats->live_blocks += s->live;
    stats->refills += s->refills;
    stats->remote_frees += s->remote_frees;
    stats->slabs += s->slabs;
    stats->small_live_bytes += s->live * class_bytes(class);
    stats->slab_free_bytes += s->slab_free * class_bytes(class);
    stats->at_hand_bytes += s->at_hand * class_bytes(class);
    stats->slack_bytes += slack_of(class, s);
}

static void add_arena(struct stats *stats, const struct arena_stats *arena)
{
    stats->large_live_bytes = arena->large_bytes;
    stats->large_allocs = arena->n_large_allocs;
    stats->large_frees = arena->n_large_frees;
    stats->direct_bytes = arena->direct_bytes;
    stats->direct_blocks = arena->n_direct;
    stats->free_bytes = arena->free_bytes;
    stats->dirty_bytes = arena->dirty_bytes;
    stats->free_spans = arena->n_free_spans;
    stats->free_largest_bytes = arena->free_largest_bytes;
    stats->purges = arena->n_purges;
    stats->purged_bytes = arena->purged_bytes;
    stats->page_ins_avoided = arena->n_pages_kept;
    stats->page_ins_caused = arena->n_pages_missed;
    stats->used_bytes = arena->slab_bytes + arena->large_bytes;
    stats->used_peak_bytes = arena->used_peak_bytes;
    stats->mapped_bytes = arena->mapped_bytes + arena->direct_bytes;
    stats->mapped_peak_bytes = arena->space_peak_bytes;
    for (unsigned i = 0; i < N_SPAN_SIZES; i++)
        stats->gaps[i] = arena->n_free_spans_of_size[i];
}

static void add_records(struct stats *stats, const struct meta_stats *meta)
{
    stats->record_bytes = meta->mapped_bytes;
    stats->record_used_bytes = meta->used_bytes;
    stats->mapped_bytes += meta->mapped_bytes;
    stats->mapped_peak_bytes += meta->mapped_bytes;
}

static void add_calls(struct stats *stats)
{
    for (unsigned i = 0; i < N_OS_CALLS; i++) {
        stats->calls[i].n = atomic_get_relaxed(&os_call_counts[i].n);
        stats->calls[i].ns = atomic_get_relaxed(&os_call_counts[i].ns);
        stats->system_calls += stats->calls[i].n;
        stats->system_call_ns += stats->calls[i].ns;
    }
}

static void add_pressure(struct stats *stats)
{
    struct pressure pressure;
    pressure_read(&pressure);
    stats->limit_bytes = pressure.limit_bytes;
    stats->limit_used_bytes = pressure.used_bytes;
    stats->charged_bytes = pressure.charged_bytes;
    stats->charged_peak_bytes = pressure.charged_peak_bytes;
    stats->pressure_level = pressure.level;
    stats->pressure_events = pressure.n_events;
    stats->clean_ups = pressure.n_clean_ups;
    stats->clean_up_bytes = pressure.given_back_bytes;
    stats->refused_calls = pressure.n_refused;
}

/* The most that any reading has seen. */
static uint64_t peak_note(_Atomic uint64_t *peak, uint64_t n)
{
    uint64_t seen = atomic_get_relaxed(peak);
    while (n > seen && !atomic_try_release(peak, &seen, n))
        continue;
    return n > seen ? n : seen;
}

static void finish(const struct reading *reading)
{
    static _Atomic uint64_t live_peak;
    static _Atomic uint64_t resident_peak;
    struct stats *stats = reading->stats;
    for (unsigned class = 0; class < N_CLASSES; class ++)
        finish_class(stats, class);
    stats->allocs += stats->large_allocs;
    stats->frees += stats->large_frees;
    stats->live_blocks += stats->large_allocs - stats->large_frees;
    stats->live_bytes = stats->small_live_bytes + stats->large_live_bytes;
    stats->active_bytes = (reading->slab_pages << PAGE_SHIFT) + stats->large_live_bytes;
    stats->resident_bytes = stats->active_bytes + (reading->dirty_pages << PAGE_SHIFT) +
                            stats->dirty_bytes + stats->record_used_bytes;
    stats->live_peak_bytes = peak_note(&live_peak, stats->live_bytes);
    stats->resident_peak_bytes = peak_note(&resident_peak, stats->resident_bytes);
    struct heap_turnover turnover = heap_turnover();
    stats->heaps_adopted = turnover.n_adopted;
    stats->heaps_abandoned = turnover.n_abandoned;
    add_calls(stats);
    add_pressure(stats);
}

/* ---- a reading ---- */

/* All that must be of one moment. */
static bool read_under_locks(struct reading *reading)
{
    struct arena_stats arena;
    struct meta_stats meta;
    for_each_heap(reading, take_heap);
    for_each_heap(reading, add_frees);
    atomic_thread_fence(memory_order_acquire);
    for_each_heap(reading, add_allocs);
    for_each_heap(reading, add_slabs);
    bool done = arena_try_stats(&arena, reading->take) && meta_get_stats(&meta, reading->take);
    for_each_heap(reading, release_heap);
    if (done) {
        add_arena(reading->stats, &arena);
        add_records(reading->stats, &meta);
    }
    return done;
}

static bool read_all(struct stats *stats, lock_taker *take)
{
    static _Atomic uint64_t n_readings;
    struct reading reading = {
        .stats = stats,
        .take = take,
        .number = atomic_add_relaxed(&n_readings, 1) + 1,
        .n_heaps = heap_number_max(),
    };
    *stats = (struct stats){0};
    bool done = read_under_locks(&reading);
    if (done) {
        for_each_heap(&reading, add_state);
        finish(&reading);
    }
    return done;
}

bool stats_read(struct stats *stats)
{
    if (!heap_enter()) {
        *stats = (struct stats){0};
        return false;
    }
    bool done = read_all(stats, lock_take_surely);
    heap_leave();
    return done;
}

bool stats_read_soon(struct stats *stats)
{
    bool entered = heap_enter();
    bool done = read_all(stats, lock_take_soon);
    if (entered)
        heap_leave();
    return done;
}
