/* SPDX-License-Identifier: MIT */
/* realloc and reallocarray: contents survive each change of size, and a refusal changes nothing. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "contract.h"

static void check_one_step(size_t from, size_t to)
{
    void *block = malloc(from);
    assert_at(block != NULL, from);
    block_fill(block, from, from);
    block = realloc(block, to);
    assert_at(block != NULL, to);
    assert_at(block_holds(block, from < to ? from : to, from), to);
    block_fill(block, to, to);
    assert_at(block_holds(block, to, to), to);
    free(block);
}

static void test_contents_survive_from_each_class_to_each(void **state)
{
    (void)state;
    static size_t sizes[CLASS_SIZES_MAX];
    size_t n_sizes = list_class_sizes(sizes, COUNT_OF(sizes), 33 * KIB);
    for (size_t from = 0; from < n_sizes; from++) {
        for (size_t to = 0; to < n_sizes; to++)
            check_one_step(sizes[from], sizes[to]);
    }
}

static void test_contents_survive_between_small_large_and_huge(void **state)
{
    (void)state;
    static const size_t sizes[] = {1,        100,          4096,    32 * KIB,   32 * KIB + 1,
                                   64 * KIB, 64 * KIB + 1, 100000,  128 * KIB,  500 * KIB,
                                   MIB,      MIB + 1,      3 * MIB, 8 * MIB - 1};
    for (size_t from = 0; from < COUNT_OF(sizes); from++) {
        for (size_t to = 0; to < COUNT_OF(sizes); to++)
            check_one_step(sizes[from], sizes[to]);
    }
    static const size_t huge_steps[][2] = {
        {40, 64 * MIB},           {64 * MIB, 40},           {MIB, 65 * MIB},       {65 * MIB, MIB},
        {64 * MIB, 64 * MIB + 1}, {96 * MIB, 64 * MIB + 1}, {64 * MIB, 100 * MIB},
    };
    for (size_t i = 0; i < COUNT_OF(huge_steps); i++)
        check_one_step(huge_steps[i][0], huge_steps[i][1]);
}

/* One block walks up through all sizes and down again, as growing buffers do. */
static void test_contents_survive_a_long_walk(void **state)
{
    (void)state;
    size_t bytes = 1;
    unsigned char *block = malloc(bytes);
    assert_non_null(block);
    block_fill(block, bytes, 7);
    while (bytes < 4 * MIB) {
        size_t next = bytes + (bytes < 2 * KIB ? 1 : bytes / 16);
        block = realloc(block, next);
        assert_at(block != NULL, next);
        assert_at(block_holds(block, bytes, 7), next);
        block_fill(block, next, 7);
        bytes = next;
    }
    while (bytes > 1) {
        bytes -= bytes < 2 * KIB ? 1 : bytes / 16;
        block = realloc(block, bytes);
        assert_at(block != NULL, bytes);
        assert_at(block_holds(block, bytes, 7), bytes);
    }
    free(block);
}

/* Two blocks grow in turn: growing in place must stop where the neighbour begins. */
static void test_neighbours_may_grow_in_turn(void **state)
{
    (void)state;
    enum { N_NEIGHBOURS = 4 };
    void *blocks[N_NEIGHBOURS] = {NULL};
    size_t before = 0;
    for (size_t bytes = 5000; bytes < 6 * MIB; bytes += bytes / 5) {
        for (size_t i = 0; i < N_NEIGHBOURS; i++) {
            blocks[i] = realloc(blocks[i], bytes);
            assert_at(blocks[i] != NULL, bytes);
            assert_at(block_holds(blocks[i], before, i), bytes);
            block_fill(blocks[i], bytes, i);
        }
        for (size_t i = 0; i < N_NEIGHBOURS; i++)
            assert_at(block_holds(blocks[i], bytes, i), bytes);
        before = bytes;
    }
    for (size_t i = 0; i < N_NEIGHBOURS; i++)
        free(blocks[i]);
}

static void test_results_are_aligned_to_16(void **state)
{
    (void)state;
    enum { N_SIZES = 200 };
    static void *blocks[N_SIZES];
    for (size_t bytes = 1; bytes < N_SIZES; bytes++) {
        blocks[bytes] = realloc(malloc(N_SIZES - bytes), bytes);
        assert_at(is_aligned(blocks[bytes], BLOCK_ALIGNMENT), bytes);
    }
    for (size_t bytes = 1; bytes < N_SIZES; bytes++)
        free(blocks[bytes]);
}

static void test_success_leaves_errno(void **state)
{
    (void)state;
    for (size_t from = 1; from <= GIB; from *= 8) {
        for (size_t to = 1; to <= GIB; to *= 4) {
            void *block = malloc(from);
            assert_at(block != NULL, from);
            errno = ERRNO_MARK;
            block = realloc(block, to);
            int error = errno;
            assert_at(block != NULL, to);
            assert_at(error == ERRNO_MARK, to);
            free(block);
        }
    }
}

static const size_t some_sizes[] = {0, 1, 100, 5000, 100000, 10 * MIB};

static void test_null_is_malloc(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(some_sizes); i++) {
        errno = ERRNO_MARK;
        void *block = realloc(NULL, opaque(some_sizes[i]));
        assert_at(block != NULL, some_sizes[i]);
        assert_int_equal(errno, ERRNO_MARK);
        block_fill(block, some_sizes[i], i);
        free(block);
    }
}

static void test_null_and_zero_are_a_unique_block(void **state)
{
    (void)state;
    void *first = realloc(NULL, opaque(0));
    void *second = realloc(NULL, opaque(0));
    assert_non_null(first);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    free(first);
    free(second);
}

static void test_zero_returns_null(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(some_sizes); i++)
        assert_at(realloc(malloc(opaque(some_sizes[i])), opaque(0)) == NULL, some_sizes[i]);
}

static void test_zero_leaves_errno(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(some_sizes); i++) {
        void *block = malloc(opaque(some_sizes[i]));
        errno = ERRNO_MARK;
        block = realloc(block, opaque(0));
        assert_at(errno == ERRNO_MARK, some_sizes[i]);
        free(block);
    }
}

/* Each of the sizes once refused, in as many ways as there are sizes that cannot be had. */
static void check_refusals(bool look_at_errno)
{
    static const size_t impossible[] = {SIZE_MAX, SIZE_MAX - 4096, PTRDIFF_MAX,
                                        (size_t)PTRDIFF_MAX + 1, (size_t)1 << 48};
    for (size_t i = 0; i < COUNT_OF(some_sizes) * COUNT_OF(impossible); i++) {
        size_t bytes = some_sizes[i / COUNT_OF(impossible)];
        void *volatile block = malloc(opaque(bytes));
        assert_at(block != NULL, bytes);
        block_fill(block, bytes, i);
        errno = 0;
        void *refused = realloc(block, opaque(impossible[i % COUNT_OF(impossible)]));
        int error = errno;
        assert_at(refused == NULL, bytes);
        if (look_at_errno)
            assert_int_equal(error, ENOMEM);
        else
            assert_at(block_holds(block, bytes, i), bytes);
        free(block);
    }
}

static void test_refusal_leaves_the_block(void **state)
{
    (void)state;
    check_refusals(false);
}

static void test_refusal_sets_enomem(void **state)
{
    (void)state;
    check_refusals(true);
}

static void *resize_elsewhere(void *block)
{
    return realloc(block, 50000);
}

static void test_another_thread_may_resize(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 100, 5000, 40000, 100000, 10 * MIB};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        void *block = malloc(sizes[i]);
        assert_at(block != NULL, sizes[i]);
        block_fill(block, sizes[i], i);
        pthread_t thread;
        void *resized = NULL;
        assert_int_equal(pthread_create(&thread, NULL, resize_elsewhere, block), 0);
        assert_int_equal(pthread_join(thread, &resized), 0);
        assert_at(resized != NULL, sizes[i]);
        assert_at(block_holds(resized, sizes[i] < 50000 ? sizes[i] : 50000, i), sizes[i]);
        free(resized);
    }
}

static void test_array_is_realloc_of_the_product(void **state)
{
    (void)state;
    int *numbers = reallocarray(NULL, 1000, sizeof(int));
    assert_non_null(numbers);
    block_fill(numbers, 1000 * sizeof(int), 1);
    numbers = reallocarray(numbers, 20000, sizeof(int));
    assert_non_null(numbers);
    assert_true(block_holds(numbers, 1000 * sizeof(int), 1));
    free(numbers);
}

static void test_array_of_zero_returns_null(void **state)
{
    (void)state;
    void *of_none = malloc(300);
    void *of_nothing = malloc(300);
    errno = ERRNO_MARK;
    assert_null(reallocarray(of_none, opaque(0), sizeof(int)));
    assert_null(reallocarray(of_nothing, 10, opaque(0)));
    assert_int_equal(errno, ERRNO_MARK);
}

static void test_array_of_null_and_zero_is_a_block(void **state)
{
    (void)state;
    void *block = reallocarray(NULL, opaque(0), 8);
    assert_non_null(block);
    free(block);
}

static void check_array_overflow(bool look_at_errno)
{
    static const size_t pairs[][2] = {
        {SIZE_MAX, 2},         {2, SIZE_MAX},
        {SIZE_MAX / 2 + 2, 2}, {(size_t)1 << 32, (size_t)1 << 32},
        {SIZE_MAX / 8 + 1, 8}, {SIZE_MAX, SIZE_MAX},
        {1, PTRDIFF_MAX},
    };
    /* volatile: the compiler believes that a block is gone once realloc has seen it. */
    void *volatile block = malloc(300);
    assert_non_null(block);
    block_fill(block, 300, 3);
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        errno = 0;
        void *refused = reallocarray(block, opaque(pairs[i][0]), opaque(pairs[i][1]));
        int error = errno;
        assert_at(refused == NULL, i);
        if (look_at_errno)
            assert_int_equal(error, ENOMEM);
        else
            assert_true(block_holds(block, 300, 3));
    }
    free(block);
}

static void test_array_overflow_leaves_the_block(void **state)
{
    (void)state;
    check_array_overflow(false);
}

static void test_array_overflow_sets_enomem(void **state)
{
    (void)state;
    check_array_overflow(true);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest rules[] = {
        cmocka_unit_test(test_contents_survive_from_each_class_to_each),
        cmocka_unit_test(test_contents_survive_between_small_large_and_huge),
        cmocka_unit_test(test_contents_survive_a_long_walk),
        cmocka_unit_test(test_neighbours_may_grow_in_turn),
        cmocka_unit_test(test_another_thread_may_resize),
        cmocka_unit_test(test_results_are_aligned_to_16),
        cmocka_unit_test(test_success_leaves_errno),
        cmocka_unit_test(test_null_is_malloc),
        cmocka_unit_test(test_null_and_zero_are_a_unique_block),
        cmocka_unit_test(test_zero_returns_null),
        cmocka_unit_test(test_zero_leaves_errno),
        cmocka_unit_test(test_refusal_leaves_the_block),
        cmocka_unit_test(test_refusal_sets_enomem),
        cmocka_unit_test(test_array_is_realloc_of_the_product),
        cmocka_unit_test(test_array_of_zero_returns_null),
        cmocka_unit_test(test_array_of_null_and_zero_is_a_block),
        cmocka_unit_test(test_array_overflow_leaves_the_block),
        cmocka_unit_test(test_array_overflow_sets_enomem),
    };
    return CHECK_RULES(rules, argc, argv);
}
