/* SPDX-License-Identifier: MIT */
/*
 * Eight threads at a hard limit of 64 MiB.
 *
 *     hard [CALLS]
 *
 * The threads keep a ledger of what large blocks they have: what fits by it must be had, at any
 * moment; when all is taken, what does not fit must be refused with ENOMEM, and small blocks must
 * be had. In between all is given back, and it begins anew, until so many calls have been made.
 */
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define LIMIT_BYTES (64 * MIB)

/* Taken by large blocks at most: the rest is the reserve, and the threads' heaps. */
#define FIT_BYTES (56 * MIB)

enum { N_THREADS = 8, N_BLOCKS = 64, N_SMALL = 200, N_REFUSED = 20, CALLS_A_ROUND = 300 };

static atomic_size_t ledger;
static pthread_barrier_t barrier;
static size_t n_rounds;

struct block {
    unsigned char *at;
    size_t bytes;
    unsigned char seed;
};

struct worker {
    uint64_t random;
    struct block blocks[N_BLOCKS];
};

/* Both ends of each page or so, as all of it would take too long. */
static void block_mark(const struct block *block)
{
    for (size_t i = 0; i < block->bytes; i += 4096)
        block->at[i] = block->seed;
    block->at[block->bytes - 1] = block->seed;
}

static void block_check(const struct block *block)
{
    for (size_t i = 0; i < block->bytes; i += 4096)
        check(block->at[i] == block->seed);
    check(block->at[block->bytes - 1] == block->seed);
}

/* In whole pages, 36 KiB to some MiB. */
static size_t any_bytes(uint64_t *random)
{
    return (9 + random_below(random, (size_t)16 << random_below(random, 7))) * 4 * KIB;
}

static bool ledger_enter(size_t bytes)
{
    size_t before = atomic_load(&ledger);
    do {
        if (before + bytes > FIT_BYTES)
            return false;
    } while (!atomic_compare_exchange_weak(&ledger, &before, before + bytes));
    return true;
}

static void take(struct worker *worker, struct block *block)
{
    size_t bytes = any_bytes(&worker->random);
    if (!ledger_enter(bytes))
        return;
    *block = (struct block){malloc(bytes), bytes, (unsigned char)random_next(&worker->random)};
    if (block->at == NULL)
        fail("%zu bytes are refused, %zu of %zu are taken, %llu charged", bytes,
             atomic_load(&ledger), LIMIT_BYTES, (unsigned long long)pressure_now().charged_bytes);
    block_mark(block);
}

static void give(struct block *block)
{
    block_check(block);
    free(block->at);
    block->at = NULL;
    (void)atomic_fetch_sub(&ledger, block->bytes);
}

static void work(struct worker *worker)
{
    for (size_t i = 0; i < CALLS_A_ROUND; i++) {
        struct block *block = &worker->blocks[random_below(&worker->random, N_BLOCKS)];
        if (block->at == NULL)
            take(worker, block);
        else
            give(block);
    }
}

static void fill(struct worker *worker)
{
    for (size_t i = 0; i < N_BLOCKS; i++) {
        if (worker->blocks[i].at == NULL)
            take(worker, &worker->blocks[i]);
    }
}

static void be_refused(void)
{
    for (size_t i = 0; i < N_REFUSED; i++) {
        errno = 0;
        void *p = i % 2 == 0 ? malloc(LIMIT_BYTES - 20 * MIB + i * MIB) : calloc(45, MIB);
        if (p != NULL || errno != ENOMEM)
            fail("what does not fit was had, or errno is %d", errno);
    }
}

static void take_small(void)
{
    void *small[N_SMALL];
    for (size_t i = 0; i < N_SMALL; i++)
        check((small[i] = malloc(100 + i % 3 * 400)) != NULL);
    for (size_t i = 0; i < N_SMALL; i++)
        free(small[i]);
}

static void meet(void)
{
    (void)pthread_barrier_wait(&barrier);
}

static void *run(void *argument)
{
    struct worker worker = {.random = (uintptr_t)argument};
    for (size_t round = 0; round < n_rounds; round++) {
        work(&worker);
        fill(&worker);
        meet();
        check(atomic_load(&ledger) > LIMIT_BYTES / 2);
        be_refused();
        take_small();
        meet();
        for (size_t i = 0; i < N_BLOCKS; i++) {
            if (worker.blocks[i].at != NULL)
                give(&worker.blocks[i]);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    size_t n_calls = argument(argc, argv, 1, 20000);
    n_rounds = 1 + n_calls / (N_THREADS * (CALLS_A_ROUND + N_BLOCKS * 2 + N_REFUSED + N_SMALL));
    pthread_t threads[N_THREADS];
    if (poolalloc_set_limit == NULL)
        skip("it is not preloaded");
    check(poolalloc_set_limit(LIMIT_BYTES) == 0);
    check(pthread_barrier_init(&barrier, NULL, N_THREADS) == 0);
    for (size_t i = 0; i < N_THREADS; i++)
        check(pthread_create(&threads[i], NULL, run, (void *)(uintptr_t)(i + 1)) == 0);
    for (size_t i = 0; i < N_THREADS; i++)
        check(pthread_join(threads[i], NULL) == 0);
    struct poolalloc_pressure pressure = pressure_now();
    (void)fprintf(stderr,
                  "%zu rounds, %llu calls refused, at most %llu bytes charged, %zu resident\n",
                  n_rounds, (unsigned long long)pressure.refused_calls,
                  (unsigned long long)pressure.charged_peak_bytes, resident_peak_bytes());
    check(pressure.charged_peak_bytes <= LIMIT_BYTES);
    check(pressure.refused_calls >= n_rounds * N_THREADS * N_REFUSED);
    void *p = malloc(FIT_BYTES);
    check(p != NULL);
    free(p);
    return EXIT_SUCCESS;
}
