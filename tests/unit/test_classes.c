/* SPDX-License-Identifier: MIT */
/* The tables of conf/classes.c, proved against the definition for every size and every offset. */
#include "conf/classes.h"

#include "unit.h"

/* 16 to 128 in steps of 16, then eight to a doubling: written down anew, in another way. */
static void test_sizes_are_those_of_the_definition(void **state)
{
    (void)state;
    size_t bytes = 0;
    size_t step = 16;
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        if (class > 8 && class % 8 == 0)
            step *= 2;
        bytes += step;
        check_equal(class_bytes(class), bytes);
        check_equal(bytes % BLOCK_ALIGN, 0);
    }
    check_equal(bytes, CLASS_MAX_BYTES);
}

static void test_every_size_gets_the_least_class_that_holds_it(void **state)
{
    (void)state;
    unsigned least = 0;
    for (size_t n = 0; n <= CLASS_MAX_BYTES; n++) {
        if (n > class_bytes(least))
            least++;
        check_equal(class_of(n), least);
        if (n > 128)
            check_equal(class_of_computed(n), least);
    }
}

static void test_scaled_table_is_the_class_times_the_scale(void **state)
{
    (void)state;
    for (size_t n = 0; n <= CLASS_TABLE_MAX_BYTES; n++) {
        size_t scaled = class_scaled_table[(n + BLOCK_ALIGN - 1) / BLOCK_ALIGN];
        check_equal(scaled % CLASS_SCALE, 0);
        check_equal(scaled / CLASS_SCALE, class_of(n));
    }
}

static void test_at_most_an_eighth_is_slack(void **state)
{
    (void)state;
    for (size_t n = 129; n <= CLASS_MAX_BYTES; n++) {
        size_t slack = class_bytes(class_of(n)) - n;
        check(slack * 8 <= class_bytes(class_of(n)));
    }
}

static void test_index_of_every_offset(void **state)
{
    (void)state;
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        for (uint32_t offset = 0; offset < SMALL_SLAB_BYTES; offset++) {
            size_t index = class_is_small(class) ? offset / class_bytes(class) : 0;
            check_equal(class_index_of_offset(class, offset), index);
        }
    }
}

static void test_block_starts_are_multiples_and_nothing_else(void **state)
{
    (void)state;
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        for (uint32_t offset = 0; offset < SMALL_SLAB_BYTES; offset++) {
            bool is_start = class_is_block_start(class_reciprocal_table[class], offset);
            size_t rest = class_is_small(class) ? offset % class_bytes(class) : offset;
            check_equal(is_start, rest == 0);
        }
    }
}

static void test_small_blocks_share_slabs_and_medium_ones_have_their_own(void **state)
{
    (void)state;
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        size_t bytes = class_bytes(class);
        check_equal(class_is_small(class), bytes <= SMALL_MAX_BYTES);
        check_equal(class_slab_bytes(class), class_is_small(class) ? 64 * 1024 : bytes);
        check_equal(class_blocks_a_slab(class), class_slab_bytes(class) / bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_are_those_of_the_definition),
        cmocka_unit_test(test_every_size_gets_the_least_class_that_holds_it),
        cmocka_unit_test(test_scaled_table_is_the_class_times_the_scale),
        cmocka_unit_test(test_at_most_an_eighth_is_slack),
        cmocka_unit_test(test_index_of_every_offset),
        cmocka_unit_test(test_block_starts_are_multiples_and_nothing_else),
        cmocka_unit_test(test_small_blocks_share_slabs_and_medium_ones_have_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
