/* SPDX-License-Identifier: MIT */
#include "heap/emergency.h"

#include "base/bits.h"
#include "heap/alloc.h"
#include "model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { AREA_BYTES = 256 * 1024 };

static void test_blocks_are_apart_and_aligned(void **state)
{
    (void)state;
    static const size_t aligns[] = {1, 16, 64, 4096, 32768};
    char *blocks[100];
    size_t n = 0;
    for (; n < ARRAY_LEN(blocks); n++) {
        size_t align = aligns[n % 5] <= 64 || n < 5 ? aligns[n % 5] : 16;
        blocks[n] = emergency_alloc(n * 7, align);
        check(blocks[n] != NULL && (uintptr_t)blocks[n] % align == 0);
        check((uintptr_t)blocks[n] % 16 == 0 && emergency_owns(blocks[n]));
        check(emergency_usable_size(blocks[n]) >= n * 7);
        pattern_fill(blocks[n], n * 7, n);
    }
    for (size_t i = 0; i < n; i++) {
        check(pattern_holds(blocks[i], i * 7, i));
        check(emergency_free_own(blocks[i]));
    }
}

static void test_the_last_free_empties_the_area(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        char *first = emergency_alloc(AREA_BYTES / 2 + 16, 1);
        check(first != NULL && emergency_alloc(AREA_BYTES / 2, 1) == NULL);
        char *second = emergency_alloc(AREA_BYTES / 4, 1);
        check(second != NULL);
        check(emergency_free_own(first));
        check(emergency_alloc(AREA_BYTES / 2, 1) == NULL);
        check(emergency_free_own(second));
    }
    check(emergency_alloc(AREA_BYTES + 1, 1) == NULL);
    check(emergency_alloc(SIZE_MAX, 1) == NULL);
    check(emergency_alloc(16, SIZE_MAX / 2 + 1) == NULL);
}

static void free_twice(void *argument)
{
    (void)argument;
    void *p = emergency_alloc(100, 1);
    (void)emergency_alloc(100, 1);
    (void)emergency_free_own(p);
    (void)emergency_free_own(p);
}

static void test_a_double_free_is_reported(void **state)
{
    (void)state;
    char expected[128];
    void *p = emergency_alloc(100, 1);
    snprintf(expected, sizeof expected,
             "poolalloc: fatal: free of a pointer that is no block: %p, class none\n", p);
    check(emergency_free_own(p));
    child_aborts(free_twice, NULL, expected);
}

/* Wherever in the block, and whatever is there. */
static void free_inside(void *argument)
{
    char *p = emergency_alloc(100, 1);
    memset(p, 0x41, 100);
    (void)emergency_free_own(p + *(size_t *)argument);
}

static void test_a_free_inside_of_a_block_is_reported(void **state)
{
    (void)state;
    static const size_t offsets[] = {1, 8, 16, 96, 99};
    char expected[128];
    char *p = emergency_alloc(100, 1);
    check(emergency_free_own(p));
    for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
        size_t offset = offsets[i];
        snprintf(expected, sizeof expected,
                 "poolalloc: fatal: free of a pointer that is no block: %p, class none\n",
                 p + offset);
        check_equal(emergency_usable_size(p + offset), 0);
        child_aborts(free_inside, &offset, expected);
    }
}

static void *take_and_free(void *argument)
{
    struct random random = {*(uint64_t *)argument};
    for (int i = 0; i < 20000; i++) {
        size_t bytes = random_below(&random, 2000);
        char *p = emergency_alloc(bytes, 1);
        if (p == NULL)
            continue;
        pattern_fill(p, bytes, i);
        check(pattern_holds(p, bytes, i));
        check(emergency_free_own(p));
    }
    return NULL;
}

static void test_threads_get_different_blocks(void **state)
{
    (void)state;
    pthread_t threads[4];
    uint64_t seeds[4] = {1, 2, 3, 4};
    for (int i = 0; i < 4; i++)
        threads[i] = thread_start(take_and_free, &seeds[i]);
    for (int i = 0; i < 4; i++)
        thread_join(threads[i]);
    void *p = emergency_alloc(AREA_BYTES - 64, 1); /* all is free again */
    check(p != NULL && emergency_free_own(p));
}

/* ---- inside ---- */

static void body_inside(void *argument)
{
    (void)argument;
    char *small = heap_alloc(100);
    char *large = heap_alloc(500000);
    pattern_fill(small, 100, 1);
    pattern_fill(large, 500000, 2);
    uint64_t live = live_blocks(class_of(100));

    check(heap_enter());
    check(!heap_enter());
    char *p = heap_alloc(100);
    check(emergency_owns(p));
    char *zeroed = heap_alloc_zeroed(1000);
    check(emergency_owns(zeroed) && is_zero(zeroed, 1000));
    check((uintptr_t)heap_alloc_aligned(256, 10) % 256 == 0);
    errno = 0;
    check(heap_alloc(2 * AREA_BYTES) == NULL && errno == ENOMEM);
    check_equal(heap_usable_size(small), class_bytes(class_of(100)));
    check(heap_usable_size(large) >= 500000);
    p = heap_realloc(p, 5000);
    check(emergency_owns(p));
    small = heap_realloc(small, 3000);
    check(emergency_owns(small) && pattern_holds(small, 100, 1));
    large = heap_realloc(large, 400);
    check(emergency_owns(large));
    heap_free(p);
    check(emergency_has_put_off());
    heap_leave();

    /* Outside the area's blocks are as good as any. */
    check(pattern_holds(small, 100, 1));
    check(heap_usable_size(small) >= 3000);
    small = heap_realloc(small, 5000);
    check(!emergency_owns(small) && pattern_holds(small, 100, 1));
    heap_free(large);
    heap_free(small);
    heap_free(zeroed);
    check(!emergency_has_put_off());
    check_equal(live_blocks(class_of(100)), live - 1);
    heap_check(my_heap());
}

/* ---- what is put off ---- */

static char *put_off;

static void make_put_off(size_t bytes)
{
    put_off = heap_alloc(bytes);
    check(heap_enter());
    heap_free(put_off);
}

static void put_off_twice(void *argument)
{
    (void)argument;
    make_put_off(100);
    heap_free(put_off);
}

static void put_off_what_is_free(void *argument)
{
    (void)argument;
    put_off = heap_alloc(100);
    heap_free(put_off);
    check(heap_enter());
    heap_free(put_off);
}

static void put_off_and_write(void *argument)
{
    (void)argument;
    make_put_off(100);
    memset(put_off, 0x41, sizeof(void *));
    heap_leave();
    heap_free(heap_alloc(500000));
}

static void put_off_inside(void *argument)
{
    (void)argument;
    put_off = heap_alloc(100);
    check(heap_enter());
    heap_free(put_off + 16);
}

static void test_faults_of_what_is_put_off(void **state)
{
    (void)state;
    static const struct {
        void (*body)(void *);
        const char *fault;
        size_t offset;
        const char *class;
    } cases[] = {
        {put_off_twice, "double free", 0, "112"},
        {put_off_what_is_free, "double free", 0, "112"},
        {put_off_and_write, "free block was overwritten or freed twice", 0, "none"},
        {put_off_inside, "free of a pointer that is no block", 16, "112"},
    };
    char expected[128];
    char *p = heap_alloc(100); /* as the children will get it */
    heap_free(p);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(expected, sizeof expected, "poolalloc: fatal: %s: %p, class %s\n", cases[i].fault,
                 p + cases[i].offset, cases[i].class);
        child_aborts(cases[i].body, NULL, expected);
    }
}

static void test_what_malloc_does_inside(void **state)
{
    (void)state;
    child_passes(body_inside, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_apart_and_aligned),
        cmocka_unit_test(test_the_last_free_empties_the_area),
        cmocka_unit_test(test_a_double_free_is_reported),
        cmocka_unit_test(test_a_free_inside_of_a_block_is_reported),
        cmocka_unit_test(test_threads_get_different_blocks),
        cmocka_unit_test(test_faults_of_what_is_put_off),
        cmocka_unit_test(test_what_malloc_does_inside),
    };
    return cmocka_run_group_tests_name("emergency", tests, NULL, NULL);
}
