/* SPDX-License-Identifier: MIT */
#include "conf/options.h"
#include "fake_sys.h"
#include "model.h"

enum { EXTENT_BYTES = 2 * 1024 * 1024, N_BLOCKS = 8000 };

static char *blocks[N_BLOCKS];

static void fill_slabs(size_t bytes)
{
    for (size_t i = 0; i < N_BLOCKS; i++) {
        blocks[i] = heap_alloc(bytes);
        check(blocks[i] != NULL);
        blocks[i][0] = 1;
    }
}

static void empty_slabs(void)
{
    for (size_t i = 0; i < N_BLOCKS; i++)
        heap_free(blocks[i]);
}

static char *grow(void)
{
    char *large = heap_alloc(40 * MIB);
    large = heap_realloc(large, 80 * MIB);
    check(large != NULL);
    return large;
}

static void body_system(void *argument)
{
    (void)argument;
    fill_slabs(1024);
    heap_free(grow());
    check_equal(fake_count(FAKE_HUGE_ON), 0);
    check_equal(fake_count(FAKE_HUGE_OFF), 0);
}

static void test_the_system_s_choice_is_left_alone(void **state)
{
    (void)state;
    child_passes(body_system, NULL);
}

static void body_on(void *argument)
{
    (void)argument;
    options.huge = HUGE_ON;
    /* Part of a slab of each class: much memory, none of it dense. */
    for (unsigned class = 0; class < N_CLASSES; class ++)
        (void)heap_alloc(class_bytes(class));
    check_equal(fake_count(FAKE_HUGE_ON), 0);
    fill_slabs(1024);
    size_t n = fake_count(FAKE_HUGE_ON);
    check(n >= 2 && n <= N_BLOCKS * 1024 / EXTENT_BYTES);
    /* The same memory again: it was not asked for while the slabs were there. */
    empty_slabs();
    heap_flush_all();
    fill_slabs(2048);
    check(fake_count(FAKE_HUGE_ON) > n);
    n = fake_count(FAKE_HUGE_ON);
    heap_free(grow());
    check_equal(fake_count(FAKE_HUGE_ON), n + 1);
    check_equal(fake_count(FAKE_HUGE_OFF), 0);
}

static void test_dense_extents_are_asked_for(void **state)
{
    (void)state;
    child_passes(body_on, NULL);
}

static void body_off(void *argument)
{
    (void)argument;
    options.huge = HUGE_OFF;
    size_t n_maps = fake_count(FAKE_MAP);
    fill_slabs(1024);
    heap_free(grow());
    check(fake_count(FAKE_HUGE_OFF) >= 3);
    check(fake_count(FAKE_HUGE_OFF) <= fake_count(FAKE_MAP) - n_maps);
    check_equal(fake_count(FAKE_HUGE_ON), 0);
}

static void test_all_that_is_mapped_is_kept_from_huge_pages(void **state)
{
    (void)state;
    child_passes(body_off, NULL);
}

static void body_refused(void *argument)
{
    (void)argument;
    options.huge = HUGE_ON;
    fake_fail_from(FAKE_HUGE_ON, 1, 22);
    fill_slabs(1024);
    heap_free(grow());
    empty_slabs();
    heap_check(my_heap());
}

static void test_a_kernel_without_them_is_no_harm(void **state)
{
    (void)state;
    child_passes(body_refused, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_system_s_choice_is_left_alone),
        cmocka_unit_test(test_dense_extents_are_asked_for),
        cmocka_unit_test(test_all_that_is_mapped_is_kept_from_huge_pages),
        cmocka_unit_test(test_a_kernel_without_them_is_no_harm),
    };
    return cmocka_run_group_tests_name("heap_huge", tests, NULL, NULL);
}
