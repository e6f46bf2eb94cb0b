/* SPDX-License-Identifier: MIT */
/*
 * Threads with the smallest stacks there can be: no call of ours needs more, from a thread's first
 * to the last at its end.
 */
#include "support.h"

#include <limits.h>
#include <malloc.h>
#include <pthread.h>

enum { N_GROUPS = 50, GROUP = 40, N_SIZES = 50 };

static pthread_key_t key;

/* Runs while the thread ends, before and after the allocator's own destructor. */
static void at_end(void *block)
{
    static _Thread_local unsigned n_runs;
    free(block);
    if (n_runs++ < 2)
        (void)pthread_setspecific(key, malloc(100));
}

static void *body(void *number)
{
    uint64_t seed = (uintptr_t)number;
    void *blocks[N_SIZES];
    size_t bytes = 1 + seed % 7;
    (void)pthread_setspecific(key, malloc(100));
    for (size_t i = 0; i < N_SIZES; i++, bytes += bytes / 4 + 1) {
        blocks[i] = i % 5 == 0 ? calloc(1, bytes) : malloc(bytes);
        limits_check(blocks[i] != NULL);
        block_fill(blocks[i], bytes < 100 * KIB ? bytes : 100 * KIB, seed);
    }
    bytes = 1 + seed % 7;
    for (size_t i = 0; i < N_SIZES; i++, bytes += bytes / 4 + 1) {
        limits_check(block_holds(blocks[i], bytes < 100 * KIB ? bytes : 100 * KIB, seed));
        free(i % 7 == 0 ? realloc(blocks[i], bytes * 2) : blocks[i]);
    }
    if (seed % 100 == 0)
        (void)malloc_trim(0);
    return NULL;
}

int main(void)
{
    pthread_attr_t attributes;
    limits_check(pthread_key_create(&key, at_end) == 0);
    limits_check(pthread_attr_init(&attributes) == 0);
    limits_check(pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN) == 0);
    for (size_t group = 0; group < N_GROUPS; group++) {
        pthread_t threads[GROUP];
        for (size_t i = 0; i < GROUP; i++)
            limits_check(
                pthread_create(&threads[i], &attributes, body, (void *)(group * GROUP + i)) == 0);
        for (size_t i = 0; i < GROUP; i++)
            limits_check(pthread_join(threads[i], NULL) == 0);
    }
    (void)pthread_attr_destroy(&attributes);
    (void)fprintf(stderr, "%zu MB resident\n", resident_bytes() / 1000000);
    return EXIT_SUCCESS;
}
