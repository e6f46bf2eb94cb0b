/* SPDX-License-Identifier: MIT */
/*
 * Threads that do everything at once: random sizes by random calls, reallocs, blocks that change
 * hands, and threads that end and are replaced while the others go on. A lane is a row of threads
 * one after the other; each inherits the blocks of the one before it.
 */
#include <pthread.h>

#include "support.h"

#define USAGE "SEED THREADS OPERATIONS_PER_THREAD GENERATIONS"

enum { N_RECORDS = 256, N_SHARED = 512, N_LANES_MAX = 256 };

struct counts {
    size_t allocated;
    size_t resized;
    size_t released;
    size_t swapped;
};

struct lane {
    pthread_t thread;
    struct random random;
    size_t operations;
    struct block *records[N_RECORDS];
    struct counts counts;
};

static struct lane lanes[N_LANES_MAX];
static struct block pool[N_LANES_MAX * N_RECORDS + N_SHARED];
static _Atomic(struct block *) shared_slots[N_SHARED];
static struct exchange shared = {N_SHARED, shared_slots};

static void step(struct lane *lane)
{
    struct block **record = &lane->records[random_below(&lane->random, N_RECORDS)];
    size_t percent = random_below(&lane->random, 100);
    if (percent < 20) {
        *record = exchange_swap(&shared, &lane->random, *record);
        lane->counts.swapped++;
    } else if ((*record)->address == NULL) {
        block_allocate(*record, &lane->random);
        lane->counts.allocated++;
    } else if (percent < 40) {
        block_resize(*record, &lane->random);
        lane->counts.resized++;
    } else {
        block_release(*record);
        lane->counts.released++;
    }
}

static void *run_generation(void *argument)
{
    struct lane *lane = argument;
    for (size_t i = 0; i < lane->operations; i++)
        step(lane);
    return NULL;
}

static void deal_records(size_t n_lanes)
{
    struct block *next = pool;
    for (size_t i = 0; i < n_lanes; i++) {
        for (size_t j = 0; j < N_RECORDS; j++)
            lanes[i].records[j] = next++;
    }
    for (size_t i = 0; i < N_SHARED; i++)
        atomic_store_explicit(&shared_slots[i], next++, memory_order_relaxed);
}

/* No thread is left: what was freed and what is found here must be all that was allocated. */
static void collect(size_t n_lanes)
{
    struct counts total = {0, 0, 0, 0};
    size_t found = 0;
    for (size_t i = 0; i < n_lanes; i++) {
        total.allocated += lanes[i].counts.allocated;
        total.resized += lanes[i].counts.resized;
        total.released += lanes[i].counts.released;
        total.swapped += lanes[i].counts.swapped;
    }
    for (size_t i = 0; i < COUNT_OF(pool); i++) {
        if (pool[i].address != NULL) {
            found++;
            block_release(&pool[i]);
        }
    }
    stress_check(total.allocated == total.released + found);
    stress_check(total.resized > 0 && total.released > 0 && total.swapped > 0);
    (void)printf("%zu allocated, %zu resized, %zu handed over, %zu alive at the end\n",
                 total.allocated, total.resized, total.swapped, found);
}

int main(int argc, char **argv)
{
    size_t seed = argument_number(argc, argv, 1, USAGE);
    size_t n_lanes = argument_number(argc, argv, 2, USAGE);
    size_t operations = argument_number(argc, argv, 3, USAGE);
    size_t generations = argument_number(argc, argv, 4, USAGE);
    stress_check(n_lanes > 0 && n_lanes <= N_LANES_MAX && generations > 0);
    deal_records(n_lanes);
    for (size_t i = 0; i < n_lanes; i++) {
        lanes[i].random.state = seed * 1000 + i;
        lanes[i].operations = operations / generations;
        stress_check(pthread_create(&lanes[i].thread, NULL, run_generation, &lanes[i]) == 0);
    }
    for (size_t generation = 1; generation <= generations; generation++) {
        for (size_t i = 0; i < n_lanes; i++) {
            stress_check(pthread_join(lanes[i].thread, NULL) == 0);
            if (generation < generations)
                stress_check(pthread_create(&lanes[i].thread, NULL, run_generation, &lanes[i]) ==
                             0);
        }
    }
    collect(n_lanes);
    return EXIT_SUCCESS;
}
