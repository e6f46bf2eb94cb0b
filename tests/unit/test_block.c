/* SPDX-License-Identifier: MIT */
#include "mem/block.h"

#include "base/bits.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

enum { N_BLOCKS = 8, CLASS_BYTES = 48 };

static struct block blocks[N_BLOCKS];

static int forget_blocks(void **state)
{
    (void)state;
    memset(blocks, 0, sizeof blocks);
    block_secret_init(UINT64_C(0x1234567890abcdef));
    return 0;
}

static void test_a_link_holds_for_its_block_and_its_next_alone(void **state)
{
    (void)state;
    block_link(&blocks[0], &blocks[1], block_secret);
    check(block_is_sealed(&blocks[0], &blocks[1], block_secret));
    check(!block_is_sealed(&blocks[0], &blocks[2], block_secret));
    check(block_next_checked(&blocks[0], CLASS_BYTES) == &blocks[1]);
    blocks[3] = blocks[0]; /* a link that was copied elsewhere */
    check(!block_is_sealed(&blocks[3], blocks[3].next, block_secret));
}

static void test_every_changed_bit_shows(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        block_link(&blocks[0], &blocks[1], block_secret);
        blocks[0].seal ^= UINT64_C(1) << bit;
        check(!block_is_sealed(&blocks[0], blocks[0].next, block_secret));
        block_link(&blocks[0], &blocks[1], block_secret);
        blocks[0].next = (struct block *)((uintptr_t)blocks[0].next ^ UINT64_C(1) << bit);
        check(!block_is_sealed(&blocks[0], blocks[0].next, block_secret));
    }
}

/* Whatever the random bits are: a cleared seal fits no aligned link, nor does the end of chains. */
static void test_no_secret_lets_a_cleared_seal_pass(void **state)
{
    (void)state;
    static const uint64_t random_bits[] = {
        0, 1, 15, 16, UINT64_C(1) << 63, ~UINT64_C(0) - 15, ~UINT64_C(0)};
    for (size_t i = 0; i < ARRAY_LEN(random_bits); i++) {
        block_secret_init(random_bits[i]);
        check(block_secret % 16 != 0);
        check(!block_is_sealed(BLOCK_END, block_end.next, block_secret));
        blocks[0] = (struct block){&blocks[1], 0};
        check(!block_is_sealed(&blocks[0], &blocks[1], block_secret));
        blocks[0] = (struct block){NULL, 0};
        check(!block_is_sealed(&blocks[0], NULL, block_secret));
    }
}

static void test_chains(void **state)
{
    (void)state;
    struct chain chain = {BLOCK_END, NULL, 0};
    chain_close(&chain);
    check(chain.head == BLOCK_END);
    for (size_t n = 1; n <= N_BLOCKS; n++) {
        chain_append(&chain, &blocks[n - 1]);
        check_equal(chain.n, n);
    }
    chain_close(&chain);
    struct block *at = chain.head;
    for (size_t i = 0; i < N_BLOCKS; i++) {
        check(at == &blocks[i]);
        at = block_next_checked(at, CLASS_BYTES);
    }
    check(at == BLOCK_END);
    check(chain.tail == &blocks[N_BLOCKS - 1]);
}

static void follow_an_overwritten_link(void *argument)
{
    (void)argument;
    block_link(&blocks[0], &blocks[1], block_secret);
    blocks[0].next = &blocks[2];
    (void)block_next_checked(&blocks[0], CLASS_BYTES);
}

static void follow_a_block_that_was_handed_out(void *argument)
{
    (void)argument;
    block_link(&blocks[0], &blocks[1], block_secret);
    blocks[0].seal = 0;
    (void)block_next_checked(&blocks[0], CLASS_BYTES);
}

static void test_an_overwritten_link_is_not_followed(void **state)
{
    (void)state;
    char expected[128];
    (void)snprintf(expected, sizeof expected,
                   "poolalloc: fatal: free block was overwritten or freed twice: %p, class %d\n",
                   (void *)&blocks[0], CLASS_BYTES);
    child_aborts(follow_an_overwritten_link, NULL, expected);
    child_aborts(follow_a_block_that_was_handed_out, NULL, expected);
}

static void test_a_chain_is_counted(void **state)
{
    (void)state;
    struct block *head = BLOCK_END;
    for (size_t n = 0; n < ARRAY_LEN(blocks); n++) {
        check_equal(block_count(head, CLASS_BYTES), n);
        block_link(&blocks[n], head, block_secret);
        head = &blocks[n];
    }
}

/* argument: how many blocks are in the ring. Two more lead to it. */
static void count_a_ring(void *argument)
{
    size_t n = *(size_t *)argument;
    for (size_t i = 0; i + 1 < n + 2; i++)
        block_link(&blocks[i], &blocks[i + 1], block_secret);
    block_link(&blocks[n + 1], &blocks[2], block_secret);
    (void)block_count(&blocks[0], CLASS_BYTES);
}

static void test_a_ring_is_reported(void **state)
{
    (void)state;
    /* The block that is named is the one where it is found out. */
    static const size_t rings[][2] = {{1, 2}, {2, 2}, {3, 4}, {4, 4}};
    char expected[128];
    for (size_t i = 0; i < ARRAY_LEN(rings); i++) {
        size_t n = rings[i][0];
        (void)snprintf(
            expected, sizeof expected,
            "poolalloc: fatal: free block was overwritten or freed twice: %p, class %d\n",
            (void *)&blocks[rings[i][1]], CLASS_BYTES);
        child_aborts(count_a_ring, &n, expected);
    }
}

#define block_test(f) cmocka_unit_test_setup(f, forget_blocks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        block_test(test_a_link_holds_for_its_block_and_its_next_alone),
        block_test(test_every_changed_bit_shows),
        block_test(test_no_secret_lets_a_cleared_seal_pass),
        block_test(test_chains),
        block_test(test_an_overwritten_link_is_not_followed),
        block_test(test_a_chain_is_counted),
        block_test(test_a_ring_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
