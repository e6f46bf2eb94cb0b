/* SPDX-License-Identifier: MIT */
/* malloc_usable_size: never less than asked, constant, and writable to its end. */
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

static void *(*const allocators[])(size_t bytes) = {by_malloc, by_calloc, by_growing, by_shrinking,
                                                    by_alignment};

static size_t sizes[CLASS_SIZES_MAX];
static void *blocks[CLASS_SIZES_MAX];
static size_t usable[CLASS_SIZES_MAX];

/* A block of each class, all of them alive. */
static size_t take_blocks(void *(*allocate)(size_t bytes))
{
    size_t n_sizes = list_class_sizes(sizes, COUNT_OF(sizes), MIB);
    for (size_t i = 0; i < n_sizes; i++) {
        blocks[i] = allocate(sizes[i]);
        assert_at(blocks[i] != NULL, sizes[i]);
        usable[i] = malloc_usable_size(blocks[i]);
    }
    return n_sizes;
}

static void give_blocks(size_t n_sizes)
{
    for (size_t i = 0; i < n_sizes; i++)
        free(blocks[i]);
}

static void test_at_least_what_was_asked_for(void **state)
{
    (void)state;
    for (size_t a = 0; a < COUNT_OF(allocators); a++) {
        size_t n_sizes = take_blocks(allocators[a]);
        for (size_t i = 0; i < n_sizes; i++)
            assert_at(usable[i] >= sizes[i], sizes[i]);
        give_blocks(n_sizes);
    }
}

static void test_all_of_it_is_writable(void **state)
{
    (void)state;
    for (size_t a = 0; a < COUNT_OF(allocators); a++) {
        size_t n_sizes = take_blocks(allocators[a]);
        for (size_t i = 0; i < n_sizes; i++)
            block_fill(blocks[i], usable[i], i);
        for (size_t i = 0; i < n_sizes; i++)
            assert_at(block_holds(blocks[i], usable[i], i), sizes[i]);
        give_blocks(n_sizes);
    }
}

/* Full to the last usable byte, while other blocks come and go. */
static void test_it_never_changes(void **state)
{
    (void)state;
    for (size_t a = 0; a < COUNT_OF(allocators); a++) {
        size_t n_sizes = take_blocks(allocators[a]);
        for (size_t i = 0; i < n_sizes; i++)
            block_fill(blocks[i], usable[i], i);
        for (size_t i = 0; i < n_sizes; i++)
            free(allocators[a](sizes[i]));
        for (size_t i = 0; i < n_sizes; i++) {
            assert_at(malloc_usable_size(blocks[i]) == usable[i], sizes[i]);
            assert_at(block_holds(blocks[i], usable[i], i), sizes[i]);
        }
        give_blocks(n_sizes);
    }
}

/* Growing within what malloc_usable_size() promised must not move anything else about. */
static void test_realloc_within_the_slack(void **state)
{
    (void)state;
    size_t n_sizes = list_class_sizes(sizes, COUNT_OF(sizes), MIB);
    for (size_t i = 0; i < n_sizes; i++) {
        void *block = malloc(sizes[i]);
        assert_at(block != NULL, sizes[i]);
        size_t all = malloc_usable_size(block);
        block_fill(block, all, i);
        block = realloc(block, all);
        assert_at(block != NULL, sizes[i]);
        assert_at(malloc_usable_size(block) >= all, sizes[i]);
        assert_at(block_holds(block, all, i), sizes[i]);
        free(block);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest rules[] = {
        cmocka_unit_test(test_null_has_none),
        cmocka_unit_test(test_at_least_what_was_asked_for),
        cmocka_unit_test(test_all_of_it_is_writable),
        cmocka_unit_test(test_it_never_changes),
        cmocka_unit_test(test_realloc_within_the_slack),
    };
    return CHECK_RULES(rules, argc, argv);
}
