/* SPDX-License-Identifier: MIT */
/*
 * Blocks freed twice. A small one's second free is not noticed at once: it must be before
 * the block is handed out a second time, or when it goes home to its slab.
 */
#include "fault.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    A_FEW = 200,
    ONE_BY_ONE_BYTES = 16 * 1024, /* of other heaps: larger blocks go home singly, not in batches */
    SMALL_MAX_BYTES = 32 * 1024,  /* beyond it a block is all that its slab holds */
};

static size_t block_bytes; /* for cases that go on in another thread */

static void *give(void *p)
{
    block_give(p);
    return NULL;
}

static void *free_again(void *p)
{
    free(p);
    return NULL;
}

/* ---- noticed when the block would be handed out again ---- */

/* Of a medium block at once. */
static const char *when_wanted(size_t bytes)
{
    return bytes > SMALL_MAX_BYTES ? DOUBLE_FREE : NOT_AS_WE_LEFT_IT;
}

static void immediate(size_t bytes)
{
    void *p = block_take(bytes);
    expect(when_wanted(bytes), p, bytes);
    block_give(p);
    free(opaque(p));
    take_until_death(bytes);
}

static void others_between(size_t bytes)
{
    void *p = block_take(bytes);
    void *second = block_take(bytes);
    void *third = block_take(bytes);
    expect(when_wanted(bytes), p, bytes);
    block_give(p);
    block_give(second);
    block_give(third);
    free(opaque(p));
    take_until_death(bytes);
}

/* So much was freed that blocks go home soon, and this one for the second time. */
/* A medium block is gone when it is at home. */
static const char *what_at_home(size_t bytes, const char *fault)
{
    return bytes > SMALL_MAX_BYTES ? FREE_OF_NO_BLOCK : fault;
}

static void at_home(size_t bytes)
{
    enum { N_MORE = 64 };
    void *more[N_MORE];
    void *p = take_with_many(bytes);
    for (int i = 0; i < N_MORE; i++)
        more[i] = block_take(bytes);
    expect(what_at_home(bytes, DOUBLE_FREE), p, bytes);
    give_with_many(p);
    free(opaque(p));
    for (int i = 0; i < N_MORE; i++)
        block_give(more[i]);
}

/* realloc looks at the block. */
static void by_realloc(size_t bytes)
{
    void *p = block_take(bytes);
    expect(REALLOC_OF_FREE, p, bytes);
    block_give(p);
    (void)opaque(realloc(opaque(p), 4 * bytes));
    give_up("nothing was noticed");
}

static void by_realloc_in_place(size_t bytes)
{
    void *p = block_take(bytes);
    expect(REALLOC_OF_FREE, p, bytes);
    block_give(p);
    (void)opaque(realloc(opaque(p), bytes));
    give_up("nothing was noticed");
}

/* ---- noticed when the block goes home ---- */

/* The thread's end sends all of its free blocks home. */
static void *free_twice_and_end(void *unused)
{
    (void)unused;
    void *p = block_take(block_bytes);
    void *second = block_take(block_bytes);
    expect(DOUBLE_FREE, p, block_bytes);
    block_give(p);
    block_give(second);
    free(opaque(p));
    return NULL;
}

static void thread_end(size_t bytes)
{
    block_bytes = bytes;
    on_thread(free_twice_and_end, NULL);
}

static void *free_at_home_and_end(void *unused)
{
    (void)unused;
    void *p = take_with_many(block_bytes);
    expect(DOUBLE_FREE, p, block_bytes);
    give_with_many(p);
    free(opaque(p));
    return NULL;
}

static void at_home_thread_end(size_t bytes)
{
    block_bytes = bytes;
    on_thread(free_at_home_and_end, NULL);
}

/* So many others are freed after it that the thread keeps them no longer. */
static void flushed(size_t bytes)
{
    void *p = block_take(bytes);
    void *with = take_with_many(bytes);
    expect(DOUBLE_FREE, p, bytes);
    block_give(p);
    free(opaque(p));
    give_with_many(with);
}

/* ---- by several threads ---- */

static void other_thread_after(size_t bytes)
{
    void *p = block_take(bytes);
    expect(NOT_AS_WE_LEFT_IT, p, bytes);
    block_give(p);
    on_thread(free_again, opaque(p));
    take_until_death(bytes);
}

static void other_thread_before(size_t bytes)
{
    void *p = block_take(bytes);
    expect(NOT_AS_WE_LEFT_IT, p, bytes);
    on_thread(give, p);
    free(opaque(p));
    take_until_death(bytes);
}

static void two_other_threads(size_t bytes)
{
    void *p = block_take(bytes);
    expect(NOT_AS_WE_LEFT_IT, p, bytes);
    on_thread(give, p);
    on_thread(free_again, opaque(p));
    take_until_death(bytes);
}

static void *free_between_others(void *p)
{
    void **blocks = p;
    block_give(blocks[0]);
    block_give(blocks[1]);
    free(opaque(blocks[0]));
    return NULL;
}

static void twice_in_other_thread(size_t bytes)
{
    void *blocks[2] = {block_take(bytes), block_take(bytes)};
    expect(NOT_AS_WE_LEFT_IT, blocks[0], bytes);
    on_thread(free_between_others, blocks);
    take_until_death(bytes);
}

static pthread_barrier_t freed;
static pthread_barrier_t taken;

static void *free_and_wait(void *p)
{
    free(p);
    (void)pthread_barrier_wait(&freed);
    (void)pthread_barrier_wait(&taken);
    return NULL;
}

/* After its second free, and before that thread ends, the block is handed out, rightly. */
static void other_thread_while_live(size_t bytes)
{
    pthread_t thread;
    void *p = block_take(bytes);
    expect(NOT_AS_WE_LEFT_IT, p, bytes);
    block_give(p);
    if (pthread_barrier_init(&freed, NULL, 2) != 0 || pthread_barrier_init(&taken, NULL, 2) != 0 ||
        pthread_create(&thread, NULL, free_and_wait, opaque(p)) != 0)
        give_up("no thread can be had");
    (void)pthread_barrier_wait(&freed);
    take_until(bytes, p);
    (void)pthread_barrier_wait(&taken);
    (void)pthread_join(thread, NULL);
    take_until_death(bytes);
}

static void *take_a_few(void *p)
{
    void **blocks = p;
    for (size_t i = 0; i < A_FEW; i++)
        blocks[i] = block_take(block_bytes);
    return NULL;
}

/* The heap that the block belongs to has no thread any more, so whoever frees it sends it home. */
static void owner_ended(size_t bytes)
{
    static void *blocks[A_FEW];
    block_bytes = bytes;
    on_thread(take_a_few, blocks);
    const char *fault = bytes > ONE_BY_ONE_BYTES ? DOUBLE_FREE : NOT_AS_WE_LEFT_IT;
    expect(what_at_home(bytes, fault), blocks[0], bytes);
    block_give(blocks[0]);
    free(opaque(blocks[0]));
    for (size_t i = 1; i < A_FEW / 2; i++)
        block_give(blocks[i]);
    give_up("nothing was noticed");
}

/* ---- large blocks: noticed at once ---- */

static void large_immediate(size_t bytes)
{
    void *p = block_take(bytes);
    expect(FREE_OF_NO_BLOCK, p, 0);
    block_give(p);
    free(opaque(p));
    give_up("nothing was noticed");
}

/* What is free side by side becomes one. */
static void large_among_neighbours(size_t bytes)
{
    void *first = block_take(bytes);
    void *p = block_take(bytes);
    void *third = block_take(bytes);
    expect(FREE_OF_NO_BLOCK, p, 0);
    block_give(first);
    block_give(p);
    block_give(third);
    free(opaque(p));
    give_up("nothing was noticed");
}

static void large_other_thread(size_t bytes)
{
    void *p = block_take(bytes);
    expect(FREE_OF_NO_BLOCK, p, 0);
    on_thread(give, p);
    free(opaque(p));
    give_up("nothing was noticed");
}

static void large_by_realloc(size_t bytes)
{
    void *p = block_take(bytes);
    expect(REALLOC_OF_NO_BLOCK, p, 0);
    block_give(p);
    (void)opaque(realloc(opaque(p), 2 * bytes));
    give_up("nothing was noticed");
}

int main(int argc, char **argv)
{
    static const struct fault_case cases[] = {
        {"immediate", immediate},
        {"others-between", others_between},
        {"at-home", at_home},
        {"by-realloc", by_realloc},
        {"by-realloc-in-place", by_realloc_in_place},
        {"thread-end", thread_end},
        {"at-home-thread-end", at_home_thread_end},
        {"flushed", flushed},
        {"other-thread-after", other_thread_after},
        {"other-thread-before", other_thread_before},
        {"two-other-threads", two_other_threads},
        {"twice-in-other-thread", twice_in_other_thread},
        {"other-thread-while-live", other_thread_while_live},
        {"owner-ended", owner_ended},
        {"large-immediate", large_immediate},
        {"large-among-neighbours", large_among_neighbours},
        {"large-other-thread", large_other_thread},
        {"large-by-realloc", large_by_realloc},
    };
    return fault_main(argc, argv, cases, ARRAY_LEN(cases));
}
