/* SPDX-License-Identifier: MIT */
/* malloc and free: every size, alignment, what errno says, and that no two blocks overlap. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "contract.h"

static const size_t impossible_sizes[] = {
    SIZE_MAX,         SIZE_MAX - 1,
    SIZE_MAX - 15,    SIZE_MAX - 4095,
    SIZE_MAX - 65536, (size_t)PTRDIFF_MAX + 1,
    PTRDIFF_MAX,      (size_t)PTRDIFF_MAX - 4096,
    (size_t)1 << 62,  (size_t)1 << 48,
};

/* Sizes worth keeping alive side by side: each one to 4 KiB, then eight to a doubling. */
#define SIDE_BY_SIDE_MAX 8192

static size_t list_sizes(size_t *sizes, size_t last)
{
    size_t count = 0;
    for (size_t bytes = 0; bytes <= last; bytes += bytes < 4 * KIB ? 1 : bytes / 8 + 1) {
        assert_true(count < SIDE_BY_SIDE_MAX);
        sizes[count++] = bytes;
    }
    return count;
}

static size_t side_by_side[SIDE_BY_SIDE_MAX];
static void *neighbours[SIDE_BY_SIDE_MAX];

static void test_blocks_of_all_sizes_are_apart(void **state)
{
    (void)state;
    size_t count = list_sizes(side_by_side, MIB);
    for (size_t i = 0; i < count; i++) {
        neighbours[i] = malloc(opaque(side_by_side[i]));
        assert_at(neighbours[i] != NULL, side_by_side[i]);
        block_fill(neighbours[i], side_by_side[i], i);
    }
    for (size_t i = 0; i < count; i++)
        assert_at(block_holds(neighbours[i], side_by_side[i], i), side_by_side[i]);
    for (size_t i = 0; i < count; i++)
        free(neighbours[i]);
}

static void test_every_size_is_aligned_to_16(void **state)
{
    (void)state;
    size_t count = list_sizes(side_by_side, 64 * MIB);
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < count; i++) {
            neighbours[i] = malloc(opaque(side_by_side[i]));
            assert_at(neighbours[i] != NULL, side_by_side[i]);
            assert_at(is_aligned(neighbours[i], BLOCK_ALIGNMENT), side_by_side[i]);
        }
        for (size_t i = 0; i < count; i++)
            free(neighbours[i]);
    }
}

static void test_huge_blocks_are_apart(void **state)
{
    (void)state;
    static const size_t sizes[] = {2 * MIB, 4 * MIB + 1, 16 * MIB - 1, 64 * MIB, 64 * MIB + 1};
    void *blocks[COUNT_OF(sizes)];
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        blocks[i] = malloc(sizes[i]);
        assert_at(blocks[i] != NULL, sizes[i]);
        block_fill(blocks[i], sizes[i], i);
    }
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        assert_at(block_holds(blocks[i], sizes[i], i), sizes[i]);
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        free(blocks[i]);
}

static void test_zero_bytes_are_unique_blocks(void **state)
{
    (void)state;
    void *first = malloc(opaque(0));
    void *second = malloc(opaque(0));
    assert_non_null(first);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    free(first);
    free(second);
}

/* Many blocks of each class, freed in two interleaved sweeps: none may be handed out twice. */
static void test_recycled_blocks_do_not_overlap(void **state)
{
    (void)state;
    enum { N_BLOCKS = 1500, N_ROUNDS = 3 };
    static size_t sizes[CLASS_SIZES_MAX];
    static void *blocks[N_BLOCKS];
    size_t n_sizes = list_class_sizes(sizes, COUNT_OF(sizes), 8 * KIB);
    for (size_t s = 0; s < n_sizes; s++) {
        for (size_t i = 0; i < N_BLOCKS; i++)
            blocks[i] = NULL;
        for (size_t round = 0; round < N_ROUNDS; round++) {
            for (size_t i = round % 2; i < N_BLOCKS; i += 1 + round % 2) {
                free(blocks[i]);
                blocks[i] = NULL;
            }
            for (size_t i = 0; i < N_BLOCKS; i++) {
                if (blocks[i] == NULL)
                    blocks[i] = malloc(sizes[s]);
                assert_at(blocks[i] != NULL, sizes[s]);
                block_fill(blocks[i], sizes[s], i);
            }
            for (size_t i = 0; i < N_BLOCKS; i++)
                assert_at(block_holds(blocks[i], sizes[s], i), sizes[s]);
        }
        for (size_t i = 0; i < N_BLOCKS; i++)
            free(blocks[i]);
    }
}

static void test_too_much_is_refused_with_enomem(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(impossible_sizes); i++) {
        errno = 0;
        void *block = malloc(opaque(impossible_sizes[i]));
        int error = errno;
        assert_at(block == NULL, impossible_sizes[i]);
        assert_int_equal(error, ENOMEM);
    }
}

static int first_error;

/* Before main, so that nearly nothing has called malloc. */
__attribute__((constructor)) static void call_malloc_first(void)
{
    errno = ERRNO_MARK;
    void *block = malloc(opaque(100));
    first_error = errno;
    free(block);
}

static void test_the_first_call_leaves_errno(void **state)
{
    (void)state;
    assert_int_equal(first_error, ERRNO_MARK);
}

/* The largest first: what is done once for all large blocks is done then. */
static void test_success_leaves_errno(void **state)
{
    (void)state;
    for (size_t bytes = TIB; bytes > 0; bytes /= 2) {
        errno = ERRNO_MARK;
        void *block = malloc(opaque(bytes));
        int error = errno;
        free(block);
        if (block == NULL) {
            assert_at(bytes > 64 * MIB, bytes);
            assert_int_equal(error, ENOMEM);
        } else {
            assert_at(error == ERRNO_MARK, bytes);
        }
    }
}

static void test_free_preserves_errno(void **state)
{
    (void)state;
    for (size_t bytes = 1; bytes <= 256 * MIB; bytes *= 2) {
        void *block = malloc(bytes);
        assert_at(block != NULL, bytes);
        errno = ERRNO_MARK;
        free(block);
        assert_at(errno == ERRNO_MARK, bytes);
    }
}

static void test_free_of_null_does_nothing(void **state)
{
    (void)state;
    errno = ERRNO_MARK;
    free(NULL);
    assert_int_equal(errno, ERRNO_MARK);
}

static void *free_elsewhere(void *block)
{
    errno = ERRNO_MARK;
    free(block);
    return errno == ERRNO_MARK ? block : NULL; /* only the address is looked at */
}

/* The freeing thread may never have allocated anything itself. */
static void test_another_thread_may_free(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 100, 5000, 40 * KIB, MIB, 40 * MIB};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        void *block = malloc(sizes[i]);
        assert_at(block != NULL, sizes[i]);
        block_fill(block, sizes[i], i);
        uintptr_t address = (uintptr_t)block;
        pthread_t thread;
        void *result = NULL;
        assert_int_equal(pthread_create(&thread, NULL, free_elsewhere, block), 0);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_at((uintptr_t)result == address, sizes[i]);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest rules[] = {
        cmocka_unit_test(test_blocks_of_all_sizes_are_apart),
        cmocka_unit_test(test_huge_blocks_are_apart),
        cmocka_unit_test(test_recycled_blocks_do_not_overlap),
        cmocka_unit_test(test_every_size_is_aligned_to_16),
        cmocka_unit_test(test_zero_bytes_are_unique_blocks),
        cmocka_unit_test(test_too_much_is_refused_with_enomem),
        cmocka_unit_test(test_the_first_call_leaves_errno),
        cmocka_unit_test(test_success_leaves_errno),
        cmocka_unit_test(test_free_preserves_errno),
        cmocka_unit_test(test_free_of_null_does_nothing),
        cmocka_unit_test(test_another_thread_may_free),
    };
    return CHECK_RULES(rules, argc, argv);
}
