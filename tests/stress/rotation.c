/* SPDX-License-Identifier: MIT */
/*
 * The producer's part goes round: in each round one thread allocates a burst and the others free
 * their shares of it. Memory that the freeing threads keep for themselves, or that waits for a
 * producer whose turn is long over, shows as growth.
 */
#include <pthread.h>

#include "support.h"

#define USAGE "SEED THREADS ROUNDS RESIDENT_MIB"

enum { N_BURST = 20000, BYTES_MAX = 800, N_THREADS_MAX = 64 };

struct worker {
    pthread_t thread;
    struct random random;
    size_t number;
};

static struct worker workers[N_THREADS_MAX];
static struct block burst[N_BURST];
static pthread_barrier_t barrier;
static size_t n_threads;
static size_t n_rounds;

static void wait_for_all(void)
{
    int result = pthread_barrier_wait(&barrier);
    stress_check(result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD);
}

static void *take_turns(void *argument)
{
    struct worker *worker = argument;
    for (size_t round = 0; round < n_rounds; round++) {
        bool my_turn = round % n_threads == worker->number;
        for (size_t i = 0; my_turn && i < N_BURST; i++)
            block_allocate_bytes(&burst[i], &worker->random,
                                 random_below(&worker->random, BYTES_MAX));
        wait_for_all();
        /* The producer frees a share as well, the next producer's part of the ring of shares. */
        for (size_t i = (worker->number + round) % n_threads; i < N_BURST; i += n_threads)
            block_release(&burst[i]);
        wait_for_all();
    }
    return NULL;
}

int main(int argc, char **argv)
{
    size_t seed = argument_number(argc, argv, 1, USAGE);
    n_threads = argument_number(argc, argv, 2, USAGE);
    n_rounds = argument_number(argc, argv, 3, USAGE);
    size_t limit = argument_number(argc, argv, 4, USAGE) * MIB;
    stress_check(n_threads > 1 && n_threads <= N_THREADS_MAX);
    stress_check(pthread_barrier_init(&barrier, NULL, (unsigned)n_threads) == 0);
    size_t before = resident_bytes();
    for (size_t i = 0; i < n_threads; i++) {
        workers[i].random.state = seed * 1000 + i;
        workers[i].number = i;
        stress_check(pthread_create(&workers[i].thread, NULL, take_turns, &workers[i]) == 0);
    }
    for (size_t i = 0; i < n_threads; i++)
        stress_check(pthread_join(workers[i].thread, NULL) == 0);
    resident_check(before, n_rounds * N_BURST * (BYTES_MAX / 2), limit);
    return EXIT_SUCCESS;
}
