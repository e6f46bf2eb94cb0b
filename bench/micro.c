/* SPDX-License-Identifier: MIT */
/*
 * Six figures of malloc and free on one thread, in nanoseconds per operation.
 *
 *   pair         malloc(64) and free of that block, over and over; one operation is both
 *   batch alloc  1,000 blocks of 64 bytes are allocated ...
 *   batch free   ... and freed in the same order, timed apart
 *   mixed alloc  the same with a fixed list of sizes, uniform in 16..4096
 *   mixed free
 *   churn        200,000 blocks live; one operation frees one at random and replaces it
 *
 * A child measures each figure several times, some milliseconds each, and reports the least. Blocks
 * are written and checked in rounds that are not timed, before and after those that are, but for
 * churn, whose stamps are part of the figure.
 */
#include "child.h"
#include "harness.h"

#include <stdlib.h>

enum {
    N_TRIES = 8, /* of which a child reports the best; short, to fit between disturbances */
    N_PAIRS = 500000,
    N_BATCH = 1000,
    N_CHECKED_ROUNDS = 20,
    N_SMALL_ROUNDS = 500,
    N_MIXED_ROUNDS = 250,
    N_LIVE = 200000,
    N_CHURN_SIZES = 4096, /* 8 KB: stays in the first-level cache */
    N_REPLACEMENTS = 100000,
    BLOCK_BYTES = 64,
    SIZE_MIN = 16,
    SIZE_MAX_MIXED = 4096,
};

static long n_reps = 9;

static const struct number_option options[] = {
    {"--reps", "fresh processes of each allocator; the best counts", &n_reps},
    {NULL, NULL, NULL},
};

static const struct bench_info info = {
    "micro", "nanoseconds per malloc and free on one thread, as the best of N processes", options,
    NULL, NULL};

static const struct figure figures[] = {
    {"pair", "pair", 2, LOWER_IS_BETTER},
    {"batch_alloc", "batch alloc", 2, LOWER_IS_BETTER},
    {"batch_free", "batch free", 2, LOWER_IS_BETTER},
    {"mixed_alloc", "mixed alloc", 2, LOWER_IS_BETTER},
    {"mixed_free", "mixed free", 2, LOWER_IS_BETTER},
    {"churn", "churn", 2, LOWER_IS_BETTER},
};

enum { N_FIGURES = sizeof figures / sizeof figures[0] };

static void *allocate(size_t n_bytes)
{
    return child_opaque(malloc(n_bytes));
}

/* ---- pair ---- */

static double time_pairs(void)
{
    bool has_null = false;
    double start = child_now_ns();
    for (int i = 0; i < N_PAIRS; i++) {
        void *block = allocate(BLOCK_BYTES);
        has_null |= block == NULL;
        free(block);
    }
    double end = child_now_ns();
    if (has_null) {
        child_fail("pair: malloc returned NULL");
    }
    return (end - start) / N_PAIRS;
}

/* ---- batch and mixed ---- */

struct batch {
    size_t sizes[N_BATCH];
    unsigned char *blocks[N_BATCH];
};

static struct batch batch;

static void allocate_batch(void)
{
    for (int i = 0; i < N_BATCH; i++) {
        batch.blocks[i] = allocate(batch.sizes[i]);
    }
}

static void free_batch(void)
{
    for (int i = 0; i < N_BATCH; i++) {
        free(batch.blocks[i]);
    }
}

/* All bytes of all blocks: those that overlap, or are shorter than asked for, lose some. */
static void check_batch(void)
{
    allocate_batch();
    for (uint32_t i = 0; i < N_BATCH; i++) {
        if (batch.blocks[i] == NULL) {
            child_fail("batch: malloc returned NULL");
        }
        pattern_write(batch.blocks[i], batch.sizes[i], i);
    }
    for (uint32_t i = 0; i < N_BATCH; i++) {
        if (!pattern_is_whole(batch.blocks[i], batch.sizes[i], i)) {
            child_fail("batch: a block's bytes changed");
        }
    }
    free_batch();
}

static void check_batches(void)
{
    for (int i = 0; i < N_CHECKED_ROUNDS; i++) {
        check_batch();
    }
}

/*
 * Each round reads the clock three times for 2,000 operations, which adds some hundredths of a
 * nanosecond to both figures.
 */
static void time_batches(int n_rounds, double *alloc_ns, double *free_ns)
{
    double sum_alloc = 0;
    double sum_free = 0;
    for (int round = 0; round < n_rounds; round++) {
        double start = child_now_ns();
        allocate_batch();
        double middle = child_now_ns();
        free_batch();
        sum_free += child_now_ns() - middle;
        sum_alloc += middle - start;
    }
    *alloc_ns = sum_alloc / n_rounds / N_BATCH;
    *free_ns = sum_free / n_rounds / N_BATCH;
}

static void measure_batch(int n_rounds, const char *alloc_key, const char *free_key)
{
    double alloc_ns[N_TRIES];
    double free_ns[N_TRIES];
    check_batches();
    time_batches(n_rounds, alloc_ns, free_ns); /* warm up */
    for (int try = 0; try < N_TRIES; try++) {
        time_batches(n_rounds, &alloc_ns[try], &free_ns[try]);
    }
    check_batches();
    child_report(alloc_key, stats_min(alloc_ns, N_TRIES));
    child_report(free_key, stats_min(free_ns, N_TRIES));
}

static void set_small_sizes(void)
{
    for (int i = 0; i < N_BATCH; i++) {
        batch.sizes[i] = BLOCK_BYTES;
    }
}

/* Checked as a batch: of the blocks of pairs there is never more than one. */
static void measure_pair(void)
{
    double pair_ns[N_TRIES];
    set_small_sizes();
    check_batches();
    (void)time_pairs(); /* warm up */
    for (int try = 0; try < N_TRIES; try++) {
        pair_ns[try] = time_pairs();
    }
    check_batches();
    child_report("pair", stats_min(pair_ns, N_TRIES));
}

static void measure_small_batch(void)
{
    set_small_sizes();
    measure_batch(N_SMALL_ROUNDS, "batch_alloc", "batch_free");
}

static void measure_mixed_batch(void)
{
    uint64_t random = 1;
    for (int i = 0; i < N_BATCH; i++) {
        batch.sizes[i] = random_between(&random, SIZE_MIN, SIZE_MAX_MIXED);
    }
    measure_batch(N_MIXED_ROUNDS, "mixed_alloc", "mixed_free");
}

/* ---- churn ---- */

static struct churn {
    uint64_t random;
    uint16_t sizes[N_CHURN_SIZES];
    uint64_t *blocks[N_LIVE];
} churn;

/* Of 20 blocks 16 are of 16..128 bytes, 3 of 129..1024, 1 of 1025..4096; the mean is 272. */
static uint16_t draw_churn_size(uint64_t *random)
{
    uint32_t kind = random_below(random, 20);
    if (kind < 16) {
        return (uint16_t)random_between(random, SIZE_MIN, 128);
    }
    if (kind < 19) {
        return (uint16_t)random_between(random, 129, 1024);
    }
    return (uint16_t)random_between(random, 1025, SIZE_MAX_MIXED);
}

/* Differs between any two places in the set, and between any two addresses for one place. */
static uint64_t stamp_of(const uint64_t *block, uint32_t place)
{
    return (uint64_t)(uintptr_t)block ^ (place * 0x9e3779b97f4a7c15U);
}

static void put_block(uint32_t place, uint64_t random)
{
    uint64_t *block = allocate(churn.sizes[random % N_CHURN_SIZES]);
    if (block == NULL) {
        child_fail("churn: malloc returned NULL");
    }
    *block = stamp_of(block, place);
    churn.blocks[place] = block;
}

static void take_block(uint32_t place)
{
    uint64_t *block = churn.blocks[place];
    if (*block != stamp_of(block, place)) {
        child_fail("churn: a block's first word changed");
    }
    free(block);
}

static double time_churn(void)
{
    double start = child_now_ns();
    for (int i = 0; i < N_REPLACEMENTS; i++) {
        uint64_t random = random_next(&churn.random);
        uint32_t place = (uint32_t)(((random >> 32) * N_LIVE) >> 32);
        take_block(place);
        put_block(place, random);
    }
    return (child_now_ns() - start) / N_REPLACEMENTS;
}

static void measure_churn(void)
{
    double churn_ns[N_TRIES];
    churn.random = 2;
    for (int i = 0; i < N_CHURN_SIZES; i++) {
        churn.sizes[i] = draw_churn_size(&churn.random);
    }
    for (uint32_t place = 0; place < N_LIVE; place++) {
        put_block(place, random_next(&churn.random));
    }
    (void)time_churn(); /* warm up: addresses lose the order they were given out in */
    for (int try = 0; try < N_TRIES; try++) {
        churn_ns[try] = time_churn();
    }
    for (uint32_t place = 0; place < N_LIVE; place++) {
        take_block(place);
    }
    child_report("churn", stats_min(churn_ns, N_TRIES));
}

static int run_child(char **argv)
{
    (void)child_start(argv);
    measure_pair();
    measure_small_batch();
    measure_mixed_batch();
    measure_churn();
    return 0;
}

/* ---- the parent ---- */

static void step(struct results *results, int allocator, int rep)
{
    bench_run_child(results, allocator, rep, NULL);
}

int main(int argc, char **argv)
{
    if (child_requested(argc, argv)) {
        return run_child(argv);
    }
    struct bench bench;
    struct results results;
    bench_open(&bench, &info, argc, argv);
    results_init(&results, &bench, figures, N_FIGURES, n_reps);
    bench_interleave(&results, step);

    struct summary summary;
    summary_init(&summary, &bench);
    for (int f = 0; f < N_FIGURES; f++) {
        (void)summary_add_figure(&summary, &results, f, NULL, stats_min);
    }
    summary_add_geomean(&summary);
    summary_print(&summary, "ns per operation, best of all processes");
    summary_print_against_best(&summary);
    results_free(&results);
    return bench_close(&bench);
}
