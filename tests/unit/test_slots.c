/* SPDX-License-Identifier: MIT */
/* Which part slots are taken from and given back to without a look at the others. */
#include "objects/pool.h"
#include "unit.h"

enum { N = 512 }; /* slots of 8 bytes: one page, so that the first two parts have as many each */

static poolalloc_pool *pool;
static void *first[N];
static void *second[N];

/* Two parts, all of whose slots are taken; the second is the current one. */
static int set_up(void **state)
{
    (void)state;
    pool = pool_create(&(struct poolalloc_pool_options){.object_bytes = 8, .align = 8, .first = N});
    for (int i = 0; i < 2 * N; i++)
        (i < N ? first : second)[i % N] = pool_alloc(pool);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)pool_destroy(pool);
    return 0;
}

static bool is_of(void *const *part, const void *p)
{
    const char *base = part[0];
    return (const char *)p >= base && (const char *)p < base + N * 8;
}

static const char *current(void)
{
    return pool->lanes.slots.base;
}

static void give(void *p)
{
    check_equal(pool_free(pool, p), 0);
}

static void test_set_up_is_two_parts(void **state)
{
    (void)state;
    check(is_of(first, first[N - 1]) && is_of(second, second[N - 1]));
    check(current() == (char *)second[0]);
    check_equal(pool->lanes.slots.n_slots, 2 * N);
}

static void test_a_part_becomes_current_if_the_other_has_none_free(void **state)
{
    (void)state;
    give(first[3]);
    check(current() == (char *)first[0]);
    check(pool_alloc(pool) == first[3]);
}

static void test_a_part_becomes_current_with_its_second_free(void **state)
{
    (void)state;
    give(second[0]);
    give(first[3]);
    check(current() == (char *)second[0]);
    give(first[4]);
    check(current() == (char *)first[0]);
    check(pool_alloc(pool) == first[4] && pool_alloc(pool) == first[3]);
    check(pool_alloc(pool) == second[0]);
    check_equal(pool->lanes.slots.n_carved, 2 * N);
}

/* How often the current part changes while two are taken and given back in turn. */
static int count_moves(void)
{
    int n_moves = 0;
    const char *before = current();
    for (int i = 0; i < 100; i++) {
        void *taken[2] = {NULL, NULL};
        for (int step = 0; step < 4; step++) {
            if (step < 2)
                taken[step] = pool_alloc(pool);
            else
                give(taken[3 - step]);
            n_moves += current() != before;
            before = current();
        }
    }
    return n_moves;
}

/* The last first: after the first round, both are of the same part. */
static void test_a_boundary_between_parts_is_crossed_once(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++)
        give(first[i]);
    give(second[0]);
    give(second[1]);
    check(current() == (char *)second[0]);
    check(pool_alloc(pool) == second[1]);
    check(count_moves() <= 1);
}

/* Also where a part that is given to was the last one that was given to, long ago. */
static void test_what_was_missed_is_forgotten(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++)
        give(first[i]);
    for (int i = 0; i < 3; i++)
        give(second[i]);
    check(current() == (char *)second[0]);
    check(pool_alloc(pool) == second[2] && pool_alloc(pool) == second[1]);
    check(count_moves() <= 1);
}

static void test_no_slot_is_lost_whichever_part_is_current(void **state)
{
    (void)state;
    struct random random = {1};
    for (int round = 0; round < 50; round++) {
        int n_given = 0;
        for (int i = 0; i < 2 * N; i++) {
            void **slot = &(i % 2 == 0 ? first : second)[i / 2];
            if (random_below(&random, 3) > 0)
                continue;
            give(*slot);
            *slot = NULL;
            n_given++;
        }
        struct poolalloc_pool_stats stats;
        pool_get_stats(pool, &stats);
        check_equal(stats.in_use, (unsigned)(2 * N - n_given));
        for (int i = 0; i < 2 * N; i++) {
            void **slot = &(i < N ? first : second)[i % N];
            if (*slot == NULL)
                *slot = pool_alloc(pool);
        }
        check_equal(pool->lanes.slots.n_slots, 2 * N);
        check_equal(atomic_get_relaxed(&pool->lanes.slots.n_out), 2 * N);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_set_up_is_two_parts),
        TEST(test_a_part_becomes_current_if_the_other_has_none_free),
        TEST(test_a_part_becomes_current_with_its_second_free),
        TEST(test_a_boundary_between_parts_is_crossed_once),
        TEST(test_what_was_missed_is_forgotten),
        TEST(test_no_slot_is_lost_whichever_part_is_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
