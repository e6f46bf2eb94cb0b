/* SPDX-License-Identifier: MIT */
/*
 * How much free memory the arena holds back from the kernel: so many bytes, a share of what is in
 * use, and what was given back and needed again. And which direct blocks it takes in.
 *
 * Nothing here grows old: see test_arena_purge.c. Every test runs in a child, where the arena is
 * new, by a clock that stands. Pages count as dirty because they are given as such; few are written
 * to.
 */
#include "arena_now.h"
#include "mem/arena.h"

#include "conf/options.h"
#include "fake_sys.h"
#include "unit.h"

#include <errno.h>

enum { START_MS = 1000000, HALVED_MS = 1000 };

static void begin(size_t dirty_pages, size_t dirty_percent)
{
    options.purge_ms = 3600000;
    options.dirty_bytes = dirty_pages * PAGE_BYTES;
    options.dirty_percent = dirty_percent;
    fake_clock_set(START_MS);
}

static size_t dirty_pages(void)
{
    return arena_now().dirty_bytes / PAGE_BYTES;
}

static size_t in_use_pages(void)
{
    struct arena_stats stats = arena_now();
    return (stats.mapped_bytes - stats.free_bytes + stats.direct_bytes) / PAGE_BYTES;
}

static char *page_of(const struct span *span, size_t page)
{
    return (char *)span->base + page * PAGE_BYTES;
}

static struct span *take(size_t n_pages)
{
    struct span *span = arena_take(SPAN_LARGE, n_pages, 1);
    check(span != NULL);
    return span;
}

/* One free span, never touched, that all which follows is cut from. */
static void make_room(void)
{
    arena_give(take(6400), 0);
}

/* Followed by a page that stays in use, so that it does not merge with the next. */
static struct span *take_apart(size_t n_pages)
{
    struct span *span = take(n_pages);
    check_equal(take(1)->base, span_end(span));
    return span;
}

static void give(struct span *span)
{
    arena_give(span, span->n_pages);
}

static void look_at(uint64_t ms)
{
    fake_clock_set(ms);
    arena_purge_due();
}

/* ---- a share of what is in use ---- */

struct share {
    size_t percent;
    size_t direct_pages;
    size_t kept_pages;
};

static void body_share(void *argument)
{
    const struct share *share = argument;
    begin(100, share->percent);
    struct span *span = take(3000);
    (void)take(1000);
    if (share->direct_pages > 0)
        check(arena_take_direct(share->direct_pages * PAGE_BYTES, 1) != NULL);
    give(span);
    check_equal(in_use_pages(), 1000 + share->direct_pages);
    check_equal(dirty_pages(), share->kept_pages);
}

static void test_a_share_of_what_is_in_use_is_kept(void **state)
{
    (void)state;
    struct share shares[] = {{0, 0, 100},    {50, 0, 600},   {100, 0, 1100},
                             {150, 0, 1600}, {50, 400, 800}, {290, 0, 3000}};
    for (size_t i = 0; i < ARRAY_LEN(shares); i++)
        child_passes(body_share, &shares[i]);
}

/* ---- the end of the oldest ---- */

static void body_end(void *argument)
{
    (void)argument;
    begin(1000, 0);
    make_room();
    struct span *old = take_apart(2000);
    struct span *young = take_apart(10);
    struct span low = *old;
    pattern_fill(page_of(old, 0), span_bytes(old), 1);
    pattern_fill(page_of(young, 0), span_bytes(young), 2);
    give(old);
    check_equal(dirty_pages(), 1000);
    check_equal(fake_count(FAKE_DISCARD), 1);
    check(pattern_holds(page_of(&low, 0), (size_t)1000 * PAGE_BYTES, 1));
    check(is_zero(page_of(&low, 1000), (size_t)1000 * PAGE_BYTES));
    /* Ten pages too many: a call is worth at least a MiB, below what is gone already. */
    struct span other = *young;
    give(young);
    check_equal(dirty_pages(), 1000 + 10 - 256);
    check_equal(fake_count(FAKE_DISCARD), 2);
    check(pattern_holds(page_of(&low, 0), (size_t)(1000 - 256) * PAGE_BYTES, 1));
    check(is_zero(page_of(&low, 1000 - 256), PAGE_BYTES));
    check(pattern_holds(page_of(&other, 0), span_bytes(&other), 2));
    check_equal(arena_now().purged_bytes, (1000 + 256) * (size_t)PAGE_BYTES);
}

static void test_of_the_oldest_span_the_end_goes_first(void **state)
{
    (void)state;
    child_passes(body_end, NULL);
}

/* The oldest has not enough: it goes as a whole, and the next loses its end. */
static void body_next(void *argument)
{
    (void)argument;
    begin(2000, 0);
    make_room();
    struct span *first = take_apart(300);
    struct span *second = take_apart(1500);
    struct span *third = take_apart(1000);
    struct span old[] = {*first, *second};
    pattern_fill(page_of(first, 0), span_bytes(first), 1);
    pattern_fill(page_of(second, 0), span_bytes(second), 1);
    give(first);
    give(second);
    check_equal(fake_count(FAKE_DISCARD), 0);
    give(third);
    check_equal(dirty_pages(), 2000);
    check_equal(fake_count(FAKE_DISCARD), 2);
    check(is_zero(page_of(&old[0], 0), span_bytes(&old[0])));
    check(pattern_holds(page_of(&old[1], 0), (size_t)1000 * PAGE_BYTES, 1));
    check(is_zero(page_of(&old[1], 1000), (size_t)500 * PAGE_BYTES));
}

static void test_what_the_oldest_lacks_the_next_loses(void **state)
{
    (void)state;
    child_passes(body_next, NULL);
}

/* Every discard is of whole pages of the kernel's, or fake_sys.c stops the test. */
static void body_kernel_pages(void *argument)
{
    (void)argument;
    fake_auxv_page_bytes(UNIT_BYTES);
    begin(999, 0);
    give(take(2000));
    check(fake_count(FAKE_DISCARD) > 0);
    check_equal(dirty_pages(), round_down(999, UNIT_PAGES));
}

static void test_the_end_is_cut_off_at_a_page_of_the_kernel_s(void **state)
{
    (void)state;
    child_passes(body_kernel_pages, NULL);
}

/* ---- regret ---- */

enum { LIMIT = 4000, ALL = 12000, OVER = ALL - LIMIT, REGRET_MAX = 16384 };

/* So little is in use when all is given that its share is no page. */
static struct span *give_and_take_again(struct span *span)
{
    give(span);
    check_equal(dirty_pages(), LIMIT);
    span = take(ALL);
    check_equal(dirty_pages(), 0);
    return span;
}

static void body_regret(void *argument)
{
    (void)argument;
    begin(LIMIT, 1);
    struct span *span = give_and_take_again(take(ALL));
    size_t n_discards = fake_count(FAKE_DISCARD);
    give(span);
    check_equal(dirty_pages(), ALL);
    /* New memory, that never went to the kernel, is not regretted. */
    span = take(ALL);
    struct span *fresh = take(1000);
    check(fresh->was_zero);
    give(fresh);
    give(span);
    check_equal(dirty_pages(), ALL);
    check_equal(fake_count(FAKE_DISCARD), n_discards + 1);
}

static void test_what_was_discarded_and_needed_again_is_kept_the_next_time(void **state)
{
    (void)state;
    child_passes(body_regret, NULL);
}

static void body_regret_by_growing(void *argument)
{
    (void)argument;
    begin(LIMIT, 1);
    give(take(ALL));
    struct span *span = take(LIMIT);
    check(arena_resize(span, ALL));
    give(span);
    check_equal(dirty_pages(), ALL);
}

static void test_a_block_that_grows_into_discarded_memory_counts(void **state)
{
    (void)state;
    child_passes(body_regret_by_growing, NULL);
}

/* So many pages, or half of the most there were. */
static void body_regret_max(void *argument)
{
    size_t n_pages = *(size_t *)argument;
    begin(0, 1);
    for (int i = 0; i < 3; i++) {
        give(take(n_pages));
        size_t limit = max_size(REGRET_MAX, arena_now().mapped_peak_bytes / PAGE_BYTES / 2);
        check_equal(dirty_pages(), i == 0 ? 0 : limit);
    }
}

static void test_regret_has_a_limit(void **state)
{
    (void)state;
    size_t n_pages[] = {25000, 40000, 100000};
    for (size_t i = 0; i < ARRAY_LEN(n_pages); i++)
        child_passes(body_regret_max, &n_pages[i]);
}

static void body_no_regret(void *argument)
{
    (void)argument;
    begin(LIMIT, 0);
    struct span *span = take(ALL);
    for (int i = 0; i < 3; i++)
        span = give_and_take_again(span);
}

static void test_without_a_share_there_is_no_regret(void **state)
{
    (void)state;
    child_passes(body_no_regret, NULL);
}

/* ---- regret fades ---- */

static void regret_at(uint64_t ms)
{
    begin(LIMIT, 1);
    fake_clock_set(ms);
    give(give_and_take_again(take(ALL)));
    check_equal(dirty_pages(), ALL);
}

static void body_fades(void *argument)
{
    uint64_t start = *(uint64_t *)argument;
    regret_at(start);
    look_at(start + HALVED_MS - 1);
    check_equal(dirty_pages(), ALL);
    look_at(start + HALVED_MS);
    check_equal(dirty_pages(), LIMIT + OVER / 2);
    look_at(start + 2 * HALVED_MS - 1);
    check_equal(dirty_pages(), LIMIT + OVER / 2);
    look_at(start + 3 * HALVED_MS);
    check_equal(dirty_pages(), LIMIT + OVER / 8);
    look_at(start + 67 * HALVED_MS); /* more halvings than a word has bits */
    check_equal(dirty_pages(), LIMIT);
}

static void test_regret_is_halved_every_second(void **state)
{
    (void)state;
    uint64_t starts[] = {START_MS, UINT64_C(0xffffffff) - HALVED_MS / 2, UINT64_C(0x90000000)};
    for (size_t i = 0; i < ARRAY_LEN(starts); i++)
        child_passes(body_fades, &starts[i]);
}

/* What went to the kernel long ago was not needed since. */
static void body_purged_fades(void *argument)
{
    (void)argument;
    begin(LIMIT, 1);
    give(take(ALL));
    look_at(START_MS + 3 * HALVED_MS);
    give(take(ALL));
    check_equal(dirty_pages(), LIMIT + OVER / 8);
}

static void test_what_was_discarded_long_ago_is_not_regretted(void **state)
{
    (void)state;
    child_passes(body_purged_fades, NULL);
}

/* It begins to fade when it begins, however long ago there was any. */
static void body_begins_late(void *argument)
{
    (void)argument;
    begin(ALL, 1);
    give(take(ALL));
    fake_clock_set(START_MS + 10 * HALVED_MS);
    check(arena_purge_all());
    options.dirty_bytes = LIMIT * (size_t)PAGE_BYTES;
    struct span *span = take(ALL);
    fake_clock_add(HALVED_MS - 1);
    give(span);
    check_equal(dirty_pages(), ALL);
    look_at(START_MS + 13 * HALVED_MS);
    check_equal(dirty_pages(), LIMIT + ALL / 8);
}

static void test_regret_does_not_begin_faded(void **state)
{
    (void)state;
    child_passes(body_begins_late, NULL);
}

/* As read by a thread that then waited for the lock. */
static void body_old_reading(void *argument)
{
    (void)argument;
    regret_at(START_MS);
    look_at(START_MS + HALVED_MS);
    check_equal(dirty_pages(), LIMIT + OVER / 2);
    look_at(START_MS + HALVED_MS / 2);
    look_at(START_MS - 5 * HALVED_MS);
    look_at(START_MS + 2 * HALVED_MS - 1);
    check_equal(dirty_pages(), LIMIT + OVER / 2);
    look_at(START_MS + 2 * HALVED_MS);
    check_equal(dirty_pages(), LIMIT + OVER / 4);
}

static void test_an_old_reading_of_the_clock_fades_nothing(void **state)
{
    (void)state;
    child_passes(body_old_reading, NULL);
}

/* ---- direct blocks ---- */

static struct span *take_direct(size_t n_pages)
{
    struct span *span = arena_take_direct(n_pages * PAGE_BYTES, 1);
    check(span != NULL && span->was_zero);
    return span;
}

/* Frees it; true: it has become part of the arena. */
static bool joins(struct span *span)
{
    size_t bytes = span_bytes(span);
    struct arena_stats before = arena_now();
    size_t n_unmaps = fake_count(FAKE_UNMAP);
    check(arena_free_large((void *)span->base));
    struct arena_stats after = arena_now();
    bool joined = after.mapped_bytes != before.mapped_bytes;
    size_t gone = joined ? 0 : bytes;
    check_equal(after.mapped_bytes, before.mapped_bytes + bytes - gone);
    check_equal(after.free_bytes, before.free_bytes + bytes - gone);
    check_equal(after.dirty_bytes, before.dirty_bytes + bytes - gone);
    check_equal(after.purged_bytes, before.purged_bytes + gone);
    check_equal(fake_count(FAKE_UNMAP), n_unmaps + !joined);
    check_equal(after.n_large_frees, before.n_large_frees + 1);
    check_equal(after.direct_bytes, before.direct_bytes - bytes);
    check_equal(after.large_bytes, before.large_bytes - bytes);
    return joined;
}

static void body_joins(void *argument)
{
    (void)argument;
    begin(1000, 0);
    struct span *span = take_direct(600);
    struct span *last = take_direct(400);
    struct span *too_much = take_direct(401);
    uintptr_t base = span->base;
    pattern_fill((void *)base, span_bytes(span), 1);
    check(joins(span));
    check(!joins(too_much));
    check(joins(last));
    check(!joins(take_direct(1)));
    check(arena_large_at((void *)base) == NULL);
    check_equal(fake_count(FAKE_DISCARD), 0);
}

static void test_direct_blocks_join_the_arena_up_to_the_limit(void **state)
{
    (void)state;
    child_passes(body_joins, NULL);
}

static void body_found_again(void *argument)
{
    (void)argument;
    begin(1000, 0);
    check(arena_take_free(SPAN_LARGE, 600, 1) == NULL);
    struct span *span = take_direct(600);
    uintptr_t base = span->base;
    pattern_fill((void *)base, span_bytes(span), 1);
    check(joins(span));
    size_t n_maps = fake_count(FAKE_MAP);
    span = arena_take_free(SPAN_LARGE, 600, 1);
    check(span != NULL && span->base == base && !span->was_zero);
    check(pattern_holds((void *)base, span_bytes(span), 1));
    check(arena_take_free(SPAN_LARGE, 600, 1) == NULL);
    check_equal(fake_count(FAKE_MAP), n_maps);
    /* From now on it is like any other: it grows old, or goes when there is too much. */
    check(arena_free_large((void *)base));
    check_equal(dirty_pages(), 600);
    look_at(START_MS + options.purge_ms);
    check_equal(dirty_pages(), 0);
    check_equal(arena_now().n_large_frees, 2);
    check(arena_take_free(SPAN_LARGE, 600, 1)->was_zero);
}

static void test_a_direct_block_that_joined_is_found_again(void **state)
{
    (void)state;
    child_passes(body_found_again, NULL);
}

/* To unmap one is to give memory to the kernel like any other, to be regretted like any other. */
static void body_direct_regret(void *argument)
{
    (void)argument;
    begin(LIMIT, 1);
    check(!joins(take_direct(ALL)));
    check(joins(take_direct(ALL)));
    check_equal(dirty_pages(), ALL);
}

static void test_a_direct_block_that_was_needed_again_joins(void **state)
{
    (void)state;
    child_passes(body_direct_regret, NULL);
}

/* Only the first page of a direct block needs a leaf of the map; the arena wants all. */
static void body_no_leaf(void *argument)
{
    (void)argument;
    begin(1000, 0);
    check_equal(take(256)->n_pages, 256); /* has the leaf that is there from the start */
    fake_map_hint(unused_border() - (size_t)10 * PAGE_BYTES);
    struct span *span = take_direct(20);
    fake_fail_from(FAKE_MAP, 1, ENOMEM);
    check(!joins(span));
    fake_fail_none();
    fake_map_hint(unused_border() - (size_t)10 * PAGE_BYTES);
    check(joins(take_direct(20)));
}

static void test_a_direct_block_that_the_map_cannot_hold_is_unmapped(void **state)
{
    (void)state;
    child_passes(body_no_leaf, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_share_of_what_is_in_use_is_kept),
        cmocka_unit_test(test_of_the_oldest_span_the_end_goes_first),
        cmocka_unit_test(test_what_the_oldest_lacks_the_next_loses),
        cmocka_unit_test(test_the_end_is_cut_off_at_a_page_of_the_kernel_s),
        cmocka_unit_test(test_what_was_discarded_and_needed_again_is_kept_the_next_time),
        cmocka_unit_test(test_a_block_that_grows_into_discarded_memory_counts),
        cmocka_unit_test(test_regret_has_a_limit),
        cmocka_unit_test(test_without_a_share_there_is_no_regret),
        cmocka_unit_test(test_regret_is_halved_every_second),
        cmocka_unit_test(test_what_was_discarded_long_ago_is_not_regretted),
        cmocka_unit_test(test_regret_does_not_begin_faded),
        cmocka_unit_test(test_an_old_reading_of_the_clock_fades_nothing),
        cmocka_unit_test(test_direct_blocks_join_the_arena_up_to_the_limit),
        cmocka_unit_test(test_a_direct_block_that_joined_is_found_again),
        cmocka_unit_test(test_a_direct_block_that_was_needed_again_joins),
        cmocka_unit_test(test_a_direct_block_that_the_map_cannot_hold_is_unmapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
