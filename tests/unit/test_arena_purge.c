/* SPDX-License-Identifier: MIT */
/* What the arena gives back to the kernel, when, and what it knows of it afterwards. Every test
 * runs in a child, where the arena is new, by a clock that stands. */
#include "arena_now.h"
#include "mem/arena.h"

#include "conf/options.h"
#include "fake_sys.h"
#include "unit.h"

#include <errno.h>

enum { PURGE_MS = 100, START_MS = 1000000 };

static void begin_at(uint64_t ms)
{
    options.purge_ms = PURGE_MS;
    options.dirty_bytes = GIB;
    options.dirty_percent = 0;
    fake_clock_set(ms);
}

static size_t dirty_pages(void)
{
    return arena_now().dirty_bytes / PAGE_BYTES;
}

/* Spans side by side, each followed by one page that stays in use, so that free ones do not merge.
 */
static struct span *take_apart(size_t n_pages)
{
    struct span *span = arena_take(SPAN_LARGE, n_pages, 1);
    pattern_fill((void *)span->base, span_bytes(span), 1);
    (void)arena_take(SPAN_LARGE, 1, 1);
    return span;
}

static struct span *take_written(size_t n_pages)
{
    struct span *span = arena_take(SPAN_LARGE, n_pages, 1);
    pattern_fill((void *)span->base, span_bytes(span), 1);
    return span;
}

static void give(struct span *span)
{
    arena_give(span, span->n_pages);
}

/* Takes what is expected at `base` and expects it to be zero and known to be so, or not. */
static void check_take(uintptr_t base, size_t n_pages, bool is_zero_expected)
{
    const struct span *span = arena_take(SPAN_LARGE, n_pages, 1);
    check_equal(span->base, base);
    check_equal(span->was_zero, is_zero_expected);
    check(is_zero((void *)base, n_pages * PAGE_BYTES) == is_zero_expected);
}

static void purge_at(uint64_t ms)
{
    fake_clock_set(ms);
    arena_purge_due();
}

/* ---- by age ---- */

static void body_age(void *argument)
{
    uint64_t start = *(uint64_t *)argument;
    begin_at(start);
    struct span *span = take_apart(10);
    uintptr_t base = span->base;
    give(span);
    check_equal(dirty_pages(), 10);
    purge_at(start + PURGE_MS - 1);
    check_equal(dirty_pages(), 10);
    check_equal(fake_count(FAKE_DISCARD), 0);
    purge_at(start + PURGE_MS);
    check_equal(dirty_pages(), 0);
    check_equal(fake_count(FAKE_DISCARD), 1);
    purge_at(start + (size_t)10 * PURGE_MS);
    check_equal(fake_count(FAKE_DISCARD), 1);
    struct arena_stats stats;
    arena_get_stats(&stats);
    check_equal(stats.n_purges, 1);
    check_equal(stats.purged_bytes, (size_t)10 * PAGE_BYTES);
    check_take(base, 10, true);
}

/* The record of a span holds the low 32 bits of the clock: their overflow must not show. */
static void test_what_is_old_goes_back(void **state)
{
    (void)state;
    uint64_t starts[] = {START_MS, UINT64_C(0x7fffffff), UINT64_C(0xffffffff) - PURGE_MS / 2,
                         UINT64_C(0x1234567890)};
    for (size_t i = 0; i < ARRAY_LEN(starts); i++)
        child_passes(body_age, &starts[i]);
}

static void body_order(void *argument)
{
    (void)argument;
    begin_at(START_MS);
    struct span *first = take_apart(10);
    struct span *second = take_apart(20);
    give(first);
    fake_clock_add(PURGE_MS / 2);
    give(second);
    purge_at(START_MS + PURGE_MS);
    check_equal(dirty_pages(), 20);
    purge_at(START_MS + PURGE_MS + PURGE_MS / 2);
    check_equal(dirty_pages(), 0);
}

static void test_only_what_is_old_enough_goes_back(void **state)
{
    (void)state;
    child_passes(body_order, NULL);
}

static void body_give_purges(void *argument)
{
    (void)argument;
    begin_at(START_MS);
    struct span *first = take_apart(10);
    struct span *second = take_apart(20);
    give(first);
    fake_clock_add(PURGE_MS);
    give(second);
    check_equal(dirty_pages(), 20);
}

/* The end of a block is given back as the whole is. */
static void body_shortening_purges(void *argument)
{
    (void)argument;
    begin_at(START_MS);
    struct span *first = take_apart(10);
    struct span *second = take_written(20);
    give(first);
    fake_clock_add(PURGE_MS);
    check(arena_resize(second, 5));
    check_equal(dirty_pages(), 15);
}

static void test_shortening_a_block_purges_what_is_due(void **state)
{
    (void)state;
    child_passes(body_shortening_purges, NULL);
}

/* Nobody has called for 40 days. */
static void body_age_of_months(void *argument)
{
    (void)argument;
    begin_at(START_MS);
    give(take_apart(10));
    purge_at(START_MS + UINT64_C(40) * 24 * 3600 * 1000);
    check_equal(dirty_pages(), 0);
}

static void test_what_is_very_old_goes_back(void **state)
{
    (void)state;
    child_passes(body_age_of_months, NULL);
}

static void test_giving_a_span_purges_what_is_due(void **state)
{
    (void)state;
    child_passes(body_give_purges, NULL);
}

/* Two neighbours, given PURGE_MS - 1 apart; with what age does the whole count? */
static void body_age_of_the_whole(void *argument)
{
    const size_t *n_pages = argument;
    begin_at(START_MS);
    struct span *old = take_written(n_pages[0]);
    struct span *young = take_apart(n_pages[1]);
    check_equal(span_end(old), young->base);
    give(old);
    fake_clock_add(PURGE_MS - 1);
    give(young);
    purge_at(START_MS + PURGE_MS);
    bool is_old = n_pages[0] > n_pages[1];
    check_equal(dirty_pages(), is_old ? 0 : n_pages[0] + n_pages[1]);
    purge_at(START_MS + (size_t)2 * PURGE_MS - 1);
    check_equal(dirty_pages(), 0);
}

static void test_a_whole_is_as_old_as_its_larger_part(void **state)
{
    (void)state;
    size_t sizes[][2] = {{50, 1}, {1, 50}};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        child_passes(body_age_of_the_whole, sizes[i]);
}

/* The region is full but for a free span at its low end; a larger span does not fit, and the arena
 * grows downwards, beside the free one. */
static void grow_beside_a_free_span(void)
{
    struct span *low = take_written(100);
    uintptr_t base = low->base;
    (void)arena_take(SPAN_LARGE, 156, 1);
    give(low);
    check_equal(arena_take(SPAN_LARGE, 200, 1)->base, base - (size_t)256 * PAGE_BYTES);
}

static void body_growth_keeps_age(void *argument)
{
    uint64_t start = *(uint64_t *)argument;
    begin_at(start);
    grow_beside_a_free_span();
    check_equal(dirty_pages(), 100);
    purge_at(start + PURGE_MS - 1);
    check_equal(dirty_pages(), 100);
    purge_at(start + PURGE_MS);
    check_equal(dirty_pages(), 0);
}

/* New address space is of no age: it makes its neighbours neither older nor younger. */
static void test_growing_does_not_change_the_age_of_a_neighbour(void **state)
{
    (void)state;
    uint64_t starts[] = {START_MS, UINT64_C(0x80000000) + START_MS};
    for (size_t i = 0; i < ARRAY_LEN(starts); i++)
        child_passes(body_growth_keeps_age, &starts[i]);
}

/* ---- by amount ---- */

static void body_amount(void *argument)
{
    (void)argument;
    begin_at(START_MS);
    options.dirty_bytes = (size_t)30 * PAGE_BYTES;
    struct span *spans[4];
    for (size_t i = 0; i < ARRAY_LEN(spans); i++)
        spans[i] = take_apart(15);
    uintptr_t first = spans[0]->base;
    give(spans[0]);
    give(spans[1]);
    check_equal(dirty_pages(), 30);
    check_equal(fake_count(FAKE_DISCARD), 0);
    give(spans[2]);
    check_equal(dirty_pages(), 30);
    check_equal(fake_count(FAKE_DISCARD), 1);
    check_take(first, 15, true);
    give(spans[3]);
    check_equal(dirty_pages(), 30);
    check_equal(fake_count(FAKE_DISCARD), 2);
}

static void test_no_more_than_the_option_is_kept(void **state)
{
    (void)state;
    child_passes(body_amount, NULL);
}

static void body_keep_nothing(void *argument)
{
    (void)argument;
    begin_at(START_MS);
    options.dirty_bytes = 0;
    for (size_t n_pages = 1; n_pages < 50; n_pages += 7) {
        give(take_apart(n_pages));
        check_equal(dirty_pages(), 0);
    }
}

static void test_nothing_is_kept_if_the_option_says_so(void **state)
{
    (void)state;
    child_passes(body_keep_nothing, NULL);
}

static void body_purge_all(void *argument)
{
    (void)argument;
    begin_at(START_MS);
    check(!arena_purge_all());
    struct span *spans[3];
    for (size_t i = 0; i < ARRAY_LEN(spans); i++)
        spans[i] = take_apart(15);
    uintptr_t base = spans[1]->base;
    for (size_t i = 0; i < ARRAY_LEN(spans); i++)
        give(spans[i]);
    check(arena_purge_all());
    check_equal(dirty_pages(), 0);
    check_equal(fake_count(FAKE_DISCARD), ARRAY_LEN(spans));
    check(!arena_purge_all());
    check(is_zero((void *)base, (size_t)15 * PAGE_BYTES));
}

static void test_purge_all(void **state)
{
    (void)state;
    child_passes(body_purge_all, NULL);
}

/* ---- what is known of the pages ---- */

static void body_touched(void *argument)
{
    (void)argument;
    begin_at(START_MS);
    struct span *span = arena_take(SPAN_SLAB, UNIT_PAGES, UNIT_PAGES);
    uintptr_t base = span->base;
    check(span->was_zero);
    (void)arena_take(SPAN_LARGE, 256 - UNIT_PAGES, 1);
    pattern_fill((void *)base, (size_t)3 * PAGE_BYTES, 1);
    arena_give(span, 3);
    check_equal(dirty_pages(), 3);
    check_take(base, 3, false);
    check_take(base + (size_t)3 * PAGE_BYTES, UNIT_PAGES - 3, true);
}

static void test_pages_that_were_not_touched_stay_known_as_zero(void **state)
{
    (void)state;
    fake_map_hint(unused_border()); /* a region whose base is aligned to a unit */
    child_passes(body_touched, NULL);
    fake_map_hint(0);
}

/* A slab that takes over pages with old data and touches none of them: they hold it still. */
static void body_touched_before(void *argument)
{
    (void)argument;
    begin_at(START_MS);
    struct span *span = take_apart(10);
    uintptr_t base = span->base;
    give(span);
    span = arena_take(SPAN_LARGE, 10, 1);
    check_equal(span->base, base);
    check(!span->was_zero);
    arena_give(span, 0);
    check_equal(dirty_pages(), 10);
    check_take(base, 10, false);
}

static void test_old_data_is_not_forgotten(void **state)
{
    (void)state;
    child_passes(body_touched_before, NULL);
}

static void body_discard_fails(void *argument)
{
    (void)argument;
    begin_at(START_MS);
    struct span *span = take_apart(10);
    uintptr_t base = span->base;
    give(span);
    fake_fail_from(FAKE_DISCARD, 1, EINVAL);
    purge_at(START_MS + PURGE_MS);
    check_equal(fake_count(FAKE_DISCARD), 1);
    check_equal(dirty_pages(), 10);
    check(pattern_holds((void *)base, (size_t)10 * PAGE_BYTES, 1));
    /* It is tried again, but not before it has grown old again. */
    purge_at(START_MS + (size_t)2 * PURGE_MS - 1);
    check_equal(fake_count(FAKE_DISCARD), 1);
    purge_at(START_MS + (size_t)2 * PURGE_MS);
    check_equal(fake_count(FAKE_DISCARD), 2);
    check(!arena_purge_all());
    struct arena_stats stats;
    arena_get_stats(&stats);
    check_equal(stats.n_purges, 0);
    check_equal(stats.purged_bytes, 0);
    check_take(base, 10, false);
}

static void test_what_cannot_be_discarded_is_not_taken_for_zero(void **state)
{
    (void)state;
    child_passes(body_discard_fails, NULL);
}

static void body_discards_fail_over_the_limit(void *argument)
{
    (void)argument;
    begin_at(START_MS);
    options.dirty_bytes = 0;
    fake_fail_from(FAKE_DISCARD, 1, EINVAL);
    for (size_t i = 1; i <= 10; i++) {
        give(take_apart(10 + i));
        check(fake_count(FAKE_DISCARD) <= i);
    }
    check(dirty_pages() > 0);
    fake_fail_none();
    arena_purge_due();
    check_equal(dirty_pages(), 0);
}

/* One try for each span given, however much there is over the limit. */
static void test_discards_that_fail_are_not_tried_in_a_loop(void **state)
{
    (void)state;
    child_passes(body_discards_fail_over_the_limit, NULL);
}

/* ---- while a span is on its way to the kernel ---- */

static struct {
    struct span *before;
    struct span *after;
    uintptr_t base; /* of the span in between, which is being discarded */
    size_t n_pages;
} around;

/* Other threads may do this while the lock is released. Nobody gets a page of the span. */
static void use_the_arena_meanwhile(void)
{
    arena_check();
    check_equal(dirty_pages(), 0);
    give(around.before);
    give(around.after);
    check_equal(dirty_pages(), 2 * around.n_pages);
    for (int i = 0; i < 3; i++) {
        const struct span *span = arena_take(SPAN_LARGE, around.n_pages, 1);
        check(span->base + span_bytes(span) <= around.base ||
              span->base >= around.base + around.n_pages * PAGE_BYTES);
        pattern_fill((void *)span->base, span_bytes(span), 2);
        arena_check();
    }
}

static void take_three_neighbours(size_t n_pages, size_t n_between)
{
    around.n_pages = n_pages;
    around.before = take_written(n_pages);
    struct span *span = take_written(n_between);
    around.base = span->base;
    around.after = take_apart(n_pages);
    check_equal(span_end(around.before), span->base);
    check_equal(span_end(span), around.after->base);
    give(span);
}

static void body_meanwhile(void *argument)
{
    (void)argument;
    begin_at(START_MS);
    take_three_neighbours(10, 10);
    fake_on_discard(use_the_arena_meanwhile);
    purge_at(START_MS + PURGE_MS);
    check_equal(dirty_pages(), 0);
    check_take(around.base, 10, true);
}

static void test_a_span_that_is_being_discarded_is_left_alone(void **state)
{
    (void)state;
    child_passes(body_meanwhile, NULL);
}

static void give_both_sides(void)
{
    give(around.before);
    give(around.after);
}

static void body_merge_afterwards(void *argument)
{
    (void)argument;
    begin_at(START_MS);
    take_three_neighbours(10, 5);
    uintptr_t base = around.before->base;
    fake_on_discard(give_both_sides);
    purge_at(START_MS + PURGE_MS);
    check_equal(dirty_pages(), 20);
    check_take(base, 25, false);
}

static void test_it_merges_with_its_neighbours_afterwards(void **state)
{
    (void)state;
    child_passes(body_merge_afterwards, NULL);
}

static void body_young_neighbours(void *argument)
{
    (void)argument;
    begin_at(START_MS);
    take_three_neighbours(5, 50);
    fake_on_discard(give_both_sides);
    purge_at(START_MS + PURGE_MS);
    check_equal(fake_count(FAKE_DISCARD), 1);
    check_equal(dirty_pages(), 10);
    purge_at(START_MS + (size_t)2 * PURGE_MS - 1);
    check_equal(dirty_pages(), 10);
    purge_at(START_MS + (size_t)2 * PURGE_MS);
    check_equal(dirty_pages(), 0);
}

/* Pages that have just gone back have no age to give to their neighbours. */
static void test_it_does_not_make_its_neighbours_older(void **state)
{
    (void)state;
    child_passes(body_young_neighbours, NULL);
}

/* ---- threads ---- */

enum { N_THREADS = 4, N_ROUNDS = 2000, N_SPANS = 8 };

static void check_span_given(const struct span *span, uint64_t seed)
{
    check(pattern_holds((void *)span->base, span_bytes(span), seed));
}

static void *take_and_give(void *argument)
{
    uint64_t seed = *(uint64_t *)argument;
    struct random dice = {seed};
    struct span *spans[N_SPANS] = {NULL};
    for (size_t i = 0; i < N_ROUNDS; i++) {
        struct span **span = &spans[random_below(&dice, N_SPANS)];
        if (*span != NULL) {
            check_span_given(*span, seed);
            give(*span);
        }
        *span = arena_take(SPAN_LARGE, random_bytes(&dice, 40), 1);
        check(!(*span)->was_zero || is_zero((void *)(*span)->base, span_bytes(*span)));
        pattern_fill((void *)(*span)->base, span_bytes(*span), seed);
    }
    for (size_t i = 0; i < N_SPANS; i++) {
        if (spans[i] != NULL)
            give(spans[i]);
    }
    return NULL;
}

static void body_threads(void *argument)
{
    (void)argument;
    uint64_t seeds[N_THREADS];
    pthread_t threads[N_THREADS];
    options.dirty_bytes = (size_t)100 * PAGE_BYTES;
    options.dirty_percent = 0;
    for (size_t i = 0; i < N_THREADS; i++) {
        seeds[i] = i + 1;
        threads[i] = thread_start(take_and_give, &seeds[i]);
    }
    for (size_t i = 0; i < N_THREADS; i++)
        thread_join(threads[i]);
    check(dirty_pages() <= 100);
    struct arena_stats stats;
    arena_get_stats(&stats);
    check_equal(stats.free_bytes, stats.mapped_bytes);
    check(stats.n_purges > 0);
}

static void test_threads_purge_what_others_gave(void **state)
{
    (void)state;
    child_passes(body_threads, NULL);
}

static void body_page_ins(void *argument)
{
    (void)argument;
    begin_at(START_MS);
    struct span *first = take_apart(10);
    check_equal(arena_now().n_pages_kept, 0);
    give(first);
    first = arena_take(SPAN_LARGE, 6, 1);
    check_equal(arena_now().n_pages_kept, 6);
    give(first);
    check(arena_purge_all());
    check_equal(arena_now().n_pages_missed, 0);
    (void)arena_take(SPAN_LARGE, 8, 1);
    check_equal(arena_now().n_pages_missed, 8);
    (void)arena_take(SPAN_LARGE, 100, 1); /* more than was given back */
    check_equal(arena_now().n_pages_missed, 10);
    check_equal(arena_now().n_pages_kept, 6);
}

static void test_pages_that_come_back_are_counted(void **state)
{
    (void)state;
    child_passes(body_page_ins, NULL);
}

static void check_used(size_t now, size_t peak)
{
    check_equal(arena_now().slab_bytes + arena_now().large_bytes, now);
    check_equal(atomic_get_relaxed(&arena_used_bytes), now);
    check_equal(arena_now().used_peak_bytes, peak);
}

static void body_used(void *argument)
{
    (void)argument;
    begin_at(START_MS);
    struct span *large = arena_take(SPAN_LARGE, 10, 1);
    check_used(10 * PAGE_BYTES, 10 * PAGE_BYTES);
    struct span *slab = arena_take(SPAN_SLAB, UNIT_PAGES, UNIT_PAGES);
    check_equal(arena_now().slab_bytes, UNIT_BYTES);
    check_used(26 * PAGE_BYTES, 26 * PAGE_BYTES);
    check(arena_resize(large, 4));
    check_used(20 * PAGE_BYTES, 26 * PAGE_BYTES);
    check(arena_resize(large, 5));
    arena_give(slab, 0);
    check_used(5 * PAGE_BYTES, 26 * PAGE_BYTES);
    struct span *direct = arena_take_direct(MIB, 1);
    check_used(MIB + 5 * PAGE_BYTES, MIB + 5 * PAGE_BYTES);
    check(arena_resize_direct(direct, 2 * MIB));
    check(arena_free_large((void *)direct->base));
    check_used(5 * PAGE_BYTES, 2 * MIB + 5 * PAGE_BYTES);
    check(arena_now().space_peak_bytes >= arena_now().used_peak_bytes);
}

static void test_what_is_in_use_and_its_peak(void **state)
{
    (void)state;
    child_passes(body_used, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_that_come_back_are_counted),
        cmocka_unit_test(test_what_is_in_use_and_its_peak),
        cmocka_unit_test(test_what_is_old_goes_back),
        cmocka_unit_test(test_only_what_is_old_enough_goes_back),
        cmocka_unit_test(test_giving_a_span_purges_what_is_due),
        cmocka_unit_test(test_shortening_a_block_purges_what_is_due),
        cmocka_unit_test(test_what_is_very_old_goes_back),
        cmocka_unit_test(test_a_whole_is_as_old_as_its_larger_part),
        cmocka_unit_test(test_growing_does_not_change_the_age_of_a_neighbour),
        cmocka_unit_test(test_no_more_than_the_option_is_kept),
        cmocka_unit_test(test_nothing_is_kept_if_the_option_says_so),
        cmocka_unit_test(test_purge_all),
        cmocka_unit_test(test_pages_that_were_not_touched_stay_known_as_zero),
        cmocka_unit_test(test_old_data_is_not_forgotten),
        cmocka_unit_test(test_what_cannot_be_discarded_is_not_taken_for_zero),
        cmocka_unit_test(test_discards_that_fail_are_not_tried_in_a_loop),
        cmocka_unit_test(test_a_span_that_is_being_discarded_is_left_alone),
        cmocka_unit_test(test_it_merges_with_its_neighbours_afterwards),
        cmocka_unit_test(test_it_does_not_make_its_neighbours_older),
        cmocka_unit_test(test_threads_purge_what_others_gave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
