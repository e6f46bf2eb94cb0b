/* SPDX-License-Identifier: MIT */
/*
 * Four threads fill 400 MB with small blocks and free them all again; how much of that stays
 * resident when the load is over, at once, after 2 seconds and after 10? The threads live on
 * meanwhile, as a server's do. Either none of them calls malloc any more, so that a library that
 * gives memory back in passing never gets to it, or one of them goes on a little.
 *
 * The blocks are chained through their own bytes: an array of so many pointers would be seen in
 * the figures.
 */
#include "synthetic.h"

#include <pthread.h>
#include <time.h>

enum {
    N_WORKERS = 4,
    WORKER_BYTES = 100 * 1000 * 1000,
    N_CHAINS = 16, /* freed one after the other, so that pages empty bit by bit */
    N_IDLE_BLOCKS = 100,
    IDLE_BYTES_MAX = 128,
    SOON_MS = 2000, /* after the burst */
    LATE_MS = 10000,
};

struct chained {
    struct block block;
    struct chained *next;
};

enum { CHAINED_BYTES_MIN = sizeof(struct chained) + 1 };

static struct worker {
    uint32_t number;
    bool reports; /* the one that measures, and works on */
    bool works_on;
} workers[N_WORKERS];

static pthread_barrier_t barrier;

/* ---- the burst ---- */

static void burst(const struct worker *worker)
{
    struct chained *chains[N_CHAINS] = {NULL};
    uint64_t random = worker->number + 40;
    for (uint32_t n_bytes = amount(WORKER_BYTES); n_bytes > 0;) {
        struct chained **first = &chains[random_below(&random, N_CHAINS)];
        uint32_t size = draw_small_size(&random, CHAINED_BYTES_MIN);
        struct chained *chained = (struct chained *)(void *)block_make(size, worker->number);
        chained->next = *first;
        *first = chained;
        n_bytes -= size < n_bytes ? size : n_bytes;
    }
    for (int i = 0; i < N_CHAINS; i++) {
        while (chains[i] != NULL) {
            struct chained *next = chains[i]->next;
            block_free(&chains[i]->block, worker->number);
            chains[i] = next;
        }
    }
}

/* ---- and after ---- */

static void work_a_little(uint64_t *random)
{
    struct block *blocks[N_IDLE_BLOCKS];
    for (uint32_t i = 0; i < N_IDLE_BLOCKS; i++) {
        blocks[i] = block_make(random_between(random, BLOCK_BYTES_MIN, IDLE_BYTES_MAX), i);
    }
    for (uint32_t i = 0; i < N_IDLE_BLOCKS; i++) {
        block_free(blocks[i], i);
    }
}

static void pass_time_until(double end_ns, bool works_on)
{
    static const struct timespec a_millisecond = {.tv_nsec = 1000000};
    uint64_t random = 50;
    while (child_now_ns() < end_ns) {
        if (works_on) {
            work_a_little(&random);
        }
        (void)nanosleep(&a_millisecond, NULL);
    }
}

static void report_idle_memory(bool works_on)
{
    double start_ns = child_now_ns();
    measure_detail("rss_0s", child_rss_mib());
    pass_time_until(start_ns + amount(SOON_MS) * 1e6, works_on);
    measure_detail("rss_2s", child_rss_mib());
    pass_time_until(start_ns + amount(LATE_MS) * 1e6, works_on);
    measure_detail("rss_10s", child_rss_mib());
    measure_freed();
}

static void *burst_and_stay(void *argument)
{
    const struct worker *worker = argument;
    burst(worker);
    (void)pthread_barrier_wait(&barrier);
    if (worker->reports) {
        measure_end();
        report_idle_memory(worker->works_on);
    }
    (void)pthread_barrier_wait(&barrier);
    return NULL;
}

static void run_burst(bool works_on)
{
    for (uint32_t i = 0; i < N_WORKERS; i++) {
        workers[i] = (struct worker){.number = i};
    }
    workers[0].reports = true;
    workers[0].works_on = works_on;
    (void)pthread_barrier_init(&barrier, NULL, N_WORKERS);
    measure_begin();
    run_threads(N_WORKERS, burst_and_stay, workers, sizeof workers[0]);
    (void)pthread_barrier_destroy(&barrier);
}

void run_burst_then_idle(void)
{
    run_burst(false);
}

void run_burst_then_idle_working(void)
{
    run_burst(true);
}
