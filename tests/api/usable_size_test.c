/* SPDX-License-Identifier: MIT */
/* malloc_usable_size: never less than asked, constant, writable to its end, and not wasteful. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "contract.h"

static void test_null_has_none(void **state)
{
    (void)state;
    errno = ERRNO_MARK;
    assert_int_equal(malloc_usable_size(NULL), 0);
    assert_int_equal(errno, ERRNO_MARK);
}

static void *by_malloc(size_t bytes)
{
    return malloc(bytes);
}

static void *by_calloc(size_t bytes)
{
    return calloc(1, bytes);
}

static void *by_growing(size_t bytes)
{
    return realloc(malloc(bytes / 2), bytes);
}

static void *by_shrinking(size_t bytes)
{
    return realloc(malloc(bytes * 2), bytes);
}

static void *by_alignment(size_t bytes)
{
    return aligned_alloc(256, bytes);
}

/* All of them alive and full to the last usable byte, while other blocks come and go. */
static void check_slack(void *(*allocate)(size_t bytes))
{
    static size_t sizes[CLASS_SIZES_MAX];
    static void *blocks[CLASS_SIZES_MAX];
    static size_t usable[CLASS_SIZES_MAX];
    size_t n_sizes = list_class_sizes(sizes, COUNT_OF(sizes), MIB);
    for (size_t i = 0; i < n_sizes; i++) {
        blocks[i] = allocate(sizes[i]);
        assert_at(blocks[i] != NULL, sizes[i]);
        usable[i] = malloc_usable_size(blocks[i]);
        assert_at(usable[i] >= sizes[i], sizes[i]);
        block_fill(blocks[i], usable[i], i);
    }
    for (size_t i = 0; i < n_sizes; i++)
        free(allocate(sizes[i]));
    for (size_t i = 0; i < n_sizes; i++) {
        assert_at(malloc_usable_size(blocks[i]) == usable[i], sizes[i]);
        assert_at(block_holds(blocks[i], usable[i], i), sizes[i]);
    }
    for (size_t i = 0; i < n_sizes; i++)
        free(blocks[i]);
}

static void test_slack_is_constant_and_writable(void **state)
{
    (void)state;
    check_slack(by_malloc);
    check_slack(by_calloc);
    check_slack(by_growing);
    check_slack(by_shrinking);
    check_slack(by_alignment);
}

/* Growing within what malloc_usable_size() promised must not move anything else about. */
static void test_realloc_within_the_slack(void **state)
{
    (void)state;
    static size_t sizes[CLASS_SIZES_MAX];
    size_t n_sizes = list_class_sizes(sizes, COUNT_OF(sizes), MIB);
    for (size_t i = 0; i < n_sizes; i++) {
        void *block = malloc(sizes[i]);
        assert_at(block != NULL, sizes[i]);
        size_t usable = malloc_usable_size(block);
        block_fill(block, usable, i);
        block = realloc(block, usable);
        assert_at(block != NULL, sizes[i]);
        assert_at(malloc_usable_size(block) >= usable, sizes[i]);
        assert_at(block_holds(block, usable, i), sizes[i]);
        free(block);
    }
}

static size_t usable_bytes_of(size_t bytes)
{
    void *block = malloc(bytes);
    assert_at(block != NULL, bytes);
    size_t usable = malloc_usable_size(block);
    free(block);
    return usable;
}

static void test_classes_waste_an_eighth_at_most(void **state)
{
    (void)state;
    for (size_t bytes = 129; bytes <= 32 * KIB; bytes++)
        assert_at(usable_bytes_of(bytes) <= bytes + bytes / 8 + 16, bytes);
}

static void test_large_blocks_waste_less_than_two_pages(void **state)
{
    (void)state;
    for (size_t bytes = 32 * KIB + 1; bytes <= 32 * MIB; bytes += bytes / 9)
        assert_at(usable_bytes_of(bytes) < bytes + 2 * page_bytes(), bytes);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest rules[] = {
        cmocka_unit_test(test_null_has_none),
        cmocka_unit_test(test_slack_is_constant_and_writable),
        cmocka_unit_test(test_realloc_within_the_slack),
        cmocka_unit_test(test_classes_waste_an_eighth_at_most),
        cmocka_unit_test(test_large_blocks_waste_less_than_two_pages),
    };
    return CHECK_RULES(rules, argc, argv);
}
