/* SPDX-License-Identifier: MIT */
#include "mem/free_spans.h"

#include "base/check.h"
#include "mem/meta.h"

enum { SPARES_MIN = 3 /* before a span is split: nothing can fail half-way */ };

struct free_spans free_spans;

THREAD_LOCAL bool span_was_taken;

/* ---- records ---- */

void spare_put(struct span *span)
{
    span->kind = SPAN_UNUSED;
    span->free.newer = free_spans.spares;
    free_spans.spares = span;
    free_spans.n_spares++;
}

struct span *spare_get(void)
{
    struct span *span = free_spans.spares;
    free_spans.spares = span->free.newer;
    free_spans.n_spares--;
    return span;
}

bool spares_fill(void)
{
    while (free_spans.n_spares < SPARES_MIN) {
        struct span *span = meta_take(sizeof *span);
        if (span == NULL)
            return false;
        spare_put(span);
    }
    return true;
}

void span_register(struct span *span)
{
    *map_span_entry(span->base) = span;
    *map_span_entry(span_end(span) - PAGE_BYTES) = span;
}

struct span *span_registered(uintptr_t address)
{
    return map_leaf(address) != NULL ? *map_span_entry(address) : NULL;
}

/* ---- the free spans: tree, order of age, totals ---- */

static void age_remove(struct span *span)
{
    *(span->free.older != NULL ? &span->free.older->free.newer : &free_spans.oldest) =
        span->free.newer;
    *(span->free.newer != NULL ? &span->free.newer->free.older : &free_spans.newest) =
        span->free.older;
}

/* Into the list right after `older`, or as the oldest of all. */
static void age_put_after(struct span *span, struct span *older)
{
    struct span *newer = older != NULL ? older->free.newer : free_spans.oldest;
    span->free.older = older;
    span->free.newer = newer;
    *(older != NULL ? &older->free.newer : &free_spans.oldest) = span;
    *(newer != NULL ? &newer->free.older : &free_spans.newest) = span;
}

/* Keeps the list sorted: from the young end, past those that became free later. What becomes free
 * now is not held up. */
static void age_put_sorted(struct span *span)
{
    struct span *older = free_spans.newest;
    while (older != NULL && (int32_t)(older->free.freed_ms - span->free.freed_ms) > 0)
        older = older->free.older;
    age_put_after(span, older);
}

static size_t *n_of_size(const struct span *span)
{
    return &free_spans.n_by_size[min_size(log2_floor(span->n_pages), N_SPAN_SIZES - 1)];
}

/* Into the tree. Its place in the order of age is the caller's affair. */
static void free_insert(struct span *span)
{
    span->kind = SPAN_FREE;
    span_register(span);
    tree_insert(&free_spans.tree, span);
    free_spans.n_spans++;
    ++*n_of_size(span);
    free_spans.free_pages += span->n_pages;
    free_spans.dirty_pages += span->free.n_touched;
}

static void free_remove(struct span *span)
{
    tree_remove(&free_spans.tree, span);
    free_spans.n_spans--;
    --*n_of_size(span);
    free_spans.free_pages -= span->n_pages;
    free_spans.dirty_pages -= span->free.n_touched;
}

static struct span *free_neighbour_before(uintptr_t base)
{
    struct span *span = free_spans.no_merging ? NULL : span_registered(base - PAGE_BYTES);
    return span != NULL && span->kind == SPAN_FREE && span_end(span) == base ? span : NULL;
}

struct span *free_neighbour_after(uintptr_t end)
{
    struct span *span = free_spans.no_merging ? NULL : span_registered(end);
    return span != NULL && span->kind == SPAN_FREE && span->base == end ? span : NULL;
}

/* Joins `other`, a free neighbour, to `span`, which is in no tree. The whole is as old as the part
 * with more touched pages, and takes its place in the list: a trickle of small frees beside a large
 * old span must not keep it young. */
static void free_absorb(struct span *span, struct span *other)
{
    free_remove(other);
    if (other->free.n_touched > 0) {
        struct span *older = other->free.older;
        age_remove(other);
        if (other->free.n_touched > span->free.n_touched) {
            if (span->free.n_touched > 0)
                age_remove(span);
            if (older == span)
                older = span->free.older;
            span->free.freed_ms = other->free.freed_ms;
            age_put_after(span, older);
        }
    }
    if (other->base < span->base)
        span->base = other->base;
    span->n_pages += other->n_pages;
    span->free.n_touched += other->free.n_touched;
    spare_put(other);
}

static bool may_join(const struct span *span, const struct span *other)
{
    return other != NULL && span->n_pages <= SPAN_PAGES_MAX - other->n_pages;
}

void free_merge_and_insert(struct span *span)
{
    if (span->free.n_touched > 0)
        age_put_sorted(span);
    struct span *before = free_neighbour_before(span->base);
    if (may_join(span, before))
        free_absorb(span, before);
    struct span *after = free_neighbour_after(span_end(span));
    if (may_join(span, after))
        free_absorb(span, after);
    free_insert(span);
}

/* ---- cutting ---- */

/* What is left over of a free span on one side of a run that was cut out of it. */
static void free_put_rest(uintptr_t base, uintptr_t end, const struct span *of, size_t n_touched,
                          struct span *older)
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
        age_put_after(rest, older);
}

static size_t touched_in(const struct span *span, uintptr_t base, uintptr_t end)
{
    if (span->free.n_touched == 0 || base == end)
        return 0;
    size_t n_pages = (end - base) >> PAGE_SHIFT;
    return span->free.n_touched == span->n_pages ? n_pages : map_touched_count(base, n_pages);
}

size_t free_cut(struct span *span, uintptr_t base, uintptr_t end)
{
    struct span *older = span->free.n_touched > 0 ? span->free.older : NULL;
    free_remove(span);
    if (span->free.n_touched > 0)
        age_remove(span);
    uintptr_t old_base = span->base;
    uintptr_t old_end = span_end(span);
    size_t before = touched_in(span, old_base, base);
    size_t inside = touched_in(span, base, end);
    free_put_rest(old_base, base, span, before, older);
    free_put_rest(end, old_end, span, span->free.n_touched - before - inside, older);
    span->base = base;
    span->n_pages = (uint32_t)((end - base) >> PAGE_SHIFT);
    span->was_zero = inside == 0;
    return inside;
}

void free_spans_give_up(void)
{
    free_spans = (struct free_spans){.no_merging = true};
}

/* ---- looking at it ---- */

size_t free_largest(void)
{
    const struct span *span = tree_last(&free_spans.tree);
    return span != NULL ? span->n_pages : 0;
}

struct walk {
    size_t n_spans;
    size_t pages;
    size_t dirty;
    size_t n_dirty_spans;
    size_t n_by_size[N_SPAN_SIZES];
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
    walk->n_by_size[n_of_size(span) - free_spans.n_by_size]++;
    walk->pages += span->n_pages;
    walk->dirty += span->free.n_touched;
    walk->n_dirty_spans += span->free.n_touched > 0;
}

static void check_age(const struct walk *walk)
{
    size_t n = 0;
    const struct span *older = NULL;
    for (const struct span *span = free_spans.oldest; span != NULL; span = span->free.newer) {
        HOLDS(span->kind == SPAN_FREE && span->free.n_touched > 0);
        HOLDS(span->free.older == older);
        HOLDS(older == NULL || (int32_t)(span->free.freed_ms - older->free.freed_ms) >= 0);
        older = span;
        n++;
    }
    HOLDS(free_spans.newest == older);
    HOLDS(n == walk->n_dirty_spans);
}

void free_spans_check(void)
{
    struct walk walk = {0};
    struct span *span = tree_at_least(&free_spans.tree, 0, 0);
    while (span != NULL) {
        check_free_span(span, &walk);
        struct span *next = tree_at_least(&free_spans.tree, span->n_pages, span->base + 1);
        HOLDS(next == NULL || next->n_pages > span->n_pages ||
              (next->n_pages == span->n_pages && next->base > span->base));
        span = next;
    }
    HOLDS(walk.n_spans == free_spans.n_spans);
    for (size_t i = 0; i < N_SPAN_SIZES; i++)
        HOLDS(walk.n_by_size[i] == free_spans.n_by_size[i]);
    HOLDS(walk.pages == free_spans.free_pages);
    HOLDS(walk.dirty == free_spans.dirty_pages);
    check_age(&walk);
}
