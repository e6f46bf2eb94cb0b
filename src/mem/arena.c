/* SPDX-License-Identifier: MIT */
#include "mem/arena_state.h"

#include "base/check.h"
#include "conf/options.h"
#include "mem/free_spans.h"
#include "mem/limit.h"
#include "mem/regret.h"
#include "os/clock.h"
#include "os/pages.h"

#include <string.h>

enum {
    STEP_MIN_PAGES = MIB >> PAGE_SHIFT,
    STEP_MAX_PAGES = (64 * MIB) >> PAGE_SHIFT,
    STEP_SHARE = 8,    /* a step is this part of what is mapped already */
    ALIGNED_TRIES = 8, /* spans looked at for an aligned run before asking for a surely large one */
    SOON_TRIES = 1000,
    REGRET_MAX_PAGES = (64 * MIB) >> PAGE_SHIFT, /* or this part of the most there ever was: */
    REGRET_SHARE = 2,
};

struct arena_state arena = {.lock = LOCK_INIT(LOCK_ARENA)};

/* ---- growing ---- */

static void raise_to(size_t *peak, size_t n)
{
    *peak = max_size(*peak, n);
}

static void space_note(void)
{
    raise_to(&arena.stats.space_peak_bytes,
             (arena.mapped_pages << PAGE_SHIFT) + arena.stats.direct_bytes);
}

static void mapped_add(size_t n_pages)
{
    arena.mapped_pages += n_pages;
    raise_to(&arena.mapped_peak_pages, arena.mapped_pages);
    space_note();
}

/* What programs shall have, of either kind. */
static uintptr_t pages_map(uintptr_t hint, size_t bytes)
{
    void *p = os_pages_map((void *)hint, bytes);
    if (p != NULL && UNLIKELY(options.huge == HUGE_OFF))
        os_pages_huge_off(p, bytes);
    return (uintptr_t)p;
}

static uintptr_t region_map(size_t n_pages)
{
    size_t bytes = round_up(n_pages << PAGE_SHIFT, UNIT_BYTES);
    uintptr_t end = arena.lowest != 0 ? arena.lowest : map_first_region_end();
    uintptr_t hint = end > bytes ? end - bytes : 0;
    uintptr_t base = pages_map(hint, bytes);
    if (base == 0)
        return 0;
    if (!map_cover(base, bytes)) {
        os_pages_unmap((void *)base, bytes);
        return 0;
    }
    arena.lowest = base;
    return base;
}

/* Maps a region in which n_pages fit. First a generous step, under pressure just enough. */
static bool arena_grow(size_t n_pages)
{
    size_t step =
        min_size(max_size(arena.mapped_pages / STEP_SHARE, STEP_MIN_PAGES), STEP_MAX_PAGES);
    size_t pages = round_up(max_size(step, n_pages), UNIT_PAGES);
    uintptr_t base = region_map(pages);
    size_t least = max_size(n_pages, UNIT_PAGES - 1); /* less than a unit becomes one again */
    while (base == 0 && pages / 2 > least) {
        pages = round_up(pages / 2, UNIT_PAGES);
        base = region_map(pages);
    }
    if (base == 0) {
        pages = round_up(n_pages, UNIT_PAGES);
        base = region_map(pages);
    }
    if (base == 0)
        return false;
    mapped_add(pages);
    struct span *span = spare_get();
    span->base = base;
    span->n_pages = (uint32_t)pages;
    span->free.n_touched = 0;
    span->free.freed_ms = 0;
    free_merge_and_insert(span);
    return true;
}

/* ---- taking ---- */

static uintptr_t aligned_start(const struct span *span, size_t n_pages, size_t align_pages)
{
    uintptr_t start = round_up(span->base, align_pages << PAGE_SHIFT);
    bool fits = start + (n_pages << PAGE_SHIFT) <= span_end(span);
    return fits ? start : 0;
}

static struct span *find_fit(size_t n_pages, size_t align_pages)
{
    struct span *span = tree_at_least(&free_spans.tree, (uint32_t)n_pages, 0);
    for (int i = 0; i < ALIGNED_TRIES && span != NULL; i++) {
        if (aligned_start(span, n_pages, align_pages) != 0)
            return span;
        span = tree_at_least(&free_spans.tree, span->n_pages, span->base + 1);
    }
    return tree_at_least(&free_spans.tree, (uint32_t)(n_pages + align_pages - 1), 0);
}

/* Of the pages that are taken some are still there. */
static void note_taken(size_t n_pages, size_t n_touched)
{
    size_t max = max_size(REGRET_MAX_PAGES, arena.mapped_peak_pages / REGRET_SHARE);
    arena.stats.n_pages_kept += n_touched;
    arena.stats.n_pages_missed += regret_note_need(&arena.regret, n_pages - n_touched, max);
}

static size_t to_kernel_pages(size_t n_pages)
{
    return round_up(n_pages, os_page_bytes() >> PAGE_SHIFT);
}

static struct span *take_locked(enum span_kind kind, size_t n_pages, size_t align_pages,
                                bool may_grow)
{
    if (!spares_fill())
        return NULL;
    struct span *span = find_fit(n_pages, align_pages);
    if (span == NULL) {
        if (!may_grow || !arena_grow(n_pages + align_pages - 1) || !spares_fill())
            return NULL;
        span = find_fit(n_pages, align_pages);
    }
    uintptr_t base = aligned_start(span, n_pages, align_pages);
    size_t n_touched = free_cut(span, base, base + (n_pages << PAGE_SHIFT));
    note_taken(n_pages, n_touched);
    span_become(span, kind);
    span->n_dirty = (uint8_t)n_touched;
    span_register(span);
    return span;
}

/* Medium blocks, which may begin with any page, have no claim to what is kept for small ones. */
static enum span_kind room_kind(enum span_kind kind, size_t align_pages)
{
    return kind == SPAN_SLAB && align_pages == UNIT_PAGES ? SPAN_SLAB : SPAN_LARGE;
}

static struct span *take(enum span_kind kind, size_t n_pages, size_t align_pages, bool may_grow)
{
    if (n_pages > SPAN_PAGES_MAX / 2 || align_pages > SPAN_PAGES_MAX / 2)
        return NULL;
    size_t pages = to_kernel_pages(n_pages);
    lock_take(&arena.lock);
    struct span *span = NULL;
    if (room_make_locked(room_kind(kind, align_pages), pages << PAGE_SHIFT))
        span = take_locked(kind, pages, to_kernel_pages(align_pages), may_grow);
    if (span != NULL && kind == SPAN_LARGE) {
        span->large = (struct large_part){0};
        arena.stats.n_large_allocs++;
        arena.stats.large_bytes += span_bytes(span);
    } else if (span != NULL) {
        arena.stats.slab_bytes += span_bytes(span);
    }
    used_note_grown();
    lock_release(&arena.lock);
    return span;
}

struct span *arena_take(enum span_kind kind, size_t n_pages, size_t align_pages)
{
    return take(kind, n_pages, align_pages, true);
}

struct span *arena_take_free(enum span_kind kind, size_t n_pages, size_t align_pages)
{
    return take(kind, n_pages, align_pages, false);
}

/* ---- giving back ---- */

static uint32_t now_ms(void)
{
    return (uint32_t)os_clock_ms();
}

void arena_unmap_free(void)
{
    lock_take(&arena.lock);
    struct span *span = tree_at_least(&free_spans.tree, 0, 0);
    while (span != NULL) {
        (void)free_cut(span, span->base, span_end(span));
        arena.mapped_pages -= span->n_pages;
        if (span->base == arena.lowest)
            arena.lowest = span_end(span); /* the next region shall lie near the others */
        os_pages_unmap((void *)span->base, span_bytes(span));
        map_touched_clear(span->base, span->n_pages);
        spare_put(span);
        span = tree_at_least(&free_spans.tree, 0, 0);
    }
    used_note();
    lock_release(&arena.lock);
}

bool arena_zero(struct span *span)
{
    return span->was_zero || os_pages_discard((void *)span->base, span_bytes(span));
}

/* Neighbours' pages are in the same words. */
static size_t touched_run(uintptr_t base, size_t n_pages, bool *is_touched)
{
    lock_take(&arena.lock);
    size_t n = map_touched_run(base, n_pages, is_touched);
    lock_release(&arena.lock);
    return n;
}

void arena_clear(struct span *span)
{
    for (uintptr_t at = span->base; at < span_end(span);) {
        bool is_touched;
        size_t n = touched_run(at, (span_end(span) - at) >> PAGE_SHIFT, &is_touched);
        if (is_touched)
            memset((void *)at, 0, n << PAGE_SHIFT);
        at += n << PAGE_SHIFT;
    }
}

/* Pages that went back while the slab lived, and were not used again. */
static void forget_purged(const struct span *slab)
{
    for (unsigned bits = slab->slab.purged; bits != 0; bits &= bits - 1)
        map_touched_clear(slab->base + ((uintptr_t)lowest_bit(bits) << PAGE_SHIFT), 1);
}

static void give_locked(struct span *span, size_t n_touched, uint32_t now)
{
    counter_add(&memory_limits.n_given, 1);
    arena.stats.n_large_frees += span->kind == SPAN_LARGE || span->kind == SPAN_DIRECT;
    if (span->kind == SPAN_LARGE)
        arena.stats.large_bytes -= span_bytes(span);
    if (span->kind == SPAN_SLAB)
        arena.stats.slab_bytes -= span_bytes(span);
    map_touched_set(span->base, to_kernel_pages(n_touched));
    if (span->kind == SPAN_SLAB)
        forget_purged(span);
    span->free.n_touched = (uint32_t)map_touched_count(span->base, span->n_pages);
    span->free.freed_ms = now;
    free_merge_and_insert(span);
    used_note();
}

void arena_give(struct span *span, size_t n_touched)
{
    uint32_t now = now_ms();
    lock_take(&arena.lock);
    give_locked(span, n_touched, now);
    purge_due_locked(now);
    lock_release(&arena.lock);
}

/* ---- large blocks ---- */

static struct span *large_at_locked(const void *p)
{
    uintptr_t address = (uintptr_t)p;
    struct span *span = address % PAGE_BYTES == 0 ? span_registered(address) : NULL;
    bool found = span != NULL && span->base == address &&
                 (span->kind == SPAN_LARGE || span->kind == SPAN_DIRECT);
    return found ? span : NULL;
}

struct span *arena_large_at(const void *p)
{
    lock_take(&arena.lock);
    struct span *span = large_at_locked(p);
    lock_release(&arena.lock);
    return span;
}

struct span *arena_large_at_soon(const void *p)
{
    for (int i = 0; i < SOON_TRIES; i++) {
        if (lock_try(&arena.lock)) {
            struct span *span = large_at_locked(p);
            lock_release(&arena.lock);
            return span;
        }
        CPU_RELAX();
    }
    return NULL;
}

bool arena_large_word(const void *p, lock_taker *taker, struct large_view *view)
{
    if (!taker(&arena.lock))
        return false;
    struct span *span = large_at_locked(p);
    if (span != NULL)
        *view = (struct large_view){atomic_get_relaxed(&span->large.entry.what),
                                    atomic_get_relaxed(&span->large.entry.who), span_bytes(span)};
    lock_release(&arena.lock);
    return span != NULL;
}

bool arena_large_change(const void *p, uint64_t from, uint64_t to)
{
    lock_take(&arena.lock);
    struct span *span = large_at_locked(p);
    bool done = span != NULL && atomic_try_acq_rel(&span->large.entry.what, &from, to);
    lock_release(&arena.lock);
    return done;
}

static bool extend_locked(struct span *span, size_t n_pages)
{
    uintptr_t end = span->base + (n_pages << PAGE_SHIFT);
    struct span *after = free_neighbour_after(span_end(span));
    if (after == NULL || span_end(after) < end || !spares_fill())
        return false;
    note_taken(n_pages - span->n_pages, free_cut(after, after->base, end));
    span->n_pages = (uint32_t)n_pages;
    span_register(span);
    spare_put(after);
    return true;
}

static bool shorten_locked(struct span *span, size_t n_pages, uint32_t now)
{
    if (!spares_fill())
        return false;
    struct span *tail = spare_get(); /* of no kind: it counts as no block */
    tail->base = span->base + (n_pages << PAGE_SHIFT);
    tail->n_pages = span->n_pages - (uint32_t)n_pages;
    span->n_pages = (uint32_t)n_pages;
    span_register(span);
    give_locked(tail, tail->n_pages, now);
    return true;
}

bool arena_resize(struct span *span, size_t n_pages)
{
    if (n_pages > SPAN_PAGES_MAX)
        return false;
    size_t pages = to_kernel_pages(n_pages);
    uint32_t now = now_ms();
    lock_take(&arena.lock);
    size_t before = span_bytes(span);
    bool done = pages == span->n_pages;
    if (pages > span->n_pages)
        done = room_make_locked(SPAN_LARGE, (pages << PAGE_SHIFT) - before) &&
               extend_locked(span, pages);
    else if (pages < span->n_pages)
        done = shorten_locked(span, pages, now);
    arena.stats.large_bytes += span_bytes(span) - before;
    group_resized_locked(span, before);
    used_note_grown();
    if (span_bytes(span) < before)
        purge_due_locked(now);
    lock_release(&arena.lock);
    return done;
}

/* ---- direct blocks ---- */

/* The arena could not hold it, for want of address space: then not far from the arena either, where
 * the map needs no new leaf. */
static uintptr_t direct_hint(size_t bytes)
{
    if (bytes >= option_get(&options.direct_bytes))
        return 0;
    lock_take(&arena.lock);
    uintptr_t lowest = arena.lowest;
    lock_release(&arena.lock);
    return lowest > bytes ? lowest - bytes : 0;
}

/* A mapping of its own at a multiple of align_bytes; what lies around is unmapped again. */
static uintptr_t map_aligned(size_t bytes, size_t align_bytes)
{
    size_t slack = align_bytes > os_page_bytes() ? align_bytes : 0;
    if (bytes + slack < bytes)
        return 0;
    uintptr_t base = pages_map(direct_hint(bytes + slack), bytes + slack);
    if (base == 0 || slack == 0)
        return base;
    uintptr_t start = round_up(base, align_bytes);
    if (start > base)
        os_pages_unmap((void *)base, start - base);
    if (base + slack > start)
        os_pages_unmap((void *)(start + bytes), base + slack - start);
    return start;
}

/* Makes sure that `base` can be found in the map once it is registered. */
static bool direct_cover(uintptr_t base)
{
    lock_take(&arena.lock);
    bool done = map_cover(base, PAGE_BYTES) && spares_fill();
    lock_release(&arena.lock);
    return done;
}

/* Only the first page: a direct block has no neighbours that would look for its last. */
static void direct_register_locked(struct span *span, uintptr_t base, size_t bytes)
{
    span->base = base;
    span->n_pages = (uint32_t)(bytes >> PAGE_SHIFT);
    *map_span_entry(base) = span;
    arena.stats.n_direct++;
    arena.stats.direct_bytes += bytes;
    arena.stats.large_bytes += bytes;
    space_note();
    used_note_grown();
}

/* The caller notes what is used once it has put it down as what it is from then on. */
static void direct_unregister_locked(const struct span *span)
{
    arena.stats.n_direct--;
    arena.stats.direct_bytes -= span_bytes(span);
    arena.stats.large_bytes -= span_bytes(span);
}

struct span *arena_take_direct(size_t bytes, size_t align_bytes)
{
    size_t all = round_up(bytes, os_page_bytes());
    if (all < bytes || all >> PAGE_SHIFT > SPAN_PAGES_MAX || arena_refuses(SPAN_DIRECT, all))
        return NULL;
    uintptr_t base = map_aligned(all, align_bytes);
    if (base == 0)
        return NULL;
    struct span *span = NULL;
    lock_take(&arena.lock);
    if (room_make_locked(SPAN_DIRECT, all) && map_cover(base, PAGE_BYTES) && spares_fill()) {
        span = spare_get();
        span_become(span, SPAN_DIRECT);
        span->was_zero = true;
        direct_register_locked(span, base, all);
        if (base + all == arena.lowest)
            arena.lowest = base;
        note_taken(span->n_pages, 0);
        arena.stats.n_large_allocs++;
    } else {
        used_note();
    }
    lock_release(&arena.lock);
    if (span == NULL)
        os_pages_unmap((void *)base, all);
    return span;
}

static uintptr_t direct_move(uintptr_t base, size_t old_bytes, size_t new_bytes)
{
    uintptr_t to = pages_map(0, new_bytes);
    if (to == 0)
        return 0;
    if (!direct_cover(to) || !os_pages_move((void *)base, old_bytes, new_bytes, (void *)to)) {
        os_pages_unmap((void *)to, new_bytes);
        return 0;
    }
    return to;
}

/* What it is about to grow by is charged beforehand: no two grow into the same room. */
static bool direct_charge(size_t bytes)
{
    lock_take(&arena.lock);
    bool fits = room_make_locked(SPAN_DIRECT, bytes);
    if (fits) {
        arena.stats.large_bytes += bytes;
        used_note_grown();
    }
    lock_release(&arena.lock);
    return fits;
}

static uintptr_t direct_resize(uintptr_t base, size_t old_bytes, size_t new_bytes)
{
    bool stays = os_pages_resize((void *)base, old_bytes, new_bytes);
    return stays ? base : direct_move(base, old_bytes, new_bytes);
}

bool arena_resize_direct(struct span *span, size_t bytes)
{
    size_t all = round_up(bytes, os_page_bytes());
    if (all < bytes || all >> PAGE_SHIFT > SPAN_PAGES_MAX)
        return false;
    size_t before = span_bytes(span);
    size_t more = all > before ? all - before : 0;
    if (more > 0 && !direct_charge(more))
        return false;
    uintptr_t base = direct_resize(span->base, before, all);
    lock_take(&arena.lock);
    arena.stats.large_bytes -= more;
    if (base != 0) {
        if (before > all)
            arena.stats.purged_bytes += before - all;
        direct_unregister_locked(span);
        direct_register_locked(span, base, all);
        group_resized_locked(span, before);
    }
    used_note();
    lock_release(&arena.lock);
    return base != 0;
}

/* ---- freeing either kind ---- */

/* Makes a direct block part of the arena, where it waits for its next use or for being discarded
 * like everything else. False: it would be discarded at once, or there is no memory to know it. */
static bool direct_join_locked(struct span *span)
{
    if (span->large.is_guarded || free_spans.dirty_pages + span->n_pages > dirty_pages_max() ||
        !map_cover(span->base, span_bytes(span)))
        return false;
    mapped_add(span->n_pages);
    return true;
}

/* It is charged until its memory is gone. */
static void direct_unmap(void *p, size_t bytes)
{
    os_pages_unmap(p, bytes);
    lock_take(&arena.lock);
    arena.n_purging_pages -= min_size(bytes >> PAGE_SHIFT, arena.n_purging_pages);
    used_note();
    lock_release(&arena.lock);
}

/* Finding the block and taking it is one step under the lock: of two frees one finds nothing. */
bool arena_free_large(void *p)
{
    uint32_t now = now_ms();
    size_t bytes_to_unmap = 0;
    lock_take(&arena.lock);
    struct span *span = large_at_locked(p);
    bool is_direct = span != NULL && span->kind == SPAN_DIRECT;
    if (span != NULL)
        group_leave_locked(span);
    if (is_direct)
        direct_unregister_locked(span);
    if (is_direct && !direct_join_locked(span)) {
        bytes_to_unmap = span_bytes(span);
        arena.stats.purged_bytes += bytes_to_unmap;
        regret_note_purge(&arena.regret, span->n_pages, now);
        arena.stats.n_large_frees++;
        arena.n_purging_pages += span->n_pages;
        counter_add(&memory_limits.n_given, 1);
        spare_put(span);
        used_note();
    } else if (span != NULL) {
        give_locked(span, span->n_pages, now);
        purge_due_locked(now);
    }
    lock_release(&arena.lock);
    if (bytes_to_unmap > 0)
        direct_unmap(p, bytes_to_unmap);
    return span != NULL;
}

/* ---- looking at it ---- */

bool arena_try_stats(struct arena_stats *stats, lock_taker *taker)
{
    if (!taker(&arena.lock))
        return false;
    *stats = arena.stats;
    stats->mapped_bytes = arena.mapped_pages << PAGE_SHIFT;
    stats->mapped_peak_bytes = arena.mapped_peak_pages << PAGE_SHIFT;
    stats->n_free_spans = free_spans.n_spans;
    memcpy(stats->n_free_spans_of_size, free_spans.n_by_size, sizeof free_spans.n_by_size);
    stats->free_bytes = free_spans.free_pages << PAGE_SHIFT;
    stats->free_largest_bytes = free_largest() << PAGE_SHIFT;
    stats->dirty_bytes = free_spans.dirty_pages << PAGE_SHIFT;
    lock_release(&arena.lock);
    return true;
}

void arena_get_stats(struct arena_stats *stats)
{
    (void)arena_try_stats(stats, lock_take_surely);
}

void arena_check(void)
{
    lock_take(&arena.lock);
    free_spans_check();
    HOLDS(free_spans.free_pages <= arena.mapped_pages);
    lock_release(&arena.lock);
}

void arena_lock(void)
{
    lock_take(&arena.lock);
}

void arena_unlock(void)
{
    lock_release(&arena.lock);
}

/* ---- fork ---- */

/* The threads that were discarding spans are not here: their spans are free as they are. */
void arena_fork_child(void)
{
    purging_end();
    lock_reset(&arena.lock);
}

void arena_fork_unnoticed(void)
{
    if (lock_is_held(&arena.lock)) {
        free_spans_give_up();
        arena.purging = NULL;
        arena.lowest = 0;
    }
    arena_fork_child();
}
