/* SPDX-License-Identifier: MIT */
/*
 * poolalloc_malloc and its family: the library's malloc under names of its own.
 */
#include "captured.h"
#include "poolalloc.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

static void test_blocks_are_malloc_s(void **state)
{
    (void)state;
    char *p = poolalloc_malloc(100);
    assert_non_null(p);
    assert_int_equal(malloc_usable_size(p), poolalloc_usable_size(p));
    free(p);
    p = malloc(100);
    poolalloc_free(p);
    poolalloc_free(NULL);
    assert_int_equal(poolalloc_usable_size(NULL), 0);
}

static void test_calloc_is_zero_and_checks(void **state)
{
    (void)state;
    static const char zeroes[3000];
    void *p = poolalloc_calloc(30, 100);
    assert_memory_equal(p, zeroes, sizeof zeroes);
    poolalloc_free(p);
    errno = 0;
    assert_null(poolalloc_calloc(SIZE_MAX / 2 + 2, 2));
    assert_int_equal(errno, ENOMEM);
}

static void test_realloc_keeps_what_is_there(void **state)
{
    (void)state;
    char *p = poolalloc_realloc(NULL, 10);
    strcpy(p, "text");
    p = poolalloc_realloc(p, 100000);
    assert_string_equal(p, "text");
    p = poolalloc_realloc(p, 5);
    assert_string_equal(p, "text");
    assert_null(poolalloc_realloc(p, 0));
}

static void test_aligned_alloc(void **state)
{
    (void)state;
    for (size_t align = 1; align <= 1 << 20; align *= 2) {
        void *p = poolalloc_aligned_alloc(align, 24);
        assert_true((uintptr_t)p % align == 0);
        poolalloc_free(p);
    }
    errno = 0;
    assert_null(poolalloc_aligned_alloc(24, 24));
    assert_int_equal(errno, EINVAL);
}

static void test_good_size_is_what_a_block_has(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < 200000; bytes += 1 + bytes / 7) {
        void *p = poolalloc_malloc(bytes);
        if (getenv("POOLALLOC_CONF") == NULL)
            assert_int_equal(poolalloc_good_size(bytes), poolalloc_usable_size(p));
        assert_in_range(poolalloc_good_size(bytes), bytes, poolalloc_usable_size(p));
        poolalloc_free(p);
    }
    assert_int_equal(poolalloc_good_size(SIZE_MAX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_malloc_s),
        cmocka_unit_test(test_calloc_is_zero_and_checks),
        cmocka_unit_test(test_realloc_keeps_what_is_there),
        cmocka_unit_test(test_aligned_alloc),
        cmocka_unit_test(test_good_size_is_what_a_block_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
