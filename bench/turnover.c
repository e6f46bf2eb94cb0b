/* SPDX-License-Identifier: MIT */
/*
 * Very many short threads, one after the other. Each allocates 100 KB in blocks of 16..2048 bytes,
 * hands every other block to those that come after it and frees the rest itself. An allocator that
 * keeps something of every thread that ended, or whose half-empty pages nobody takes over, grows.
 *
 * The blocks handed on are kept in a pool of fixed size: a block put into a place of it, chosen at
 * random, drives out the one that an earlier thread left there, which the later thread frees. At
 * the end the pool is what is live, about 10 MB; then that is freed too.
 */
#include "child.h"
#include "harness.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    POOL_PLACES = 10000, /* of 1,032 bytes on average: 10 MB */
    THREAD_BYTES = 100 * 1024,
    SIZE_MIN = 16,
    SIZE_MAX_BLOCK = 2048,
    THREADS_A_SECOND_MIN = 100, /* slower than this is taken for a hang */
    THREAD_BLOCKS_MAX = THREAD_BYTES / SIZE_MIN + 1,
};

static long n_reps = 1;
static long n_threads = 100000;

static const struct number_option options[] = {
    {"--reps", "fresh processes of each allocator", &n_reps},
    {"--threads", "threads in each of them, one at a time", &n_threads},
    {NULL, NULL, NULL},
};

static const struct bench_info info = {
    "turnover", "memory and time after very many short threads that hand blocks on", options, NULL,
    NULL};

enum { SECONDS, CPU_SECONDS, LIVE, RSS, OVERHEAD, RSS_FREED, N_FIGURES };

static const struct figure figures[N_FIGURES] = {
    [SECONDS] = {"seconds", "seconds", 3, LOWER_IS_BETTER},
    [CPU_SECONDS] = {"cpu", "CPU seconds", 3, LOWER_IS_BETTER},
    [LIVE] = {"live", "live MiB", 2, NOT_COMPARED},
    [RSS] = {"rss", "RSS MiB", 2, LOWER_IS_BETTER},
    [OVERHEAD] = {"overhead", "(RSS - start) / live", 3, LOWER_IS_BETTER},
    [RSS_FREED] = {"freed", "RSS MiB all freed", 2, LOWER_IS_BETTER},
};

/* ---- blocks ---- */

/* First in each block, whose last byte repeats the low byte of the stamp. */
struct header {
    uint32_t n_bytes;
    uint32_t stamp;
};

_Static_assert(sizeof(struct header) < SIZE_MIN, "the last byte is not part of the header");

/* Threads take turns, and joining one orders it before the next: nothing here is shared at once. */
static struct {
    uint64_t random;
    uint32_t stamp;
    struct header *places[POOL_PLACES];
    struct header *own[THREAD_BLOCKS_MAX]; /* of the running thread */
} pool;

static struct header *make_block(uint32_t n_bytes)
{
    struct header *block = child_opaque(malloc(n_bytes));
    if (block == NULL) {
        child_fail("turnover: malloc returned NULL");
    }
    *block = (struct header){.n_bytes = n_bytes, .stamp = pool.stamp++};
    ((unsigned char *)block)[n_bytes - 1] = (unsigned char)block->stamp;
    return block;
}

static void free_block(struct header *block)
{
    if (block == NULL) {
        return;
    }
    if (block->n_bytes < SIZE_MIN || block->n_bytes > SIZE_MAX_BLOCK ||
        ((unsigned char *)block)[block->n_bytes - 1] != (unsigned char)block->stamp) {
        child_fail("turnover: a block's bytes changed");
    }
    free(block);
}

static void hand_on(struct header *block)
{
    uint32_t place = random_below(&pool.random, POOL_PLACES);
    free_block(pool.places[place]);
    pool.places[place] = block;
}

static void *live_one_thread(void *unused)
{
    (void)unused;
    uint32_t n_bytes = 0;
    int n = 0;
    while (n_bytes < THREAD_BYTES) {
        uint32_t size = random_between(&pool.random, SIZE_MIN, SIZE_MAX_BLOCK);
        pool.own[n++] = make_block(size);
        n_bytes += size;
    }
    for (int i = 0; i + 1 < n; i += 2) {
        hand_on(pool.own[i]);
        free_block(pool.own[i + 1]);
    }
    if (n % 2 == 1) {
        free_block(pool.own[n - 1]);
    }
    return NULL;
}

/* ---- the child ---- */

static void run_threads(long n)
{
    for (long i = 0; i < n; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, live_one_thread, NULL) != 0) {
            child_fail("turnover: cannot start a thread");
        }
        (void)pthread_join(thread, NULL);
    }
}

static double live_mib(void)
{
    double n_bytes = 0;
    for (int place = 0; place < POOL_PLACES; place++) {
        n_bytes += pool.places[place] == NULL ? 0 : pool.places[place]->n_bytes;
    }
    return n_bytes / (1024.0 * 1024.0);
}

static void free_pool(void)
{
    for (int place = 0; place < POOL_PLACES; place++) {
        free_block(pool.places[place]);
        pool.places[place] = NULL;
    }
}

static int run_child(char **argv)
{
    char **arguments = child_start(argv);
    long n = child_number(arguments[0]);
    memset(&pool, 0xff, sizeof pool); /* resident before the start, so that it is not counted */
    memset(&pool, 0, sizeof pool);
    double rss_at_start = child_rss_mib();
    double start = child_now_ns();
    double cpu_start = child_cpu_ns();
    run_threads(n);
    double cpu_seconds = (child_cpu_ns() - cpu_start) / 1e9;
    double seconds = (child_now_ns() - start) / 1e9;
    double rss = child_rss_mib();
    double live = live_mib();
    free_pool();

    child_report(figures[SECONDS].key, seconds);
    child_report(figures[CPU_SECONDS].key, cpu_seconds);
    child_report(figures[LIVE].key, live);
    child_report(figures[RSS].key, rss);
    child_report(figures[OVERHEAD].key, (rss - rss_at_start) / live);
    child_report(figures[RSS_FREED].key, child_rss_mib());
    return 0;
}

/* ---- the parent ---- */

static void step(struct results *results, int allocator, int rep)
{
    char threads[32];
    (void)snprintf(threads, sizeof threads, "%ld", n_threads);
    char *arguments[] = {threads, NULL};
    bench_run_child(results, allocator, rep, arguments);
}

int main(int argc, char **argv)
{
    if (child_requested(argc, argv)) {
        return run_child(argv);
    }
    struct bench bench;
    struct results results;
    bench_open(&bench, &info, argc, argv);
    bench_allow_longer(&bench, n_threads / THREADS_A_SECOND_MIN);
    results_init(&results, &bench, figures, N_FIGURES, n_reps);
    bench_interleave(&results, step);

    struct summary summary;
    summary_init(&summary, &bench);
    (void)summary_add_figure(&summary, &results, SECONDS, NULL, stats_min);
    (void)summary_add_figure(&summary, &results, CPU_SECONDS, NULL, stats_min);
    for (int f = LIVE; f < N_FIGURES; f++) {
        (void)summary_add_figure(&summary, &results, f, NULL, stats_median);
    }
    summary_print(&summary, "threads in turn, each handing half of its 100 KB on");
    summary_print_against_best(&summary);
    results_free(&results);
    return bench_close(&bench);
}
