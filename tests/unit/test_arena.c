/* SPDX-License-Identifier: MIT */
/*
 * Taking, giving and resizing. What is given back to the kernel, and when: test_arena_purge.c.
 * Every test runs in a child, where the arena is new.
 */
#include "mem/arena.h"

#include "conf/options.h"
#include "fake_sys.h"
#include "os/pages.h"
#include "unit.h"

#include <errno.h>

/* Far from everything else, and a border between two leaves of the map. */
static uintptr_t border;

static int find_border(void **state)
{
    (void)state;
    border = unused_border();
    return 0;
}

/* ---- random operations against a model ---- */

enum { N_HELD = 100, N_STEPS = 3000 };

/* What is held of the arena. The first n_written pages hold a pattern. */
struct held {
    struct span *span; /* NULL: nothing */
    size_t n_written;
    uint64_t seed;
};

static struct held held[N_HELD];
static struct random dice;
static bool may_fail; /* calls to the kernel fail now and then */

struct setting {
    size_t page_bytes;
    uint64_t seed;
    bool may_fail;
};

static void *start_of(const struct span *span)
{
    return (void *)span->base;
}

static size_t in_kernel_pages(size_t n_pages)
{
    return round_up(n_pages, os_page_bytes() >> PAGE_SHIFT);
}

static void check_apart(const struct span *span)
{
    for (size_t i = 0; i < N_HELD; i++) {
        const struct span *other = held[i].span;
        if (other != NULL && other != span)
            check(span_end(span) <= other->base || span_end(other) <= span->base);
    }
}

/* Writes its pattern anew, all over. */
static void held_write(struct held *h, size_t n_pages)
{
    h->n_written = n_pages;
    h->seed = random_next(&dice);
    pattern_fill(start_of(h->span), n_pages << PAGE_SHIFT, h->seed);
}

static void held_check(const struct held *h)
{
    check(pattern_holds(start_of(h->span), h->n_written << PAGE_SHIFT, h->seed));
}

static void check_taken(const struct span *span, enum span_kind kind, size_t n_pages,
                        size_t align_pages)
{
    check_equal(span->kind, kind);
    check_equal(span->n_pages, in_kernel_pages(n_pages));
    check_equal(span->base % (align_pages << PAGE_SHIFT), 0);
    check_equal(span->base % os_page_bytes(), 0);
    check_apart(span);
    if (span->was_zero)
        check(is_zero(start_of(span), span_bytes(span)));
}

static void step_take_slab(struct held *h)
{
    h->span = arena_take(SPAN_SLAB, UNIT_PAGES, UNIT_PAGES);
    if (h->span == NULL)
        return;
    check_taken(h->span, SPAN_SLAB, UNIT_PAGES, UNIT_PAGES);
    held_write(h, random_below(&dice, UNIT_PAGES + 1));
    check(arena_large_at(start_of(h->span)) == NULL);
}

static void step_take_large(struct held *h)
{
    size_t n_pages = random_bytes(&dice, 500);
    size_t align_pages = (size_t)1 << random_below(&dice, 8);
    h->span = arena_take(SPAN_LARGE, n_pages, align_pages);
    if (h->span == NULL)
        return;
    check_taken(h->span, SPAN_LARGE, n_pages, align_pages);
    held_write(h, h->span->n_pages);
}

static void step_take_direct(struct held *h)
{
    size_t bytes = random_bytes(&dice, MIB);
    size_t align_pages = (size_t)1 << random_below(&dice, 10);
    h->span = arena_take_direct(bytes, align_pages << PAGE_SHIFT);
    if (h->span == NULL)
        return;
    check(h->span->was_zero);
    check_taken(h->span, SPAN_DIRECT, div_round_up(bytes, PAGE_BYTES), align_pages);
    held_write(h, h->span->n_pages);
}

static void step_take(struct held *h)
{
    switch (random_below(&dice, 8)) {
    case 0:
        step_take_direct(h);
        break;
    case 1:
    case 2:
        step_take_slab(h);
        break;
    default:
        step_take_large(h);
        break;
    }
    check(h->span != NULL || may_fail);
}

static void step_give(struct held *h)
{
    held_check(h);
    uintptr_t base = h->span->base;
    if (h->span->kind == SPAN_DIRECT)
        check(arena_free_large((void *)base));
    else
        arena_give(h->span, h->n_written);
    h->span = NULL;
    check(arena_large_at((void *)base) == NULL);
}

static void step_resize(struct held *h)
{
    if (h->span->kind == SPAN_SLAB)
        return;
    size_t n_before = h->span->n_pages;
    size_t n_pages = random_bytes(&dice, 500);
    bool done = h->span->kind == SPAN_DIRECT ? arena_resize_direct(h->span, n_pages << PAGE_SHIFT)
                                             : arena_resize(h->span, n_pages);
    check_equal(h->span->n_pages, done ? in_kernel_pages(n_pages) : n_before);
    h->n_written = min_size(n_before, h->span->n_pages);
    held_check(h);
    check_apart(h->span);
    held_write(h, h->span->n_pages);
}

static void check_large_at(const struct held *h)
{
    if (h->span->kind == SPAN_SLAB)
        return;
    char *p = start_of(h->span);
    check(arena_large_at(p) == h->span);
    check(arena_large_at(p + 1) == NULL);
    if (h->span->n_pages > 1)
        check(arena_large_at(p + PAGE_BYTES) == NULL);
}

static void check_totals(void)
{
    size_t arena_bytes = 0;
    size_t large_bytes = 0;
    size_t direct_bytes = 0;
    size_t n_large = 0;
    struct arena_stats stats;
    for (size_t i = 0; i < N_HELD; i++) {
        const struct span *span = held[i].span;
        if (span == NULL)
            continue;
        *(span->kind == SPAN_DIRECT ? &direct_bytes : &arena_bytes) += span_bytes(span);
        large_bytes += span->kind == SPAN_SLAB ? 0 : span_bytes(span);
        n_large += span->kind != SPAN_SLAB;
    }
    arena_check();
    arena_get_stats(&stats);
    check_equal(stats.mapped_bytes - stats.free_bytes, arena_bytes);
    check_equal(stats.large_bytes, large_bytes);
    check_equal(stats.direct_bytes, direct_bytes);
    check_equal(stats.n_large_allocs - stats.n_large_frees, n_large);
    check(stats.dirty_bytes <= stats.free_bytes);
}

static void make_a_call_fail(void)
{
    static const enum fake_call calls[] = {FAKE_MAP, FAKE_DISCARD, FAKE_RESIZE, FAKE_MOVE,
                                           FAKE_UNMAP};
    enum fake_call call = calls[random_below(&dice, ARRAY_LEN(calls))];
    fake_fail_once(call, 1 + random_below(&dice, 3), ENOMEM);
}

static void body_random(void *argument)
{
    const struct setting *setting = argument;
    dice.state = setting->seed;
    may_fail = setting->may_fail;
    fake_auxv_page_bytes(setting->page_bytes);
    options.purge_ms = 100;
    options.dirty_bytes = 4 * MIB;
    fake_clock_set(1000000);
    for (int i = 0; i < N_STEPS; i++) {
        struct held *h = &held[random_below(&dice, N_HELD)];
        fake_clock_add(random_below(&dice, 20));
        if (may_fail && random_below(&dice, 10) == 0)
            make_a_call_fail();
        if (h->span == NULL)
            step_take(h);
        else if (random_below(&dice, 3) == 0)
            step_resize(h);
        else
            step_give(h);
        if (h->span != NULL)
            check_large_at(h);
        if (i % 8 == 0)
            check_totals();
    }
    for (size_t i = 0; i < N_HELD; i++) {
        if (held[i].span != NULL)
            step_give(&held[i]);
    }
    check_totals();
}

static void test_random_operations(void **state)
{
    (void)state;
    struct setting settings[] = {
        {4096, 1, false}, {4096, 2, true}, {16384, 3, true}, {65536, 4, true}};
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        child_passes(body_random, &settings[i]);
}

/* ---- which span is taken ---- */

/* Takes spans of these sizes side by side, and gives back every second, beginning with the first.
 */
static void make_holes(const size_t *n_pages, uintptr_t *bases, size_t n)
{
    struct span *spans[16];
    for (size_t i = 0; i < n; i++) {
        spans[i] = arena_take(SPAN_LARGE, n_pages[i], 1);
        bases[i] = spans[i]->base;
        check(i == 0 || bases[i] == span_end(spans[i - 1]));
    }
    for (size_t i = 0; i < n; i += 2)
        arena_give(spans[i], n_pages[i]);
}

static void body_best_fit(void *argument)
{
    (void)argument;
    static const size_t n_pages[] = {5, 1, 3, 1, 9, 1, 3, 1, 4, 1};
    uintptr_t bases[ARRAY_LEN(n_pages)];
    make_holes(n_pages, bases, ARRAY_LEN(n_pages));
    /* The smallest that fits, the lowest of equals; from its low end. */
    check_equal(arena_take(SPAN_LARGE, 3, 1)->base, bases[2]);
    check_equal(arena_take(SPAN_LARGE, 3, 1)->base, bases[6]);
    check_equal(arena_take(SPAN_LARGE, 3, 1)->base, bases[8]);
    check_equal(arena_take(SPAN_LARGE, 4, 1)->base, bases[0]);
    check_equal(arena_take(SPAN_LARGE, 2, 1)->base, bases[4]);
    check_equal(arena_take(SPAN_LARGE, 1, 1)->base, bases[0] + (size_t)4 * PAGE_BYTES);
    check_equal(arena_take(SPAN_LARGE, 7, 1)->base, bases[4] + (size_t)2 * PAGE_BYTES);
    arena_check();
}

static void test_the_smallest_and_lowest_fit_is_taken(void **state)
{
    (void)state;
    child_passes(body_best_fit, NULL);
}

static void body_alignment(void *argument)
{
    (void)argument;
    for (size_t align_pages = 1; align_pages <= 4096; align_pages *= 2) {
        for (size_t n_pages = 1; n_pages < 40; n_pages += 13) {
            const struct span *span = arena_take(SPAN_LARGE, n_pages, align_pages);
            check(span != NULL);
            check_equal(span->base % (align_pages << PAGE_SHIFT), 0);
            arena_check();
        }
    }
}

static void test_alignment(void **state)
{
    (void)state;
    child_passes(body_alignment, NULL);
}

/* An aligned run between others leaves both its sides free. */
static void body_aligned_cut(void *argument)
{
    (void)argument;
    (void)arena_take(SPAN_LARGE, 1, 1);
    struct span *middle = arena_take(SPAN_LARGE, UNIT_PAGES, 64);
    struct span *before = arena_take(SPAN_LARGE, 63, 1);
    check(before->base < middle->base && span_end(before) == middle->base);
    struct arena_stats stats;
    arena_get_stats(&stats);
    check_equal(stats.mapped_bytes, MIB);
    check_equal(stats.free_bytes, MIB - (1 + UNIT_PAGES + 63) * (size_t)PAGE_BYTES);
    arena_check();
}

static void test_an_aligned_run_leaves_its_sides_free(void **state)
{
    (void)state;
    fake_map_hint(border); /* inherited by the child: a region whose base is aligned to anything */
    child_passes(body_aligned_cut, NULL);
    fake_map_hint(0);
}

static void body_merge(void *argument)
{
    const size_t *order = argument;
    struct span *spans[4];
    for (size_t i = 0; i < 4; i++)
        spans[i] = arena_take(SPAN_LARGE, 10, 1);
    uintptr_t base = spans[0]->base;
    for (size_t i = 0; i < 3; i++) {
        arena_give(spans[order[i]], 10);
        arena_check();
    }
    const struct span *all = arena_take(SPAN_LARGE, 30, 1);
    check_equal(all->base, base);
}

static void test_free_neighbours_merge_in_every_order(void **state)
{
    (void)state;
    size_t orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (size_t i = 0; i < ARRAY_LEN(orders); i++)
        child_passes(body_merge, orders[i]);
}

static void body_too_large(void *argument)
{
    (void)argument;
    check(arena_take(SPAN_LARGE, (size_t)INT32_MAX + 1, 1) == NULL);
    check(arena_take(SPAN_LARGE, 1, (size_t)INT32_MAX + 1) == NULL);
    check(arena_take(SPAN_LARGE, SIZE_MAX, 1) == NULL);
    check(arena_take_direct(SIZE_MAX, 1) == NULL);
    check(arena_take_direct(SIZE_MAX - PAGE_BYTES, (size_t)1 << 63) == NULL);
    check(arena_take_direct(PAGE_BYTES, (size_t)1 << 63) == NULL);
    struct span *span = arena_take(SPAN_LARGE, 1, 1);
    check(!arena_resize(span, SIZE_MAX));
    check(!arena_resize(span, (size_t)INT32_MAX + 1));
    struct span *direct = arena_take_direct(PAGE_BYTES, 1);
    check(!arena_resize_direct(direct, SIZE_MAX));
    check(!arena_resize_direct(direct, (size_t)1 << 62));
    check_equal(direct->n_pages, 1);
    arena_check();
}

static void test_sizes_that_no_machine_has(void **state)
{
    (void)state;
    child_passes(body_too_large, NULL);
}

/* ---- out of memory ---- */

enum { N_TAKEN_MAX = 1000, TAKEN_PAGES = 300 };

static size_t take_until_null(struct span **spans)
{
    size_t n = 0;
    while (n < N_TAKEN_MAX && (spans[n] = arena_take(SPAN_LARGE, TAKEN_PAGES, 1)) != NULL)
        n++;
    check(n < N_TAKEN_MAX);
    arena_check();
    return n;
}

static void body_no_memory(void *argument)
{
    static struct span *spans[N_TAKEN_MAX];
    static struct span *again[N_TAKEN_MAX];
    size_t nth = *(size_t *)argument;
    fake_fail_from(FAKE_MAP, nth, ENOMEM);
    size_t n = take_until_null(spans);
    for (size_t i = 0; i < n; i++)
        pattern_fill(start_of(spans[i]), PAGE_BYTES, i);
    /* What is given back can be had again, though the kernel still has none. */
    for (size_t i = 0; i < n; i += 2) {
        check(pattern_holds(start_of(spans[i]), PAGE_BYTES, i));
        arena_give(spans[i], 1);
    }
    check_equal(take_until_null(again), (n + 1) / 2);
    for (size_t i = 1; i < n; i += 2)
        check(pattern_holds(start_of(spans[i]), PAGE_BYTES, i));
    fake_fail_none();
    check(arena_take(SPAN_LARGE, TAKEN_PAGES, 1) != NULL);
    arena_check();
}

static void test_no_memory_from_the_nth_map_on(void **state)
{
    (void)state;
    for (size_t nth = 1; nth <= 12; nth++)
        child_passes(body_no_memory, &nth);
}

static void body_pressure(void *argument)
{
    (void)argument;
    fake_map_max(128 * KIB);
    check(arena_take(SPAN_LARGE, 33, 1) == NULL);
    arena_check();
    check(arena_take(SPAN_LARGE, 32, 1) != NULL);
    check(arena_take(SPAN_SLAB, UNIT_PAGES, UNIT_PAGES) != NULL);
    arena_check();
}

static void test_steps_get_as_small_as_they_must(void **state)
{
    (void)state;
    child_passes(body_pressure, NULL);
}

/* What was let go and is mapped anew at the same place is as new. */
static void body_unmap_free(void *argument)
{
    (void)argument;
    options.dirty_bytes = GIB;
    struct span *span = arena_take(SPAN_LARGE, 256, 1);
    uintptr_t base = span->base;
    pattern_fill(start_of(span), span_bytes(span), 1);
    arena_give(span, 256);
    size_t n_unmaps = fake_count(FAKE_UNMAP);
    arena_unmap_free();
    check_equal(fake_count(FAKE_UNMAP), n_unmaps + 1);
    struct arena_stats stats;
    arena_get_stats(&stats);
    check_equal(stats.mapped_bytes + stats.free_bytes + stats.dirty_bytes, 0);
    fake_map_hint(base);
    span = arena_take(SPAN_LARGE, 256, 1);
    check_equal(span->base, base);
    check(span->was_zero && is_zero(start_of(span), span_bytes(span)));
    arena_give(span, 3);
    arena_check();
    arena_get_stats(&stats);
    check_equal(stats.dirty_bytes, (size_t)3 * PAGE_BYTES);
}

static void test_free_address_space_is_let_go(void **state)
{
    (void)state;
    child_passes(body_unmap_free, NULL);
}

/* The first region lies just above a border: the next needs a second leaf, which cannot be had. */
static void body_no_leaf(void *argument)
{
    (void)argument;
    struct arena_stats stats;
    fake_map_hint(border);
    const struct span *span = arena_take(SPAN_LARGE, 256, 1);
    check_equal(span->base, border);
    fake_map_max(4 * MIB); /* less than a leaf */
    size_t n_unmaps = fake_count(FAKE_UNMAP);
    check(arena_take(SPAN_LARGE, 16, 1) == NULL);
    check(fake_count(FAKE_UNMAP) > n_unmaps);
    arena_get_stats(&stats);
    check_equal(stats.mapped_bytes, MIB);
    arena_check();
    fake_fail_none();
    span = arena_take(SPAN_LARGE, 16, 1);
    check(span != NULL && span->base < border);
    arena_check();
}

static void test_no_memory_for_the_map(void **state)
{
    (void)state;
    child_passes(body_no_leaf, NULL);
}

/* A span over the border between two leaves. */
static void body_over_a_border(void *argument)
{
    (void)argument;
    fake_map_hint(border);
    struct span *high = arena_take(SPAN_LARGE, 256, 1);
    struct span *low = arena_take(SPAN_LARGE, 256, 1);
    check_equal(span_end(low), border);
    arena_give(high, 256);
    arena_give(low, 0);
    arena_check();
    struct span *both = arena_take(SPAN_LARGE, 512, 1);
    check(both->base < border && span_end(both) > border);
    check(!both->was_zero);
    check(arena_large_at(start_of(both)) == both);
    arena_give(both, 512);
    arena_check();
    check(arena_purge_all());
    check(arena_take(SPAN_LARGE, 512, 1)->was_zero);
}

static void test_spans_over_a_border_of_the_map(void **state)
{
    (void)state;
    child_passes(body_over_a_border, NULL);
}

/* Other kernels, or other hints, give regions that begin at any page. */
static void body_odd_region(void *argument)
{
    (void)argument;
    fake_map_hint(border + (size_t)3 * PAGE_BYTES);
    const struct span *odd = arena_take(SPAN_LARGE, 1, 1);
    check_equal(odd->base, border + (size_t)3 * PAGE_BYTES);
    for (int i = 0; i < 40; i++) {
        const struct span *slab = arena_take(SPAN_SLAB, UNIT_PAGES, UNIT_PAGES);
        check_equal(slab->base % UNIT_BYTES, 0);
    }
    arena_check();
}

static void test_a_region_that_begins_at_an_odd_page(void **state)
{
    (void)state;
    child_passes(body_odd_region, NULL);
}

/* ---- resizing ---- */

static void body_resize(void *argument)
{
    (void)argument;
    struct span *span = arena_take(SPAN_LARGE, 20, 1);
    struct span *after = arena_take(SPAN_LARGE, 10, 1);
    struct span *last = arena_take(SPAN_LARGE, 1, 1);
    uintptr_t base = span->base;
    check(after->base == span_end(span) && last->base == span_end(after));
    check(arena_resize(span, 20));
    check(!arena_resize(span, 21));
    arena_give(after, 10);
    check(!arena_resize(span, 31));
    check(arena_resize(span, 25));
    check_equal(span->n_pages, 25);
    check(arena_resize(span, 30));
    check(!arena_resize(span, 31));
    arena_check();
    check(arena_resize(span, 1));
    check_equal(span->n_pages, 1);
    check_equal(span->base, base);
    check_equal(arena_take(SPAN_LARGE, 29, 1)->base, base + PAGE_BYTES);
    check(!arena_resize(span, 2));
    arena_check();
}

static void test_resizing_in_place(void **state)
{
    (void)state;
    child_passes(body_resize, NULL);
}

/* ---- direct blocks ---- */

static void body_direct_alignment(void *argument)
{
    (void)argument;
    for (size_t align = 1; align <= 64 * MIB; align *= 4) {
        for (size_t bytes = 1; bytes <= MIB; bytes = bytes * 37 + 1) {
            struct span *span = arena_take_direct(bytes, align);
            check(span != NULL);
            check_equal(span->base % align, 0);
            check(span_bytes(span) >= bytes && span_bytes(span) < bytes + PAGE_BYTES);
            check(is_zero(start_of(span), span_bytes(span)));
            pattern_fill(start_of(span), span_bytes(span), 1);
            check(arena_free_large(start_of(span)));
        }
    }
    struct arena_stats stats;
    arena_get_stats(&stats);
    check_equal(stats.direct_bytes, 0);
}

static void test_direct_blocks_are_aligned(void **state)
{
    (void)state;
    child_passes(body_direct_alignment, NULL);
}

static void body_direct_moves(void *argument)
{
    (void)argument;
    struct span *span = arena_take_direct(MIB, 1);
    uintptr_t base = span->base;
    pattern_fill(start_of(span), MIB, 1);
    fake_fail_once(FAKE_RESIZE, 1, ENOMEM);
    check(arena_resize_direct(span, 4 * MIB));
    check(span->base != base);
    check(pattern_holds(start_of(span), MIB, 1));
    check(is_zero((char *)start_of(span) + MIB, 3 * MIB));
    check(arena_large_at((void *)base) == NULL);
    check(arena_large_at(start_of(span)) == span);
    check_equal(fake_count(FAKE_MOVE), 1);
    check(arena_resize_direct(span, MIB));
    check_equal(span_bytes(span), MIB);
    check(pattern_holds(start_of(span), MIB, 1));
}

static void test_a_direct_block_that_cannot_grow_moves(void **state)
{
    (void)state;
    child_passes(body_direct_moves, NULL);
}

static void check_direct_stays(struct span *span)
{
    uintptr_t base = span->base;
    struct arena_stats stats;
    check(!arena_resize_direct(span, 4 * MIB));
    check_equal(span->base, base);
    check_equal(span_bytes(span), MIB);
    check(pattern_holds(start_of(span), MIB, 1));
    check(arena_large_at(start_of(span)) == span);
    arena_get_stats(&stats);
    check_equal(stats.direct_bytes, MIB);
    check_equal(stats.large_bytes, MIB);
    fake_fail_none();
}

static void body_direct_stays(void *argument)
{
    (void)argument;
    struct span *span = arena_take_direct(MIB, 1);
    pattern_fill(start_of(span), MIB, 1);
    fake_fail_once(FAKE_RESIZE, 1, ENOMEM);
    fake_fail_once(FAKE_MAP, 1, ENOMEM);
    check_direct_stays(span);
    fake_fail_once(FAKE_RESIZE, 1, ENOMEM);
    fake_fail_once(FAKE_MOVE, 1, ENOMEM);
    check_direct_stays(span);
    /* The place is found, a leaf of the map for it is not. */
    fake_fail_once(FAKE_RESIZE, 1, ENOMEM);
    fake_map_hint(border);
    fake_fail_once(FAKE_MAP, 2, ENOMEM);
    size_t n_unmaps = fake_count(FAKE_UNMAP);
    check_direct_stays(span);
    check_equal(fake_count(FAKE_UNMAP), n_unmaps + 1);
}

static void test_a_direct_block_that_cannot_move_stays(void **state)
{
    (void)state;
    child_passes(body_direct_stays, NULL);
}

static void body_no_direct(void *argument)
{
    (void)argument;
    check(arena_take_direct(MIB, 1) != NULL);
    fake_fail_once(FAKE_MAP, 1, ENOMEM);
    check(arena_take_direct(MIB, 1) == NULL);
    fake_map_hint(border);
    fake_fail_once(FAKE_MAP, 2, ENOMEM);
    size_t n_unmaps = fake_count(FAKE_UNMAP);
    check(arena_take_direct(MIB, 1) == NULL);
    check_equal(fake_count(FAKE_UNMAP), n_unmaps + 1);
    check(arena_take_direct(MIB, 1) != NULL);
}

static void test_no_memory_for_a_direct_block(void **state)
{
    (void)state;
    child_passes(body_no_direct, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations),
        cmocka_unit_test(test_the_smallest_and_lowest_fit_is_taken),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_an_aligned_run_leaves_its_sides_free),
        cmocka_unit_test(test_free_neighbours_merge_in_every_order),
        cmocka_unit_test(test_sizes_that_no_machine_has),
        cmocka_unit_test(test_no_memory_from_the_nth_map_on),
        cmocka_unit_test(test_steps_get_as_small_as_they_must),
        cmocka_unit_test(test_free_address_space_is_let_go),
        cmocka_unit_test(test_no_memory_for_the_map),
        cmocka_unit_test(test_spans_over_a_border_of_the_map),
        cmocka_unit_test(test_a_region_that_begins_at_an_odd_page),
        cmocka_unit_test(test_resizing_in_place),
        cmocka_unit_test(test_direct_blocks_are_aligned),
        cmocka_unit_test(test_a_direct_block_that_cannot_grow_moves),
        cmocka_unit_test(test_a_direct_block_that_cannot_move_stays),
        cmocka_unit_test(test_no_memory_for_a_direct_block),
    };
    return cmocka_run_group_tests(tests, find_border, NULL);
}
