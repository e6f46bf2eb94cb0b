/* SPDX-License-Identifier: MIT */
#include "mem/inbox.h"

#include "unit.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { N_BLOCKS = 1000, CLASS_BYTES = 16 };

static ALIGNED(16) struct block blocks[N_BLOCKS];
static struct inbox inbox;

static int empty_inbox(void **state)
{
    (void)state;
    atomic_put_relaxed(&inbox.word, 0);
    return 0;
}

/* A chain of blocks[first] to blocks[first + n - 1]. Its tail is left unlinked, as pushers may. */
static struct chain chain_of(size_t first, size_t n)
{
    struct chain chain = {BLOCK_END, NULL, 0};
    memset(&blocks[first], 0xaa, n * sizeof blocks[0]);
    for (size_t i = first; i < first + n; i++)
        chain_append(&chain, &blocks[i]);
    return chain;
}

static void push(size_t first, size_t n)
{
    struct chain chain = chain_of(first, n);
    check(chain.tail != NULL);
    inbox_push(&inbox, &chain);
}

/* The indexes of the chain's blocks; the chain must be whole and as long as it says. */
static void list_chain(const struct chain *chain, size_t *list)
{
    struct block *at = chain->head;
    for (size_t i = 0; i < chain->n; i++) {
        list[i] = (size_t)(at - blocks);
        at = block_next_checked(at, CLASS_BYTES);
    }
    check(at == BLOCK_END);
}

static void test_an_empty_inbox_gives_nothing(void **state)
{
    (void)state;
    check(inbox_is_empty(&inbox));
    struct chain chain = inbox_take(&inbox, CLASS_BYTES);
    check_equal(chain.n, 0);
    check(chain.head == BLOCK_END);
}

static void test_a_push_is_taken_whole(void **state)
{
    (void)state;
    size_t list[N_BLOCKS];
    for (size_t n = 1; n <= N_BLOCKS; n = n * 3 + 1) {
        push(0, n);
        check(!inbox_is_empty(&inbox));
        struct chain chain = inbox_take(&inbox, CLASS_BYTES);
        check(inbox_is_empty(&inbox));
        check_equal(chain.n, n);
        list_chain(&chain, list);
        for (size_t i = 0; i < n; i++)
            check_equal(list[i], i);
    }
}

/* Chains come out last first, each in its own order. */
static void test_pushes_add_up(void **state)
{
    (void)state;
    size_t list[N_BLOCKS];
    static const size_t expected[] = {9, 3, 4, 5, 6, 7, 8, 0, 1, 2};
    push(0, 3);
    push(3, 6);
    push(9, 1);
    struct chain chain = inbox_take(&inbox, CLASS_BYTES);
    check_equal(chain.n, ARRAY_LEN(expected));
    list_chain(&chain, list);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        check_equal(list[i], expected[i]);
    check_equal(inbox_take(&inbox, CLASS_BYTES).n, 0);
}

static void test_words(void **state)
{
    (void)state;
    static const uintptr_t heads[] = {16, 0x7fffdeadbee0, (UINT64_C(1) << 48) - 16};
    static const size_t counts[] = {1, 2, 12345, INBOX_COUNT_MAX - 1, INBOX_COUNT_MAX};
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        for (size_t j = 0; j < ARRAY_LEN(counts); j++) {
            uint64_t word = inbox_pack((struct block *)heads[i], counts[j]);
            check_equal((uintptr_t)inbox_head(word), heads[i]);
            check_equal(word & INBOX_COUNT_MAX, counts[j]);
            check(word != 0);
        }
        uint64_t word = inbox_pack((struct block *)heads[i], (size_t)INBOX_COUNT_MAX + 1);
        check_equal((uintptr_t)inbox_head(word), heads[i]);
        check_equal(word & INBOX_COUNT_MAX, INBOX_COUNT_MAX);
    }
    check(inbox_head(0) == BLOCK_END);
}

/* As if there were `claimed` blocks in it, of which ten are real. */
static void seed_count(size_t claimed)
{
    push(0, 10);
    atomic_put_relaxed(&inbox.word, inbox_pack(&blocks[0], claimed));
}

static void test_a_count_below_the_limit_is_believed(void **state)
{
    (void)state;
    seed_count(INBOX_COUNT_MAX - 3);
    push(10, 2);
    check_equal(inbox_take(&inbox, CLASS_BYTES).n, INBOX_COUNT_MAX - 1);
}

static void test_from_the_limit_on_blocks_are_counted(void **state)
{
    (void)state;
    size_t list[N_BLOCKS];
    for (size_t over = 0; over < 3; over++) {
        seed_count(INBOX_COUNT_MAX - 5);
        push(10, 5 + over);
        push(20, 7);
        check_equal(atomic_get_relaxed(&inbox.word) & INBOX_COUNT_MAX, INBOX_COUNT_MAX);
        struct chain chain = inbox_take(&inbox, CLASS_BYTES);
        check_equal(chain.n, 10 + 5 + over + 7);
        list_chain(&chain, list);
        check_equal(list[0], 20);
        check_equal(list[7], 10);
        check_equal(list[7 + 5 + over], 0);
        check(inbox_is_empty(&inbox));
    }
}

static void count_over_a_written_block(void *argument)
{
    (void)argument;
    seed_count(INBOX_COUNT_MAX);
    blocks[4].next = &blocks[6];
    (void)inbox_take(&inbox, CLASS_BYTES);
}

static void test_counting_follows_no_overwritten_link(void **state)
{
    (void)state;
    char expected[128];
    (void)snprintf(expected, sizeof expected,
                   "poolalloc: fatal: free block was overwritten or freed twice: %p, class %d\n",
                   (void *)&blocks[4], CLASS_BYTES);
    child_aborts(count_over_a_written_block, NULL, expected);
}

/* ---- threads ---- */

enum { N_PUSHERS = 4, BLOCKS_EACH = N_BLOCKS / N_PUSHERS };

static _Atomic size_t n_pushers_left;

static void *push_all(void *argument)
{
    size_t first = *(size_t *)argument;
    for (size_t i = 0; i < BLOCKS_EACH;) {
        size_t n = min_size(1 + i % 7, BLOCKS_EACH - i);
        push(first + i, n);
        i += n;
    }
    (void)atomic_fetch_sub_explicit(&n_pushers_left, 1, memory_order_release);
    return NULL;
}

static size_t take_and_mark(bool *was_taken)
{
    size_t list[N_BLOCKS];
    struct chain chain = inbox_take(&inbox, CLASS_BYTES);
    list_chain(&chain, list);
    for (size_t i = 0; i < chain.n; i++) {
        check(!was_taken[list[i]]);
        was_taken[list[i]] = true;
    }
    return chain.n;
}

static void test_every_block_that_is_pushed_is_taken_once(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        bool was_taken[N_BLOCKS] = {false};
        size_t firsts[N_PUSHERS];
        pthread_t threads[N_PUSHERS];
        size_t n = 0;
        atomic_put_relaxed(&n_pushers_left, N_PUSHERS);
        for (size_t i = 0; i < N_PUSHERS; i++) {
            firsts[i] = i * BLOCKS_EACH;
            threads[i] = thread_start(push_all, &firsts[i]);
        }
        while (atomic_get_acquire(&n_pushers_left) > 0) {
            n += take_and_mark(was_taken);
            (void)sched_yield();
        }
        n += take_and_mark(was_taken);
        check_equal(n, N_BLOCKS);
        for (size_t i = 0; i < N_PUSHERS; i++)
            thread_join(threads[i]);
    }
}

#define inbox_test(f) cmocka_unit_test_setup(f, empty_inbox)

int main(void)
{
    block_secret_init(UINT64_C(0x1234567890abcdef));
    const struct CMUnitTest tests[] = {
        inbox_test(test_an_empty_inbox_gives_nothing),
        inbox_test(test_a_push_is_taken_whole),
        inbox_test(test_pushes_add_up),
        inbox_test(test_words),
        inbox_test(test_a_count_below_the_limit_is_believed),
        inbox_test(test_from_the_limit_on_blocks_are_counted),
        inbox_test(test_counting_follows_no_overwritten_link),
        inbox_test(test_every_block_that_is_pushed_is_taken_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
