/* SPDX-License-Identifier: MIT */
/* calloc: overflow is refused, and memory is zero wherever it was used before. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "contract.h"

static void test_overflow_is_refused_with_enomem(void **state)
{
    (void)state;
    static const size_t pairs[][2] = {
        {SIZE_MAX, 2},
        {2, SIZE_MAX},
        {SIZE_MAX / 2 + 2, 2},
        {(size_t)1 << 32, (size_t)1 << 32},
        {((size_t)1 << 32) + 1, ((size_t)1 << 32) + 1},
        {SIZE_MAX, SIZE_MAX},
        {SIZE_MAX / 16 + 1, 16},
        {1, PTRDIFF_MAX},
        {1, SIZE_MAX},
        {SIZE_MAX, 1},
    };
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        errno = 0;
        void *block = calloc(opaque(pairs[i][0]), opaque(pairs[i][1]));
        int error = errno;
        assert_at(block == NULL, i);
        assert_int_equal(error, ENOMEM);
    }
}

static void test_zero_bytes_are_unique_blocks(void **state)
{
    (void)state;
    static const size_t pairs[][2] = {{0, 0}, {0, 1}, {1, 0}, {0, SIZE_MAX}, {SIZE_MAX, 0}};
    void *blocks[COUNT_OF(pairs)];
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        blocks[i] = calloc(opaque(pairs[i][0]), opaque(pairs[i][1]));
        assert_at(blocks[i] != NULL, i);
        for (size_t j = 0; j < i; j++)
            assert_ptr_not_equal(blocks[i], blocks[j]);
    }
    for (size_t i = 0; i < COUNT_OF(pairs); i++)
        free(blocks[i]);
}

static void test_every_size_is_aligned_to_16(void **state)
{
    (void)state;
    static void *blocks[300];
    for (size_t bytes = 0; bytes < COUNT_OF(blocks); bytes++) {
        blocks[bytes] = calloc(1, opaque(bytes));
        assert_at(is_aligned(blocks[bytes], BLOCK_ALIGNMENT), bytes);
    }
    for (size_t bytes = 0; bytes < COUNT_OF(blocks); bytes++)
        free(blocks[bytes]);
}

static void test_success_leaves_errno(void **state)
{
    (void)state;
    for (size_t bytes = 1; bytes <= GIB; bytes *= 2) {
        errno = ERRNO_MARK;
        void *block = calloc(opaque(bytes), 1);
        int error = errno;
        assert_at(block != NULL, bytes);
        assert_at(error == ERRNO_MARK, bytes);
        free(block);
    }
}

static void fill_whole(void *block)
{
    memset(block, 0xff, malloc_usable_size(block));
}

/* Asks for as many blocks as were just dirtied and freed, so that some memory must come back. */
static void check_recycled(size_t bytes, size_t n_blocks)
{
    static void *blocks[2048];
    assert_true(n_blocks <= COUNT_OF(blocks));
    for (size_t i = 0; i < n_blocks; i++) {
        blocks[i] = malloc(bytes);
        assert_at(blocks[i] != NULL, bytes);
        fill_whole(blocks[i]);
    }
    for (size_t i = 0; i < n_blocks; i++)
        free(blocks[i]);
    for (size_t i = 0; i < n_blocks; i++) {
        blocks[i] = calloc(1, bytes);
        assert_at(blocks[i] != NULL, bytes);
        assert_at(block_is_zero(blocks[i], bytes), bytes);
        fill_whole(blocks[i]);
    }
    for (size_t i = 0; i < n_blocks; i++)
        free(blocks[i]);
}

static void test_recycled_small_blocks_are_zero(void **state)
{
    (void)state;
    static size_t sizes[CLASS_SIZES_MAX];
    size_t n_sizes = list_class_sizes(sizes, COUNT_OF(sizes), 32 * KIB);
    for (size_t s = 0; s < n_sizes; s++)
        check_recycled(sizes[s], sizes[s] < KIB ? 2000 : 2000 * KIB / sizes[s] + 20);
}

static void test_recycled_large_blocks_are_zero(void **state)
{
    (void)state;
    static size_t sizes[CLASS_SIZES_MAX];
    size_t n_sizes = list_class_sizes(sizes, COUNT_OF(sizes), MIB);
    for (size_t s = 0; s < n_sizes; s++) {
        if (sizes[s] > 16 * KIB)
            check_recycled(sizes[s], 12);
    }
    check_recycled(MIB + 1, 8);
    check_recycled(3 * MIB, 4);
    check_recycled(33 * MIB, 2);
    check_recycled(64 * MIB + 1, 1);
}

/* Memory of one class comes back as another: slabs and spans are cut anew. */
static void test_memory_of_another_size_is_zero(void **state)
{
    (void)state;
    static const size_t sizes[] = {16,       48,       200,       1000,    4096,
                                   10 * KIB, 32 * KIB, 100 * KIB, MIB / 2, 4 * MIB};
    enum { ROUND_BYTES = 16 << 20, N_MOST = 100 * 1000 };
    static void *blocks[N_MOST];
    for (size_t round = 0; round < 2 * COUNT_OF(sizes); round++) {
        /* 3 and 10 have no common factor: each size follows a different one and then its like. */
        size_t bytes = sizes[round * 3 % COUNT_OF(sizes)];
        size_t n_blocks = ROUND_BYTES / bytes < N_MOST ? ROUND_BYTES / bytes : N_MOST;
        for (size_t i = 0; i < n_blocks; i++) {
            blocks[i] = calloc(bytes / 4, 4);
            assert_at(blocks[i] != NULL, bytes);
            assert_at(block_is_zero(blocks[i], bytes), bytes);
            fill_whole(blocks[i]);
        }
        for (size_t i = 0; i < n_blocks; i++)
            free(blocks[i]);
    }
}

/* Blocks that were grown, shrunk or aligned leave traces in other places than malloc does. */
static void test_memory_of_other_calls_is_zero(void **state)
{
    (void)state;
    static const size_t sizes[] = {24, 500, 3000, 20 * KIB, 70 * KIB, 300 * KIB, 2 * MIB};
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        for (size_t round = 0; round < 50; round++) {
            void *aligned = aligned_alloc(4096, sizes[s]);
            void *grown = realloc(malloc(sizes[s] / 3), sizes[s]);
            void *shrunk = realloc(malloc(sizes[s] * 3), sizes[s]);
            void *fresh = calloc(sizes[s], 1);
            assert_at(aligned != NULL && grown != NULL && shrunk != NULL, sizes[s]);
            assert_at(fresh != NULL && block_is_zero(fresh, sizes[s]), sizes[s]);
            fill_whole(aligned);
            fill_whole(grown);
            fill_whole(shrunk);
            fill_whole(fresh);
            free(aligned);
            free(fresh);
            free(grown);
            free(shrunk);
        }
    }
}

enum { N_PASSED = 500 };

struct passed {
    size_t bytes;
    void *blocks[N_PASSED];
    bool done;
};

static void *dirty_and_leave(void *argument)
{
    struct passed *passed = argument;
    passed->done = true;
    for (size_t i = 0; i < N_PASSED; i++) {
        passed->blocks[i] = malloc(passed->bytes);
        if (passed->blocks[i] == NULL)
            passed->done = false;
        else
            fill_whole(passed->blocks[i]);
    }
    return NULL;
}

static void test_memory_of_a_finished_thread_is_zero(void **state)
{
    (void)state;
    static const size_t sizes[] = {16, 300, 2048, 9000, 50 * KIB};
    static struct passed passed;
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        passed.bytes = sizes[s];
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, dirty_and_leave, &passed), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(passed.done);
        for (size_t i = 0; i < N_PASSED; i++)
            free(passed.blocks[i]);
        for (size_t i = 0; i < N_PASSED; i++) {
            passed.blocks[i] = calloc(1, sizes[s]);
            assert_at(passed.blocks[i] != NULL, sizes[s]);
            assert_at(block_is_zero(passed.blocks[i], sizes[s]), sizes[s]);
        }
        for (size_t i = 0; i < N_PASSED; i++)
            free(passed.blocks[i]);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest rules[] = {
        cmocka_unit_test(test_recycled_small_blocks_are_zero),
        cmocka_unit_test(test_recycled_large_blocks_are_zero),
        cmocka_unit_test(test_memory_of_another_size_is_zero),
        cmocka_unit_test(test_memory_of_other_calls_is_zero),
        cmocka_unit_test(test_memory_of_a_finished_thread_is_zero),
        cmocka_unit_test(test_overflow_is_refused_with_enomem),
        cmocka_unit_test(test_zero_bytes_are_unique_blocks),
        cmocka_unit_test(test_every_size_is_aligned_to_16),
        cmocka_unit_test(test_success_leaves_errno),
    };
    return CHECK_RULES(rules, argc, argv);
}
