/* SPDX-License-Identifier: MIT */
/*
 * Destructors of thread keys take and return blocks, and set their key again, in every round there
 * is; and threads live on the smallest stack there may be.
 */
#include "check.h"

#include <limits.h>
#include <pthread.h>

enum { N_KEYS = 3, N_THREADS = 200 };

static pthread_key_t keys[N_KEYS];
static _Atomic unsigned n_destroyed;

/* Each round the block is another: the old one came from a round before, or from the thread. */
static void destroy(void *block)
{
    unsigned number = *(unsigned char *)block;
    unsigned char *next = malloc(number * 50 + 100);
    CHECK(next != NULL);
    CHECK(is_filled((unsigned char *)block + 1, 60, number));
    *next = (unsigned char)(number + 1);
    fill(next + 1, 60, number + 1);
    free(block);
    n_destroyed++;
    for (int i = 0; i < 20; i++)
        free(malloc((size_t)i * 300));
    if (number % PTHREAD_DESTRUCTOR_ITERATIONS == PTHREAD_DESTRUCTOR_ITERATIONS - 1) {
        free(next); /* the last round: nobody would */
        return;
    }
    for (int i = 0; i < N_KEYS; i++) {
        if (pthread_getspecific(keys[i]) == NULL) {
            CHECK(pthread_setspecific(keys[i], next) == 0);
            return;
        }
    }
    CHECK(!"a key is free");
}

static void *live(void *unused)
{
    for (int i = 0; i < N_KEYS; i++) {
        unsigned char *block = malloc(100);
        CHECK(block != NULL);
        *block = 0;
        fill(block + 1, 60, 0);
        CHECK(pthread_setspecific(keys[i], block) == 0);
    }
    for (unsigned i = 0; i < 300; i++) {
        unsigned char *block = malloc(i * 100 + 1);
        CHECK(block != NULL);
        fill(block, 1, i);
        free(block);
    }
    return unused;
}

/* All at once. */
static void run_threads(const pthread_attr_t *attributes)
{
    static pthread_t threads[N_THREADS];
    n_destroyed = 0;
    for (int i = 0; i < N_THREADS; i++)
        CHECK(pthread_create(&threads[i], attributes, live, NULL) == 0);
    for (int i = 0; i < N_THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(n_destroyed == N_THREADS * N_KEYS * PTHREAD_DESTRUCTOR_ITERATIONS);
}

int main(void)
{
    CHECK(is_preloaded());
    for (int i = 0; i < N_KEYS; i++)
        CHECK(pthread_key_create(&keys[i], destroy) == 0);
    run_threads(NULL);

    pthread_attr_t attributes;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN) == 0);
    run_threads(&attributes);
    CHECK(pthread_attr_destroy(&attributes) == 0);
    return 0;
}
