/* SPDX-License-Identifier: MIT */
/*
 * The example of LD_PRELOAD.md and the header, in a program of one thread that takes more than its
 * limit allows: the cache shrinks in the middle of a malloc. It is compiled as programs are, by a
 * compiler that takes it that malloc changes nothing of the program's. Without the lock it then
 * keeps the number of blocks in a register across malloc, and blocks are freed twice.
 */
#include "support.h"

#include <pthread.h>

enum { N_MAX = 4000, N_PUTS = 4000 };

/* In each block is its place. */
struct cache {
    pthread_mutex_t lock;
    size_t n;
    size_t n_evicted;
    size_t *blocks[N_MAX];
};

static void cache_evict(struct cache *cache, size_t wanted_bytes)
{
    for (size_t freed = 0; freed < wanted_bytes && cache->n > 0; freed += 64 * KIB) {
        size_t *block = cache->blocks[--cache->n];
        check(*block == cache->n);
        free(block);
        cache->n_evicted++;
    }
}

static void shrink(int level, size_t wanted_bytes, void *context)
{
    struct cache *cache = context;
    if (level == POOLALLOC_NORMAL || pthread_mutex_trylock(&cache->lock) != 0)
        return;
    cache_evict(cache, wanted_bytes);
    (void)pthread_mutex_unlock(&cache->lock);
}

static void cache_put(struct cache *cache)
{
    (void)pthread_mutex_lock(&cache->lock);
    check(cache->n < N_MAX);
    (void)pthread_mutex_unlock(&cache->lock);
    size_t *block = malloc(64 * KIB);
    check(block != NULL);
    (void)pthread_mutex_lock(&cache->lock);
    *block = cache->n;
    cache->blocks[cache->n++] = block;
    (void)pthread_mutex_unlock(&cache->lock);
}

int main(void)
{
    struct cache *cache = calloc(1, sizeof *cache);
    check(cache != NULL && pthread_mutex_init(&cache->lock, NULL) == 0);
    if (poolalloc_pressure_subscribe)
        check(poolalloc_pressure_subscribe(shrink, cache) == 0);
    for (int i = 0; i < N_PUTS; i++)
        cache_put(cache);
    check(cache->n + cache->n_evicted == N_PUTS);
    check(poolalloc_pressure_subscribe == NULL || cache->n < 64 * MIB / (64 * KIB));
    cache_evict(cache, SIZE_MAX);
    check(cache->n == 0 && cache->n_evicted == N_PUTS);
    return EXIT_SUCCESS;
}
