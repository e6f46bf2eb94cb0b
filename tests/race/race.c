/* SPDX-License-Identifier: MIT */
#include "race.h"

#include "base/bits.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void race_failed(const char *file, int line, const char *what)
{
    (void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

uint64_t random_next(struct random *random)
{
    return mix_bits(random->state += UINT64_C(0x9e3779b97f4a7c15));
}

size_t random_below(struct random *random, size_t limit)
{
    return random_next(random) % limit;
}

static uint64_t pattern_word(uint64_t seed, size_t at)
{
    return seed * UINT64_C(0x9e3779b97f4a7c15) + at;
}

void pattern_fill(void *p, size_t bytes, uint64_t seed)
{
    for (size_t at = 0; at + sizeof(uint64_t) <= bytes; at += sizeof(uint64_t)) {
        uint64_t word = pattern_word(seed, at);
        memcpy((char *)p + at, &word, sizeof word);
    }
}

bool pattern_holds(const void *p, size_t bytes, uint64_t seed)
{
    for (size_t at = 0; at + sizeof(uint64_t) <= bytes; at += sizeof(uint64_t)) {
        uint64_t word = pattern_word(seed, at);
        if (memcmp((const char *)p + at, &word, sizeof word) != 0)
            return false;
    }
    return true;
}

struct run {
    size_t number;
    void (*body)(size_t number);
};

static void *run_one(void *argument)
{
    const struct run *run = argument;
    run->body(run->number);
    return NULL;
}

void race_run(size_t n_threads, void (*body)(size_t number))
{
    pthread_t threads[RACE_THREADS_MAX];
    struct run runs[RACE_THREADS_MAX];
    race_check(n_threads <= RACE_THREADS_MAX);
    for (size_t i = 0; i < n_threads; i++) {
        runs[i] = (struct run){i, body};
        race_check(pthread_create(&threads[i], NULL, run_one, &runs[i]) == 0);
    }
    for (size_t i = 0; i < n_threads; i++)
        race_check(pthread_join(threads[i], NULL) == 0);
}
