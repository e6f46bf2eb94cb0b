/* SPDX-License-Identifier: MIT */
/*
 * Threads that write blocks of their own, so small that several fit into a cache line. Each takes a
 * block, writes it many times, frees it, and takes the next.
 *
 *   active    the library gives out parts of a line to threads that allocate at the same time
 *   passive   neighbouring blocks are given to the threads, who free them first: the library
 *             gives each of them its part of the line again and again
 */
#include "synthetic.h"

#include <pthread.h>

enum {
    N_WRITERS_MIN = 2,
    N_WRITERS_MAX = 4,
    N_BLOCKS = 2500, /* that each writer takes in turn */
    N_WRITES = 10000,
};

static struct writer {
    uint64_t *given; /* by the thread that starts them, or NULL */
} writers[N_WRITERS_MAX];

static pthread_barrier_t barrier;

/* volatile, because it is the writes that are measured. */
static void write_often(volatile uint64_t *word)
{
    *word = 0;
    for (int i = 0; i < N_WRITES; i++) {
        *word = *word + 1;
    }
    if (*word != N_WRITES) {
        child_fail("false-sharing: somebody else wrote this block");
    }
}

static void *take_and_write(void *argument)
{
    struct writer *writer = argument;
    (void)pthread_barrier_wait(&barrier);
    free(writer->given);
    for (uint32_t i = amount(N_BLOCKS); i > 0; i--) {
        uint64_t *word = take(sizeof *word);
        write_often(word);
        free(word);
    }
    return NULL;
}

static void give_block(struct writer *writer)
{
    writer->given = take(sizeof *writer->given);
    *writer->given = 0;
}

static void give_nothing(struct writer *writer)
{
    writer->given = NULL;
}

static void run_writers(void (*give)(struct writer *))
{
    for (int n = N_WRITERS_MIN; n <= N_WRITERS_MAX; n++) {
        (void)pthread_barrier_init(&barrier, NULL, (unsigned)n);
        for (int i = 0; i < n; i++) {
            give(&writers[i]);
        }
        measure_begin();
        run_threads(n, take_and_write, writers, sizeof writers[0]);
        measure_end();
        (void)pthread_barrier_destroy(&barrier);
    }
    measure_freed();
}

void run_false_sharing_active(void)
{
    run_writers(give_nothing);
}

void run_false_sharing_passive(void)
{
    run_writers(give_block);
}
