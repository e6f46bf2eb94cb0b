/* SPDX-License-Identifier: MIT */
#include "conf/options.h"
#include "fake_sys.h"
#include "mem/arena.h"
#include "mem/huge.h"
#include "model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXTENT_BYTES = 2 * 1024 * 1024, N_BLOCKS = 16000 };

static char *blocks[N_BLOCKS];

/* A folder stands for /sys: this is what it says of huge pages, NULL: there is no such file. */
static void init(const char *enabled)
{
    static const char *const parts[] = {"/sys", "/kernel", "/mm", "/transparent_hugepage"};
    char root[] = "heap_huge_test.XXXXXX";
    char path[256];
    char command[sizeof root + 8];
    check(mkdtemp(root) != NULL);
    (void)snprintf(path, sizeof path, "%s", root);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        strcat(path, parts[i]);
        check(mkdir(path, 0755) == 0);
    }
    strcat(path, "/enabled");
    FILE *file = enabled != NULL ? fopen(path, "w") : NULL;
    if (enabled != NULL)
        check(file != NULL && fputs(enabled, file) >= 0 && fclose(file) == 0);
    fake_root(root);
    fake_clock_set(1000000);
    options.huge = HUGE_ON;
    huge_init();
    fake_root(NULL);
    (void)snprintf(command, sizeof command, "rm -r %s", root);
    check(system(command) == 0);
}

static void init_old_kernel(const char *enabled)
{
    fake_fail_from(FAKE_HUGE_PROBE, 1, EINVAL);
    init(enabled);
}

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

static void check_nothing_was_asked(void)
{
    check_equal(fake_count(FAKE_HUGE_ON), 0);
    check_equal(fake_count(FAKE_HUGE_OFF), 0);
    check_equal(fake_count(FAKE_HUGE_NOW), 0);
}

static void body_system(void *argument)
{
    (void)argument;
    huge_init();
    fill_slabs(1024);
    heap_free(grow());
    check_nothing_was_asked();
}

static void test_the_system_s_choice_is_left_alone(void **state)
{
    (void)state;
    child_passes(body_system, NULL);
}

/* ---- at once ---- */

static void body_on(void *argument)
{
    init(argument);
    /* Part of a slab of each class: much memory, none of it dense. */
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        void *p = heap_alloc(class_bytes(class));
        if (!class_is_small(class))
            heap_free(p);
    }
    heap_flush(my_heap());
    check_nothing_was_asked();
    fill_slabs(1024);
    size_t n = fake_count(FAKE_HUGE_NOW);
    check(n >= 4 && n <= N_BLOCKS * 1024 / EXTENT_BYTES);
    /* As it was left, but for an extent that other classes' slabs have a part in. */
    empty_slabs();
    heap_flush_all(true);
    fill_slabs(1024);
    check(fake_count(FAKE_HUGE_NOW) <= n + 1);
    /* New pages. */
    empty_slabs();
    heap_flush_all(true);
    (void)arena_purge_all();
    fill_slabs(1024);
    check(fake_count(FAKE_HUGE_NOW) >= 2 * n);
    n = fake_count(FAKE_HUGE_NOW);
    heap_free(grow());
    check_equal(fake_count(FAKE_HUGE_NOW), n);
    check_equal(fake_count(FAKE_HUGE_ON), 0);
    check_equal(fake_count(FAKE_HUGE_OFF), 0);
}

static void test_dense_extents_are_put_together(void **state)
{
    (void)state;
    child_passes(body_on, (char[]){"always [madvise] never\n"});
    child_passes(body_on, (char[]){"[always] madvise never\n"});
}

/* Handed out, and not written to. */
static void body_empty(void *argument)
{
    (void)argument;
    init("always [madvise] never\n");
    /* Up to where the class counts as one that grows. */
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        size_t n = class_bytes(class) >= 2048 ? 15 * (UNIT_BYTES / class_bytes(class)) : 0;
        for (; n > 0; n--)
            check(heap_calloc(1, class_bytes(class)) != NULL);
    }
    check_nothing_was_asked();
}

static void test_what_is_not_there_is_not_asked_for(void **state)
{
    (void)state;
    child_passes(body_empty, NULL);
}

/* One slab in 32 comes and goes with its pages. */
static void body_few_new(void *argument)
{
    (void)argument;
    enum { SLAB_BLOCKS = UNIT_BYTES / 1024, N_ROUNDS = 20 };
    init("always [madvise] never\n");
    fill_slabs(1024);
    size_t n = fake_count(FAKE_HUGE_NOW);
    size_t first = N_BLOCKS / 2;
    while ((uintptr_t)blocks[first] % UNIT_BYTES != 0)
        first++;
    for (int round = 0; round < N_ROUNDS; round++) {
        for (size_t i = first; i < first + SLAB_BLOCKS; i++)
            heap_free(blocks[i]);
        heap_flush_all(true);
        (void)arena_purge_all();
        for (size_t i = first; i < first + SLAB_BLOCKS; i++) {
            blocks[i] = heap_alloc(1024);
            blocks[i][0] = 1;
        }
    }
    size_t n_more = fake_count(FAKE_HUGE_NOW) - n;
    check(n_more > 0 && n_more <= N_ROUNDS / 8 + 1);
}

static void test_a_little_that_is_new_is_not_worth_it(void **state)
{
    (void)state;
    child_passes(body_few_new, NULL);
}

static void body_none_at_hand(void *argument)
{
    (void)argument;
    init("always [madvise] never\n");
    fake_fail_from(FAKE_HUGE_NOW, 1, ENOMEM);
    fill_slabs(1024);
    check_equal(fake_count(FAKE_HUGE_NOW), 1);
    fake_clock_add(2000);
    fill_slabs(1024);
    check_equal(fake_count(FAKE_HUGE_NOW), 2);
    heap_check(my_heap());
}

static void test_a_kernel_that_has_none_is_not_asked_again_at_once(void **state)
{
    (void)state;
    child_passes(body_none_at_hand, NULL);
}

static void body_refused(void *argument)
{
    (void)argument;
    init("always [madvise] never\n");
    fake_fail_from(FAKE_HUGE_NOW, 1, EINVAL);
    fill_slabs(1024);
    check(fake_count(FAKE_HUGE_NOW) >= 4);
    heap_free(grow());
    empty_slabs();
    heap_check(my_heap());
}

static void test_one_that_cannot_be_is_no_harm(void **state)
{
    (void)state;
    child_passes(body_refused, NULL);
}

static void body_not_there(void *argument)
{
    init(argument);
    fill_slabs(1024);
    check_nothing_was_asked();
}

static void test_where_the_system_has_none_it_is_left_at_that(void **state)
{
    (void)state;
    child_passes(body_not_there, (char[]){"always madvise [never]\n"});
    child_passes(body_not_there, (char[]){""});
    child_passes(body_not_there, NULL);
}

/* ---- by advice ---- */

static void body_advice(void *argument)
{
    (void)argument;
    init_old_kernel("always [madvise] never\n");
    fill_slabs(1024);
    size_t n = fake_count(FAKE_HUGE_ON);
    check(n >= 4 && n <= N_BLOCKS * 1024 / EXTENT_BYTES);
    check_equal(fake_count(FAKE_HUGE_OFF), 0);
    for (int i = 0; i < 5; i++) {
        empty_slabs();
        heap_flush_all(true);
        check_equal(fake_count(FAKE_HUGE_OFF), fake_count(FAKE_HUGE_ON));
        fill_slabs(1024);
    }
    check(fake_count(FAKE_HUGE_ON) <= n + 1);
    check_equal(fake_count(FAKE_HUGE_NOW), 0);
}

static void test_before_linux_6_1_the_advice_is_given_once_and_taken_back(void **state)
{
    (void)state;
    child_passes(body_advice, NULL);
}

static void body_by_itself(void *argument)
{
    (void)argument;
    init_old_kernel("[always] madvise never\n");
    fill_slabs(1024);
    check_nothing_was_asked();
}

static void test_where_all_is_huge_no_advice_is_needed(void **state)
{
    (void)state;
    child_passes(body_by_itself, NULL);
}

static void body_advice_refused(void *argument)
{
    (void)argument;
    init_old_kernel("always [madvise] never\n");
    fake_fail_from(FAKE_HUGE_ON, 1, EINVAL);
    fill_slabs(1024);
    empty_slabs();
    heap_check(my_heap());
}

static void test_a_kernel_without_them_is_no_harm(void **state)
{
    (void)state;
    child_passes(body_advice_refused, NULL);
}

/* ---- none ---- */

static void body_off(void *argument)
{
    (void)argument;
    options.huge = HUGE_OFF;
    huge_init();
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_system_s_choice_is_left_alone),
        cmocka_unit_test(test_dense_extents_are_put_together),
        cmocka_unit_test(test_what_is_not_there_is_not_asked_for),
        cmocka_unit_test(test_a_little_that_is_new_is_not_worth_it),
        cmocka_unit_test(test_a_kernel_that_has_none_is_not_asked_again_at_once),
        cmocka_unit_test(test_one_that_cannot_be_is_no_harm),
        cmocka_unit_test(test_where_the_system_has_none_it_is_left_at_that),
        cmocka_unit_test(test_before_linux_6_1_the_advice_is_given_once_and_taken_back),
        cmocka_unit_test(test_where_all_is_huge_no_advice_is_needed),
        cmocka_unit_test(test_a_kernel_without_them_is_no_harm),
        cmocka_unit_test(test_all_that_is_mapped_is_kept_from_huge_pages),
    };
    return cmocka_run_group_tests_name("heap_huge", tests, NULL, NULL);
}
