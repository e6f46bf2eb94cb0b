/* SPDX-License-Identifier: MIT */
/*
 * Four patterns on one thread. Those of the first three that are timed leave the blocks alone, so
 * that the figure is of malloc and free only; they are checked in rounds of their own before.
 */
#include "synthetic.h"

enum {
    N_PAIRS = 20000000,
    PAIR_BYTES = 64,
    N_BATCH = 1000,
    N_CHECKED_ROUNDS = 20,
    N_SMALL_ROUNDS = 15000,
    N_MIXED_ROUNDS = 5000,
    MIXED_BYTES_MAX = 4096,
    N_LIVE = 200000,
    N_REPLACEMENTS = 800000,
};

static void *allocate(size_t n_bytes)
{
    return child_opaque(malloc(n_bytes));
}

/* ---- live together: before what is timed, and after it ---- */

static struct {
    uint32_t sizes[N_BATCH];
    void *blocks[N_BATCH];
} batch;

static void check_batch(void)
{
    for (uint32_t i = 0; i < N_BATCH; i++) {
        batch.blocks[i] = take(batch.sizes[i]);
        pattern_write(batch.blocks[i], batch.sizes[i], i);
    }
    for (uint32_t i = 0; i < N_BATCH; i++) {
        if (!pattern_is_whole(batch.blocks[i], batch.sizes[i], i)) {
            child_fail("batches: a block's bytes changed");
        }
        free(batch.blocks[i]);
    }
}

static void check_batch_of(uint32_t n_bytes)
{
    for (int i = 0; i < N_BATCH; i++) {
        batch.sizes[i] = n_bytes;
    }
    check_batch();
}

/* ---- pairs ---- */

static void check_pairs(void)
{
    for (uint32_t i = 0; i < N_BATCH; i++) {
        block_free(block_make(PAIR_BYTES, i), i);
    }
}

void run_pairs(void)
{
    bool has_null = false;
    check_pairs();
    uint32_t n = amount(N_PAIRS);
    measure_begin();
    for (uint32_t i = 0; i < n; i++) {
        void *block = allocate(PAIR_BYTES);
        has_null |= block == NULL;
        free(block);
    }
    measure_end();
    if (has_null) {
        child_fail("pairs: malloc returned NULL");
    }
    check_pairs();
    check_batch_of(PAIR_BYTES);
    measure_freed();
}

/* ---- batches and mixed sizes ---- */

static void time_batches(uint32_t n_rounds)
{
    bool has_null = false;
    for (int i = 0; i < N_CHECKED_ROUNDS; i++) {
        check_batch();
    }
    measure_begin();
    for (uint32_t round = 0; round < n_rounds; round++) {
        for (int i = 0; i < N_BATCH; i++) {
            batch.blocks[i] = allocate(batch.sizes[i]);
            has_null |= batch.blocks[i] == NULL;
        }
        for (int i = 0; i < N_BATCH; i++) {
            free(batch.blocks[i]);
        }
    }
    measure_end();
    if (has_null) {
        child_fail("batches: malloc returned NULL");
    }
    for (int i = 0; i < N_CHECKED_ROUNDS; i++) {
        check_batch();
    }
    measure_freed();
}

void run_batches(void)
{
    for (int i = 0; i < N_BATCH; i++) {
        batch.sizes[i] = PAIR_BYTES;
    }
    time_batches(amount(N_SMALL_ROUNDS));
}

void run_mixed_sizes(void)
{
    uint64_t random = 1;
    for (int i = 0; i < N_BATCH; i++) {
        batch.sizes[i] = random_between(&random, BLOCK_BYTES_MIN, MIXED_BYTES_MAX);
    }
    time_batches(amount(N_MIXED_ROUNDS));
}

/* ---- random replacement ---- */

static struct {
    uint64_t random;
    struct block *blocks[N_LIVE];
} live;

static void put_block(uint32_t place)
{
    live.blocks[place] = block_make(draw_small_size(&live.random, BLOCK_BYTES_MIN), place);
}

static void replace_blocks(uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t place = random_below(&live.random, N_LIVE);
        block_free(live.blocks[place], place);
        put_block(place);
    }
}

void run_random_replacement(void)
{
    live.random = 2;
    for (uint32_t place = 0; place < N_LIVE; place++) {
        put_block(place);
    }
    replace_blocks(amount(N_LIVE)); /* addresses lose the order they were given out in */
    measure_begin();
    replace_blocks(amount(N_REPLACEMENTS));
    measure_end();
    for (uint32_t place = 0; place < N_LIVE; place++) {
        block_free(live.blocks[place], place);
    }
    measure_freed();
}
