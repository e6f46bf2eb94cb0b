/* SPDX-License-Identifier: MIT */
#include "mem/arena.h"

#include "base/check.h"
#include "conf/options.h"
#include "mem/meta.h"
#include "mem/tree.h"
#include "os/clock.h"
#include "os/pages.h"
#include "os/process.h"

#include <string.h>

enum {
    STEP_MIN_PAGES = MIB >> PAGE_SHIFT,
    STEP_MAX_PAGES = (64 * MIB) >> PAGE_SHIFT,
    STEP_SHARE = 8,    /* a step is this part of what is mapped already */
    ALIGNED_TRIES = 8, /* spans looked at for an aligned run before asking for a surely large one */
    SPARES_MIN = 3,    /* records at hand before a span is split: nothing can fail half-way */
    SPAN_PAGES_MAX = INT32_MAX,
};

/* All fields: [lock]. */
static struct {
    struct lock lock;
    struct tree tree;
    struct span *oldest; /* free spans with touched pages */
    struct span *newest;
    struct span *purging; /* linked by .newer */
    struct span *spares;  /* linked by .newer */
    size_t n_spares;
    uintptr_t lowest; /* base of the region mapped last; the next is asked for below */
    size_t mapped_pages;
    size_t free_pages;
    size_t dirty_pages;
    struct arena_stats stats;
} arena = {.lock = LOCK_INIT(LOCK_ARENA)};

/* ---- records ---- */

static void spare_put(struct span *span)
{
    span->kind = SPAN_UNUSED;
    span->free.newer = arena.spares;
    arena.spares = span;
    arena.n_spares++;
}

static struct span *spare_get(void)
{
    struct span *span = arena.spares;
    arena.spares = span->free.newer;
    arena.n_spares--;
    return span;
}

static bool spares_fill(void)
{
    while (arena.n_spares < SPARES_MIN) {
        struct span *span = meta_take(sizeof *span);
        if (span == NULL)
            return false;
        spare_put(span);
    }
    return true;
}

/* The map finds a span by its first and its last page. */
static void span_register(struct span *span)
{
    *map_span_entry(span->base) = span;
    *map_span_entry(span_end(span) - PAGE_BYTES) = span;
}

static struct span *span_registered(uintptr_t address)
{
    return map_leaf(address) != NULL ? *map_span_entry(address) : NULL;
}

/* ---- the free spans: tree, order of age, totals ---- */

static void age_remove(struct span *span)
{
    *(span->free.older != NULL ? &span->free.older->free.newer : &arena.oldest) = span->free.newer;
    *(span->free.newer != NULL ? &span->free.newer->free.older : &arena.newest) = span->free.older;
}

static void age_append(struct span *span)
{
    span->free.older = arena.newest;
    span->free.newer = NULL;
    *(arena.newest != NULL ? &arena.newest->free.newer : &arena.oldest) = span;
    arena.newest = span;
}

/* Into the tree. Its place in the order of age is the caller's affair. */
static void free_insert(struct span *span)
{
    span->kind = SPAN_FREE;
    span_register(span);
    tree_insert(&arena.tree, span);
    arena.free_pages += span->n_pages;
    arena.dirty_pages += span->free.n_touched;
}

static void free_remove(struct span *span)
{
    tree_remove(&arena.tree, span);
    arena.free_pages -= span->n_pages;
    arena.dirty_pages -= span->free.n_touched;
}

static struct span *free_neighbour_before(uintptr_t base)
{
    struct span *span = span_registered(base - PAGE_BYTES);
    return span != NULL && span->kind == SPAN_FREE && span_end(span) == base ? span : NULL;
}

static struct span *free_neighbour_after(uintptr_t end)
{
    struct span *span = span_registered(end);
    return span != NULL && span->kind == SPAN_FREE && span->base == end ? span : NULL;
}

/* Joins `other`, a free neighbour, to `span`, which is in no tree. The whole is as old as the
 * larger part with touched pages: a trickle of small frees beside a large old span must not keep it
 * young. */
static void free_absorb(struct span *span, struct span *other)
{
    free_remove(other);
    if (other->free.n_touched > 0)
        age_remove(other);
    bool is_other_older = span->free.n_touched == 0 || other->n_pages > span->n_pages;
    if (other->free.n_touched > 0 && is_other_older)
        span->free.freed_ms = other->free.freed_ms;
    if (other->base < span->base)
        span->base = other->base;
    span->n_pages += other->n_pages;
    span->free.n_touched += other->free.n_touched;
    spare_put(other);
}

/* Keeps the list sorted: from the young end, past those that became free later. */
static void age_insert(struct span *span)
{
    struct span *after = arena.newest;
    while (after != NULL && (int32_t)(after->free.freed_ms - span->free.freed_ms) > 0)
        after = after->free.older;
    if (after == arena.newest) {
        age_append(span);
        return;
    }
    struct span *before = after != NULL ? after->free.newer : arena.oldest;
    span->free.older = after;
    span->free.newer = before;
    *(after != NULL ? &after->free.newer : &arena.oldest) = span;
    before->free.older = span;
}

/* span: base, n_pages, n_touched and freed_ms are set; in no tree or list. */
static void free_merge_and_insert(struct span *span)
{
    struct span *before = free_neighbour_before(span->base);
    if (before != NULL)
        free_absorb(span, before);
    struct span *after = free_neighbour_after(span_end(span));
    if (after != NULL)
        free_absorb(span, after);
    free_insert(span);
    if (span->free.n_touched > 0)
        age_insert(span);
}

/* ---- growing ---- */

/* Where the first region should lie: some way below the libraries, so that mappings of the program
 * do not cut into our growth; at a random distance; and not just above a 4 GiB border, because a
 * heap's fast path knows the slabs of one 4 GiB window. */
static uintptr_t first_region_end(void)
{
    uint64_t distance = GIB / 4 + (mix_bits(os_random_bits() + 1) % 1024) * MIB;
    uintptr_t libraries = (uintptr_t)&map_first_leaf;
    if (libraries < 16 * GIB)
        return 0;
    uintptr_t end = round_down(libraries - distance, MIB);
    return end % (UINT64_C(1) << LEAF_SHIFT) >= GIB ? end
                                                    : round_down(end, UINT64_C(1) << LEAF_SHIFT);
}

static uintptr_t region_map(size_t n_pages)
{
    size_t bytes = round_up(n_pages << PAGE_SHIFT, UNIT_BYTES);
    uintptr_t end = arena.lowest != 0 ? arena.lowest : first_region_end();
    uintptr_t hint = end > bytes ? end - bytes : 0;
    uintptr_t base = (uintptr_t)os_pages_map((void *)hint, bytes);
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
    while (base == 0 && pages / 2 > n_pages) {
        pages = round_up(pages / 2, UNIT_PAGES);
        base = region_map(pages);
    }
    if (base == 0) {
        pages = round_up(n_pages, UNIT_PAGES);
        base = region_map(pages);
    }
    if (base == 0)
        return false;
    arena.mapped_pages += pages;
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
    struct span *span = tree_at_least(&arena.tree, (uint32_t)n_pages, 0);
    for (int i = 0; i < ALIGNED_TRIES && span != NULL; i++) {
        if (aligned_start(span, n_pages, align_pages) != 0)
            return span;
        span = tree_at_least(&arena.tree, span->n_pages, span->base + 1);
    }
    return tree_at_least(&arena.tree, (uint32_t)(n_pages + align_pages - 1), 0);
}

/* What is left over of a free span on one side of a run that was cut out of it. */
static void free_put_rest(uintptr_t base, uintptr_t end, const struct span *of, size_t n_touched)
{
    if (base == end)
        return;
    struct span *rest = spare_get();
    rest->base = base;
    rest->n_pages = (uint32_t)((end - base) >> PAGE_SHIFT);
    rest->free.n_touched = (uint32_t)n_touched;
    rest->free.freed_ms = of->free.freed_ms;
    free_insert(rest);
    if (n_touched > 0)
        age_insert(rest);
}

static size_t touched_in(const struct span *span, uintptr_t base, uintptr_t end)
{
    if (span->free.n_touched == 0 || base == end)
        return 0;
    size_t n_pages = (end - base) >> PAGE_SHIFT;
    return span->free.n_touched == span->n_pages ? n_pages : map_touched_count(base, n_pages);
}

/* Cuts [base, end) out of a free span, which becomes the record of just that; the rest stays free.
 */
static void free_cut(struct span *span, uintptr_t base, uintptr_t end)
{
    free_remove(span);
    if (span->free.n_touched > 0)
        age_remove(span);
    uintptr_t old_base = span->base;
    uintptr_t old_end = span_end(span);
    size_t before = touched_in(span, old_base, base);
    size_t inside = touched_in(span, base, end);
    free_put_rest(old_base, base, span, before);
    free_put_rest(end, old_end, span, span->free.n_touched - before - inside);
    span->base = base;
    span->n_pages = (uint32_t)((end - base) >> PAGE_SHIFT);
    span->was_zero = inside == 0;
}

static size_t to_kernel_pages(size_t n_pages)
{
    return round_up(n_pages, os_page_bytes() >> PAGE_SHIFT);
}

static struct span *take_locked(enum span_kind kind, size_t n_pages, size_t align_pages)
{
    if (!spares_fill())
        return NULL;
    struct span *span = find_fit(n_pages, align_pages);
    if (span == NULL) {
        if (!arena_grow(n_pages + align_pages - 1) || !spares_fill())
            return NULL;
        span = find_fit(n_pages, align_pages);
    }
    uintptr_t base = aligned_start(span, n_pages, align_pages);
    free_cut(span, base, base + (n_pages << PAGE_SHIFT));
    span->kind = (uint8_t)kind;
    span_register(span);
    return span;
}

struct span *arena_take(enum span_kind kind, size_t n_pages, size_t align_pages)
{
    if (n_pages > SPAN_PAGES_MAX || align_pages > SPAN_PAGES_MAX)
        return NULL;
    size_t pages = to_kernel_pages(n_pages);
    lock_take(&arena.lock);
    struct span *span = take_locked(kind, pages, to_kernel_pages(align_pages));
    if (span != NULL && kind == SPAN_LARGE) {
        arena.stats.n_large_allocs++;
        arena.stats.large_bytes += span_bytes(span);
    }
    lock_release(&arena.lock);
    return span;
}

/* ---- giving back ---- */

static uint32_t now_ms(void)
{
    return (uint32_t)os_clock_ms();
}

static void purging_remove(const struct span *span)
{
    struct span **link = &arena.purging;
    while (*link != span)
        link = &(*link)->free.newer;
    *link = span->free.newer;
}

/* Discards one free span. Holds the lock on entry and on return, not in between. */
static bool purge_span(struct span *span)
{
    free_remove(span);
    age_remove(span);
    span->kind = SPAN_PURGING;
    span->free.newer = arena.purging;
    arena.purging = span;
    lock_release(&arena.lock);

    bool done = os_pages_discard((void *)span->base, span_bytes(span));

    lock_take(&arena.lock);
    purging_remove(span);
    if (done) {
        arena.stats.n_purges++;
        arena.stats.purged_bytes += (uint64_t)span->free.n_touched << PAGE_SHIFT;
        map_touched_clear(span->base, span->n_pages);
        span->free.n_touched = 0;
    } else {
        span->free.freed_ms = now_ms();
    }
    free_merge_and_insert(span);
    return done;
}

static bool is_due(const struct span *span, uint32_t now)
{
    return (arena.dirty_pages << PAGE_SHIFT) > options.dirty_bytes ||
           (int32_t)(now - span->free.freed_ms) >= (int32_t)options.purge_ms;
}

static void purge_due_locked(uint32_t now)
{
    /* A span that could not be discarded is young again: the loop ends. */
    while (arena.oldest != NULL && is_due(arena.oldest, now)) {
        if (!purge_span(arena.oldest))
            break;
    }
}

void arena_purge_due(void)
{
    lock_take(&arena.lock);
    purge_due_locked(now_ms());
    lock_release(&arena.lock);
}

bool arena_purge_all(void)
{
    bool any = false;
    lock_take(&arena.lock);
    while (arena.oldest != NULL && purge_span(arena.oldest))
        any = true;
    lock_release(&arena.lock);
    return any;
}

static void give_locked(struct span *span, size_t n_touched, uint32_t now)
{
    if (span->kind == SPAN_LARGE) {
        arena.stats.n_large_frees++;
        arena.stats.large_bytes -= span_bytes(span);
    }
    map_touched_set(span->base, n_touched);
    span->free.n_touched = (uint32_t)map_touched_count(span->base, span->n_pages);
    span->free.freed_ms = now;
    free_merge_and_insert(span);
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

static bool extend_locked(struct span *span, size_t n_pages)
{
    uintptr_t end = span->base + (n_pages << PAGE_SHIFT);
    struct span *after = free_neighbour_after(span_end(span));
    if (after == NULL || span_end(after) < end || !spares_fill())
        return false;
    free_cut(after, after->base, end);
    span->n_pages = (uint32_t)n_pages;
    span_register(span);
    spare_put(after);
    return true;
}

static bool shorten_locked(struct span *span, size_t n_pages)
{
    if (!spares_fill())
        return false;
    struct span *tail = spare_get(); /* of no kind: it counts as no block */
    tail->base = span->base + (n_pages << PAGE_SHIFT);
    tail->n_pages = span->n_pages - (uint32_t)n_pages;
    span->n_pages = (uint32_t)n_pages;
    span_register(span);
    give_locked(tail, tail->n_pages, now_ms());
    return true;
}

bool arena_resize(struct span *span, size_t n_pages)
{
    if (n_pages > SPAN_PAGES_MAX)
        return false;
    size_t pages = to_kernel_pages(n_pages);
    lock_take(&arena.lock);
    size_t before = span_bytes(span);
    bool done = pages == span->n_pages;
    if (pages > span->n_pages)
        done = extend_locked(span, pages);
    else if (pages < span->n_pages)
        done = shorten_locked(span, pages);
    arena.stats.large_bytes += span_bytes(span) - before;
    lock_release(&arena.lock);
    return done;
}

/* ---- direct blocks ---- */

/* A mapping of its own at a multiple of align_bytes; what lies around is unmapped again. */
static uintptr_t map_aligned(size_t bytes, size_t align_bytes)
{
    size_t slack = align_bytes > os_page_bytes() ? align_bytes : 0;
    if (bytes + slack < bytes)
        return 0;
    uintptr_t base = (uintptr_t)os_pages_map(NULL, bytes + slack);
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
    arena.stats.direct_bytes += bytes;
    arena.stats.large_bytes += bytes;
}

static void direct_unregister_locked(const struct span *span)
{
    arena.stats.direct_bytes -= span_bytes(span);
    arena.stats.large_bytes -= span_bytes(span);
}

struct span *arena_take_direct(size_t bytes, size_t align_bytes)
{
    size_t all = round_up(bytes, os_page_bytes());
    if (all < bytes || all >> PAGE_SHIFT > SPAN_PAGES_MAX)
        return NULL;
    uintptr_t base = map_aligned(all, align_bytes);
    if (base == 0)
        return NULL;
    struct span *span = NULL;
    lock_take(&arena.lock);
    if (map_cover(base, PAGE_BYTES) && spares_fill()) {
        span = spare_get();
        span->kind = SPAN_DIRECT;
        span->was_zero = true;
        direct_register_locked(span, base, all);
        arena.stats.n_large_allocs++;
    }
    lock_release(&arena.lock);
    if (span == NULL)
        os_pages_unmap((void *)base, all);
    return span;
}

static uintptr_t direct_move(uintptr_t base, size_t old_bytes, size_t new_bytes)
{
    uintptr_t to = (uintptr_t)os_pages_map(NULL, new_bytes);
    if (to == 0)
        return 0;
    if (!direct_cover(to) || !os_pages_move((void *)base, old_bytes, new_bytes, (void *)to)) {
        os_pages_unmap((void *)to, new_bytes);
        return 0;
    }
    return to;
}

bool arena_resize_direct(struct span *span, size_t bytes)
{
    size_t all = round_up(bytes, os_page_bytes());
    if (all < bytes || all >> PAGE_SHIFT > SPAN_PAGES_MAX)
        return false;
    uintptr_t base = span->base;
    if (!os_pages_resize((void *)base, span_bytes(span), all))
        base = direct_move(base, span_bytes(span), all);
    if (base == 0)
        return false;
    lock_take(&arena.lock);
    direct_unregister_locked(span);
    direct_register_locked(span, base, all);
    lock_release(&arena.lock);
    return true;
}

/* ---- freeing either kind ---- */

/* Finding the block and taking it is one step under the lock: of two frees one finds nothing. */
bool arena_free_large(void *p)
{
    uint32_t now = now_ms();
    size_t bytes_to_unmap = 0;
    lock_take(&arena.lock);
    struct span *span = large_at_locked(p);
    if (span != NULL && span->kind == SPAN_DIRECT) {
        bytes_to_unmap = span_bytes(span);
        direct_unregister_locked(span);
        arena.stats.n_large_frees++;
        spare_put(span);
    } else if (span != NULL) {
        give_locked(span, span->n_pages, now);
        purge_due_locked(now);
    }
    lock_release(&arena.lock);
    if (bytes_to_unmap > 0)
        os_pages_unmap(p, bytes_to_unmap);
    return span != NULL;
}

/* ---- looking at it ---- */

void arena_get_stats(struct arena_stats *stats)
{
    lock_take(&arena.lock);
    *stats = arena.stats;
    stats->mapped_bytes = arena.mapped_pages << PAGE_SHIFT;
    stats->free_bytes = arena.free_pages << PAGE_SHIFT;
    stats->dirty_bytes = arena.dirty_pages << PAGE_SHIFT;
    lock_release(&arena.lock);
}

struct walk {
    size_t n_spans;
    size_t pages;
    size_t dirty;
    size_t n_dirty_spans;
};

static void check_free_span(const struct span *span, struct walk *walk)
{
    HOLDS(span->kind == SPAN_FREE && span->n_pages > 0);
    HOLDS(span_registered(span->base) == span);
    HOLDS(span_registered(span_end(span) - PAGE_BYTES) == span);
    HOLDS(free_neighbour_before(span->base) == NULL);
    HOLDS(free_neighbour_after(span_end(span)) == NULL);
    HOLDS(map_touched_count(span->base, span->n_pages) == span->free.n_touched);
    walk->n_spans++;
    walk->pages += span->n_pages;
    walk->dirty += span->free.n_touched;
    walk->n_dirty_spans += span->free.n_touched > 0;
}

static void check_age(const struct walk *walk)
{
    size_t n = 0;
    const struct span *older = NULL;
    for (const struct span *span = arena.oldest; span != NULL; span = span->free.newer) {
        HOLDS(span->kind == SPAN_FREE && span->free.n_touched > 0);
        HOLDS(span->free.older == older);
        HOLDS(older == NULL || (int32_t)(span->free.freed_ms - older->free.freed_ms) >= 0);
        older = span;
        n++;
    }
    HOLDS(arena.newest == older);
    HOLDS(n == walk->n_dirty_spans);
}

void arena_check(void)
{
    struct walk walk = {0};
    lock_take(&arena.lock);
    struct span *span = tree_at_least(&arena.tree, 0, 0);
    while (span != NULL) {
        check_free_span(span, &walk);
        struct span *next = tree_at_least(&arena.tree, span->n_pages, span->base + 1);
        HOLDS(next == NULL || next->n_pages > span->n_pages ||
              (next->n_pages == span->n_pages && next->base > span->base));
        span = next;
    }
    HOLDS(walk.pages == arena.free_pages);
    HOLDS(walk.dirty == arena.dirty_pages);
    HOLDS(arena.free_pages <= arena.mapped_pages);
    check_age(&walk);
    lock_release(&arena.lock);
}

/* ---- fork ---- */

void arena_fork_prepare(void)
{
    lock_take(&arena.lock);
}

void arena_fork_parent(void)
{
    lock_release(&arena.lock);
}

/* The threads that were discarding spans are not here: their spans are free as they are. */
void arena_fork_child(void)
{
    while (arena.purging != NULL) {
        struct span *span = arena.purging;
        arena.purging = span->free.newer;
        free_merge_and_insert(span);
    }
    lock_reset(&arena.lock);
}
