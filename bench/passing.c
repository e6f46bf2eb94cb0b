/* SPDX-License-Identifier: MIT */
/*
 * One thread allocates blocks of 64 bytes, another frees them. Where freed blocks do not find
 * their way back to the thread that allocates, memory grows for as long as this runs: resident
 * memory is read at a quarter, half and the whole of the time.
 *
 * The blocks travel in batches of 64 through a ring. Every word of every block is written by the
 * producer and checked by the consumer, so blocks given out twice are found.
 */
#include "child.h"
#include "harness.h"

#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum {
    BLOCK_WORDS = 8,
    BATCH_BLOCKS = 64,
    RING_BATCHES = 16, /* at most 1,024 blocks, 64 KB, are under way */
    CACHE_LINE_BYTES = 64,
    N_QUARTERS = 4,
};

static long n_reps = 3;
static long n_seconds = 3;

static const struct number_option options[] = {
    {"--reps", "fresh processes of each allocator", &n_reps},
    {"--seconds", "how long each of them runs", &n_seconds},
    {NULL, NULL, NULL},
};

static const struct bench_info info = {
    "passing", "blocks of 64 bytes from a thread that allocates to one that frees", options, NULL,
    NULL};

enum { SPEED, RSS_25, RSS_50, RSS_100, GROWTH, N_FIGURES };

static const struct figure figures[N_FIGURES] = {
    [SPEED] = {"blocks", "M blocks/s", 2, HIGHER_IS_BETTER},
    [RSS_25] = {"rss25", "RSS 25%", 1, LOWER_IS_BETTER},
    [RSS_50] = {"rss50", "RSS 50%", 1, LOWER_IS_BETTER},
    [RSS_100] = {"rss100", "RSS 100%", 1, LOWER_IS_BETTER},
    [GROWTH] = {"growth", "growth 25-100%", 1, NOT_COMPARED},
};

/* ---- the ring ---- */

struct block {
    uint64_t words[BLOCK_WORDS];
};

/*
 * One producer, one consumer. A batch belongs to the producer until the release of n_put, to the
 * consumer from its acquire of n_put until the release of n_taken, and then to the producer again.
 */
static struct ring {
    alignas(CACHE_LINE_BYTES) _Atomic uint64_t n_put;   /* [producer writes] batches */
    alignas(CACHE_LINE_BYTES) _Atomic uint64_t n_taken; /* [consumer writes] batches */
    alignas(CACHE_LINE_BYTES) _Atomic bool is_over;     /* [main writes] */
    struct block *batches[RING_BATCHES][BATCH_BLOCKS];
} ring;

static void put_batch(uint64_t n)
{
    struct block **batch = ring.batches[n % RING_BATCHES];
    for (uint64_t i = 0; i < BATCH_BLOCKS; i++) {
        struct block *block = child_opaque(malloc(sizeof *block));
        if (block == NULL) {
            child_fail("passing: malloc returned NULL");
        }
        for (int word = 0; word < BLOCK_WORDS; word++) {
            block->words[word] = n * BATCH_BLOCKS + i;
        }
        batch[i] = block;
    }
}

static void take_batch(uint64_t n)
{
    struct block **batch = ring.batches[n % RING_BATCHES];
    for (uint64_t i = 0; i < BATCH_BLOCKS; i++) {
        for (int word = 0; word < BLOCK_WORDS; word++) {
            if (batch[i]->words[word] != n * BATCH_BLOCKS + i) {
                child_fail("passing: a block's bytes changed on the way");
            }
        }
        free(batch[i]);
    }
}

static void *produce(void *unused)
{
    (void)unused;
    for (uint64_t n = 0; !atomic_load_explicit(&ring.is_over, memory_order_relaxed);) {
        if (n - atomic_load_explicit(&ring.n_taken, memory_order_acquire) == RING_BATCHES) {
            (void)sched_yield();
            continue;
        }
        put_batch(n);
        atomic_store_explicit(&ring.n_put, ++n, memory_order_release);
    }
    return NULL;
}

static void *consume(void *unused)
{
    (void)unused;
    for (uint64_t n = 0; !atomic_load_explicit(&ring.is_over, memory_order_relaxed);) {
        if (n == atomic_load_explicit(&ring.n_put, memory_order_acquire)) {
            (void)sched_yield();
            continue;
        }
        take_batch(n);
        atomic_store_explicit(&ring.n_taken, ++n, memory_order_release);
    }
    return NULL;
}

/* ---- the child ---- */

static void start_thread(pthread_t *thread, void *(*body)(void *))
{
    if (pthread_create(thread, NULL, body, NULL) != 0) {
        child_fail("passing: cannot start a thread");
    }
}

static void sleep_until(double end_ns)
{
    double left_ns = end_ns - child_now_ns();
    while (left_ns > 0) {
        struct timespec time = {.tv_sec = (time_t)(left_ns / 1e9)};
        time.tv_nsec = (long)(left_ns - (double)time.tv_sec * 1e9);
        (void)nanosleep(&time, NULL);
        left_ns = end_ns - child_now_ns();
    }
}

static int run_child(char **argv)
{
    char **arguments = child_start(argv);
    double run_ns = (double)child_number(arguments[0]) * 1e9;
    double rss[N_QUARTERS + 1];
    pthread_t producer;
    pthread_t consumer;
    double start = child_now_ns();
    start_thread(&producer, produce);
    start_thread(&consumer, consume);
    for (int quarter = 1; quarter <= N_QUARTERS; quarter++) {
        sleep_until(start + run_ns * quarter / N_QUARTERS);
        rss[quarter] = child_rss_mib();
    }
    double n_batches = (double)atomic_load_explicit(&ring.n_taken, memory_order_relaxed);
    double elapsed_ns = child_now_ns() - start;
    atomic_store_explicit(&ring.is_over, true, memory_order_relaxed);
    (void)pthread_join(producer, NULL);
    (void)pthread_join(consumer, NULL);

    child_report(figures[SPEED].key, n_batches * BATCH_BLOCKS * 1e3 / elapsed_ns);
    child_report(figures[RSS_25].key, rss[1]);
    child_report(figures[RSS_50].key, rss[2]);
    child_report(figures[RSS_100].key, rss[N_QUARTERS]);
    child_report(figures[GROWTH].key, rss[N_QUARTERS] - rss[1]);
    return 0;
}

/* ---- the parent ---- */

static void step(struct results *results, int allocator, int rep)
{
    char seconds[32];
    (void)snprintf(seconds, sizeof seconds, "%ld", n_seconds);
    char *arguments[] = {seconds, NULL};
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
    bench_allow_longer(&bench, n_seconds);
    results_init(&results, &bench, figures, N_FIGURES, n_reps);
    bench_interleave(&results, step);

    struct summary summary;
    summary_init(&summary, &bench);
    (void)summary_add_figure(&summary, &results, SPEED, "best M blocks/s", stats_max);
    (void)summary_add_figure(&summary, &results, SPEED, "median", stats_median);
    (void)summary_add_figure(&summary, &results, RSS_25, NULL, stats_median);
    (void)summary_add_figure(&summary, &results, RSS_50, NULL, stats_median);
    (void)summary_add_figure(&summary, &results, RSS_100, NULL, stats_median);
    (void)summary_add_figure(&summary, &results, GROWTH, "worst growth", stats_max);
    summary_print(&summary, "passing blocks one way; RSS in MiB, median, at parts of the time");
    summary_print_against_best(&summary);
    results_free(&results);
    return bench_close(&bench);
}
