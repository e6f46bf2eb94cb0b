/* SPDX-License-Identifier: MIT */
/*
 * Buffer sets (objects/buffers.h): threads wait, give up, share and give back; each set ends while
 * threads wait for it and hold buffers of it, and lives until the last of them is done.
 *
 * A buffer's bytes are plain memory, written by its one holder and read by those it is shared with.
 */
#include "objects/buffers.h"
#include "race.h"

#include <errno.h>
#include <stdio.h>

enum { N_THREADS = 5, N_BUFFERS = 3, N_SETS = 30, N_ROUNDS = 300, BYTES = 64 };

static poolalloc_buffers *set;
static _Atomic(poolalloc_buffer *) shared_buffer;
static _Atomic uint32_t has_ended;
static uint64_t n_acquired[N_THREADS];

struct payload {
    uint64_t seed;
    char rest[BYTES - sizeof(uint64_t)];
};

static void write_payload(const poolalloc_buffer *buffer, uint64_t seed)
{
    struct payload *payload = buffer->data;
    payload->seed = seed;
    pattern_fill(payload->rest, sizeof payload->rest, seed);
}

static void release(poolalloc_buffer *buffer)
{
    const struct payload *payload = buffer->data;
    race_check(pattern_holds(payload->rest, sizeof payload->rest, payload->seed));
    race_check(buffer_release(buffer) == 0);
}

/* Leaves a hold on the buffer for others, and ends the one that was left before. */
static void share(poolalloc_buffer *buffer)
{
    if (buffer != NULL)
        (void)buffer_retain(buffer);
    buffer = atomic_exchange_explicit(&shared_buffer, buffer, memory_order_acq_rel);
    if (buffer != NULL)
        release(buffer);
}

/* NULL: none in time, or the set has ended. */
static poolalloc_buffer *acquire(struct random *dice)
{
    struct timespec past = {0, 0};
    switch (random_below(dice, 4)) {
    case 0:
        return buffers_try(set);
    case 1:
        return buffers_acquire(set, &past);
    default:
        return buffers_acquire(set, NULL);
    }
}

static void come_and_go(size_t number)
{
    struct random dice = {number + 1};
    for (int i = 0; i < N_ROUNDS; i++) {
        poolalloc_buffer *buffer = acquire(&dice);
        if (buffer == NULL)
            continue;
        n_acquired[number]++;
        write_payload(buffer, random_next(&dice));
        if (random_below(&dice, 4) == 0)
            share(buffer);
        release(buffer);
    }
    share(NULL);
}

/* All but the first hold what there is, or wait; the first ends the set under them. */
static void end_under_them(size_t number)
{
    struct poolalloc_buffers_stats stats;
    if (number == 0) {
        do
            buffers_get_stats(set, &stats);
        while (stats.out + stats.waiting < N_THREADS - 1);
        race_check(buffers_destroy(set) == N_BUFFERS);
        atomic_put_relaxed(&has_ended, 1);
        return;
    }
    poolalloc_buffer *buffer = buffers_acquire(set, NULL);
    race_check(buffer != NULL || errno == ECANCELED);
    while (buffer != NULL && atomic_get_relaxed(&has_ended) == 0)
        CPU_RELAX();
    if (buffer != NULL) {
        write_payload(buffer, number);
        release(buffer);
    }
}

int main(void)
{
    for (int i = 0; i < N_SETS; i++) {
        set = buffers_create(&(struct poolalloc_buffers_options){.bytes = BYTES, .n = N_BUFFERS});
        race_check(set != NULL);
        race_run(N_THREADS, come_and_go);
        atomic_put_relaxed(&has_ended, 0);
        race_run(N_THREADS, end_under_them);
    }
    uint64_t n = 0;
    for (size_t i = 0; i < N_THREADS; i++)
        n += n_acquired[i];
    (void)printf("%llu buffers acquired\n", (unsigned long long)n);
    return 0;
}
