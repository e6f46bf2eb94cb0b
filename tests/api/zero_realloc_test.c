/* SPDX-License-Identifier: MIT */
/* realloc to 0 bytes with zero_realloc=alloc: it gives a block as malloc(0) does, like other
 * libcs. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "contract.h"

static const size_t sizes[] = {0, 1, 100, 5000, 100000, 40 * MIB};

static void check_empty(void *block, size_t from)
{
    assert_at(block != NULL, from);
    assert_at(is_aligned(block, BLOCK_ALIGNMENT), from);
    void *other = malloc(opaque(0));
    assert_ptr_not_equal(block, other);
    free(other);
}

static void test_a_block_to_zero_is_an_empty_block(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        errno = ERRNO_MARK;
        void *block = realloc(malloc(opaque(sizes[i])), opaque(0));
        assert_at(errno == ERRNO_MARK, sizes[i]);
        check_empty(block, sizes[i]);
        free(block);
    }
}

static void test_arrays_to_zero_are_empty_blocks(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        void *of_none = reallocarray(malloc(opaque(sizes[i])), opaque(0), 8);
        void *of_nothing = reallocarray(malloc(opaque(sizes[i])), 8, opaque(0));
        check_empty(of_none, sizes[i]);
        check_empty(of_nothing, sizes[i]);
        free(of_none);
        free(of_nothing);
    }
}

static void test_null_to_zero_is_an_empty_block(void **state)
{
    (void)state;
    void *block = realloc(NULL, opaque(0));
    check_empty(block, 0);
    free(block);
}

static void test_an_empty_block_grows(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        void *block = realloc(realloc(malloc(opaque(sizes[i])), opaque(0)), 1000);
        assert_at(block != NULL, sizes[i]);
        block_fill(block, 1000, i);
        assert_true(block_holds(block, 1000, i));
        free(block);
    }
}

static void test_the_memory_is_given_back(void **state)
{
    (void)state;
    enum { N_BLOCKS = 100 };
    void *blocks[N_BLOCKS];
    size_t before = mallinfo2().uordblks;
    for (size_t i = 0; i < N_BLOCKS; i++)
        blocks[i] = realloc(malloc(MIB), opaque(0));
    assert_at(mallinfo2().uordblks < before + MIB, mallinfo2().uordblks);
    for (size_t i = 0; i < N_BLOCKS; i++)
        free(blocks[i]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest rules[] = {
        cmocka_unit_test(test_a_block_to_zero_is_an_empty_block),
        cmocka_unit_test(test_arrays_to_zero_are_empty_blocks),
        cmocka_unit_test(test_null_to_zero_is_an_empty_block),
        cmocka_unit_test(test_an_empty_block_grows),
        cmocka_unit_test(test_the_memory_is_given_back),
    };
    return CHECK_RULES(rules, argc, argv);
}
