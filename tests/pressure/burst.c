/* SPDX-License-Identifier: MIT */
/*
 * Memory that is taken and freed in bursts, by one thread after the other, of other sizes each
 * time: at no time is more than one burst in use.
 *
 *     burst [MIB [ROUNDS]]
 *
 * A thread that has had its turn goes on with little. The program fails if a call does; it is
 * killed if it lives under a limit, and what was freed is not given back in time.
 */
#include "support.h"

#include <pthread.h>
#include <string.h>

enum { N_THREADS = 6, SIZES = 5 };

static size_t burst_bytes;
static size_t n_rounds;
static pthread_barrier_t barrier;

struct link {
    struct link *before;
};

/* Up to: mostly small, mostly middling, ... mostly large. */
static const size_t sizes[SIZES] = {256, 4 * 1024, 30 * 1024, 200 * 1024, 3 * 1024 * 1024};

static void burst(uint64_t *random, size_t bytes_max)
{
    struct link *last = NULL;
    for (size_t taken = 0; taken < burst_bytes;) {
        size_t bytes = bytes_max / 4 + random_below(random, bytes_max - bytes_max / 4);
        struct link *link = malloc(bytes);
        if (link == NULL)
            fail("a block of %zu bytes is refused when %zu are taken", bytes, taken);
        memset(link, 1, bytes);
        link->before = last;
        last = link;
        taken += bytes;
    }
    while (last != NULL) {
        struct link *before = last->before;
        free(last);
        last = before;
    }
}

static void little(uint64_t *random)
{
    for (int i = 0; i < 1000; i++) {
        void *p = malloc(1 + random_below(random, 8000));
        check(p != NULL);
        free(p);
    }
}

static void *run(void *argument)
{
    size_t number = (uintptr_t)argument;
    uint64_t random = number;
    for (size_t turn = 0; turn < n_rounds * N_THREADS; turn++) {
        if (turn % N_THREADS == number)
            burst(&random, sizes[(turn / N_THREADS + number) % SIZES]);
        else
            little(&random);
        (void)pthread_barrier_wait(&barrier);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[N_THREADS];
    burst_bytes = argument(argc, argv, 1, 100) * MIB;
    n_rounds = argument(argc, argv, 2, 5);
    check(pthread_barrier_init(&barrier, NULL, N_THREADS) == 0);
    for (size_t i = 0; i < N_THREADS; i++)
        check(pthread_create(&threads[i], NULL, run, (void *)(uintptr_t)i) == 0);
    for (size_t i = 0; i < N_THREADS; i++)
        check(pthread_join(threads[i], NULL) == 0);
    (void)printf("at most %zu KiB resident\n", resident_peak_bytes() / KIB);
    return EXIT_SUCCESS;
}
