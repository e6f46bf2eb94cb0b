/* SPDX-License-Identifier: MIT */
/*
 * Shared pools (objects/lanes.h, L1 to L9): objects go round between threads through a few places
 * where each leaves what it has and takes what it finds, so most come back to another lane than
 * they were taken through. The pool is small enough to be exhausted, so that threads seize each
 * other's lanes; some trim it meanwhile.
 *
 * An object's bytes are plain memory, written by whoever has it.
 */
#include "objects/pool.h"
#include "race.h"

#include <stdio.h>
#include <string.h>

enum { N_THREADS = 5, N_PLACES = 16, N_OBJECTS = 60, N_ROUNDS = 30000, N_HELD = 30 };

struct payload {
    uint64_t seed;
    char rest[56];
};

static poolalloc_pool *pool;
static _Atomic(struct payload *) places[N_PLACES];
static uint64_t n_taken[N_THREADS];

static void check_payload(const struct payload *payload)
{
    race_check(pattern_holds(payload->rest, sizeof payload->rest, payload->seed));
}

static void give(struct payload *payload)
{
    check_payload(payload);
    memset(payload, 0, sizeof *payload);
    race_check(pool_free(pool, payload) == 0);
}

/* Something is always left there, for somebody else to give back. */
static struct payload *exchange(struct payload *payload, size_t place)
{
    return atomic_exchange_explicit(&places[place], payload, memory_order_acq_rel);
}

static void go_round(size_t number)
{
    struct random dice = {number + 1};
    struct payload *held[N_HELD];
    size_t n = 0;
    for (int i = 0; i < N_ROUNDS; i++) {
        struct payload *payload = n < N_HELD ? pool_alloc(pool) : NULL;
        if (payload != NULL) {
            payload->seed = random_next(&dice);
            pattern_fill(payload->rest, sizeof payload->rest, payload->seed);
            held[n++] = payload;
            n_taken[number]++;
        }
        size_t n_kept = random_below(&dice, N_HELD);
        while (n > n_kept) {
            payload = exchange(held[--n], random_below(&dice, N_PLACES));
            if (payload != NULL)
                give(payload);
        }
        if (random_below(&dice, 2000) == 0)
            (void)pool_trim(pool);
        if (random_below(&dice, 100) == 0) {
            struct poolalloc_pool_stats stats;
            pool_get_stats(pool, &stats);
            race_check(stats.total <= N_OBJECTS);
        }
    }
    while (n > 0)
        give(held[--n]);
}

int main(void)
{
    pool = pool_create(&(struct poolalloc_pool_options){.object_bytes = sizeof(struct payload),
                                                        .first = 20,
                                                        .max = N_OBJECTS,
                                                        .flags = POOLALLOC_POOL_SHARED});
    race_check(pool != NULL);
    race_run(N_THREADS, go_round);
    race_run(N_THREADS, go_round); /* by others, who take the lanes over */
    for (size_t i = 0; i < N_PLACES; i++) {
        struct payload *payload = exchange(NULL, i);
        if (payload != NULL)
            give(payload);
    }
    /* Every object is where one thread can have it, once. */
    struct payload *all[N_OBJECTS];
    for (size_t i = 0; i < N_OBJECTS; i++) {
        all[i] = pool_alloc(pool);
        race_check(all[i] != NULL);
        for (size_t j = 0; j < i; j++)
            race_check(all[i] != all[j]);
    }
    race_check(pool_alloc(pool) == NULL);
    race_check(pool_destroy(pool) == N_OBJECTS);
    uint64_t n = 0;
    for (size_t i = 0; i < N_THREADS; i++)
        n += n_taken[i];
    (void)printf("%llu objects taken and given back\n", (unsigned long long)n);
    return 0;
}
