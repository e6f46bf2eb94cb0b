/* SPDX-License-Identifier: MIT */
/*
 * A cache as a server has it: values of 64 B to 16 KiB, found by key, dropped when they are too old
 * or when the cache is over its bytes, the least recently used first. Now and then it is told that
 * memory is short and drops to a quarter.
 *
 * Time is the number of requests so far, and bytes are those asked for, so all allocators serve the
 * same hits. The detail "hit_rate" shows that they do. Checked: every value on every hit, and
 * after each shrinking the list's order and the bytes it adds up to.
 */
#include "client.h"

#include <stdlib.h>
#include <string.h>

enum {
    N_KEYS = 60000,
    N_REQUESTS = 300000,
    N_BUCKETS = 16384,
    TTL = 60000, /* requests */
    SHORTAGE_EVERY = 70000,
    VALUE_BYTES_LOG2_MIN = 6,
    VALUE_BYTES_LOG2_MAX = 14,
};

static const size_t budget_bytes = 48U << 20;
static const size_t shortage_bytes = 12U << 20;

struct entry {
    struct entry *next; /* in the bucket */
    struct entry *newer;
    struct entry *older;
    unsigned char *value;
    uint64_t stored_at;
    uint64_t used_at;
    uint32_t key;
    uint32_t n_bytes;
};

struct cache {
    struct entry **buckets;
    struct entry *newest;
    struct entry *oldest;
    size_t n_bytes; /* of entries and values */
    uint64_t now;
};

/* ---- the list by use ---- */

static void list_add(struct cache *cache, struct entry *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    *(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

static void list_remove(struct cache *cache, struct entry *entry)
{
    *(entry->newer != NULL ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &cache->oldest) = entry->newer;
}

/* ---- the cache ---- */

static size_t cost_of(const struct entry *entry)
{
    return sizeof *entry + entry->n_bytes;
}

static uint64_t stamp_of(const struct entry *entry)
{
    return mix_number((uint64_t)entry->key << 32 | entry->stored_at);
}

static struct entry **bucket_of(struct cache *cache, uint32_t key)
{
    return &cache->buckets[mix_number(key) % N_BUCKETS];
}

static void cache_init(struct cache *cache)
{
    *cache = (struct cache){.buckets = take(N_BUCKETS * sizeof(struct entry *))};
    memset(cache->buckets, 0, N_BUCKETS * sizeof(struct entry *));
}

static void cache_remove(struct cache *cache, struct entry *entry)
{
    struct entry **link = bucket_of(cache, entry->key);
    while (*link != entry) {
        link = &(*link)->next;
    }
    *link = entry->next;
    list_remove(cache, entry);
    cache->n_bytes -= cost_of(entry);
    free(entry->value);
    free(entry);
}

static void cache_shrink(struct cache *cache, size_t limit)
{
    while (cache->n_bytes > limit && cache->oldest != NULL) {
        cache_remove(cache, cache->oldest);
    }
}

static struct entry *cache_find(struct cache *cache, uint32_t key)
{
    struct entry *entry = *bucket_of(cache, key);
    while (entry != NULL && entry->key != key) {
        entry = entry->next;
    }
    if (entry != NULL && cache->now - entry->stored_at > TTL) {
        cache_remove(cache, entry);
        return NULL;
    }
    return entry;
}

static void cache_store(struct cache *cache, uint32_t key, uint32_t n_bytes)
{
    struct entry *entry = take(sizeof *entry);
    struct entry **bucket = bucket_of(cache, key);
    entry->value = take(n_bytes);
    entry->stored_at = cache->now;
    entry->used_at = cache->now;
    entry->key = key;
    entry->n_bytes = n_bytes;
    stamp_write(entry->value, n_bytes, stamp_of(entry));
    entry->next = *bucket;
    *bucket = entry;
    list_add(cache, entry);
    cache->n_bytes += cost_of(entry);
    cache_shrink(cache, budget_bytes);
}

static void cache_use(struct cache *cache, struct entry *entry)
{
    stamp_check(entry->value, entry->n_bytes, stamp_of(entry), "lru-cache: a value changed");
    entry->used_at = cache->now;
    list_remove(cache, entry);
    list_add(cache, entry);
}

static void cache_check(const struct cache *cache)
{
    size_t n_bytes = 0;
    for (const struct entry *entry = cache->newest; entry != NULL; entry = entry->older) {
        n_bytes += cost_of(entry);
        if (entry->older != NULL && entry->older->used_at >= entry->used_at) {
            child_fail("lru-cache: not in the order of use");
        }
    }
    if (n_bytes != cache->n_bytes) {
        child_fail("lru-cache: wrong number of bytes");
    }
}

/* ---- the workload ---- */

/* Keys of small numbers come far more often. */
static uint32_t draw_key(uint64_t *random)
{
    return random_below(random, random_between(random, 1, random_between(random, 1, N_KEYS)));
}

/* As many in each octave: most values are small, most bytes are in large ones. */
static uint32_t draw_value_bytes(uint64_t *random)
{
    uint32_t octave = random_between(random, VALUE_BYTES_LOG2_MIN, VALUE_BYTES_LOG2_MAX - 1);
    return random_between(random, 1U << octave, 2U << octave);
}

static uint32_t serve(struct cache *cache, uint64_t *random)
{
    uint32_t n_hits = 0;
    uint32_t n_requests = amount(N_REQUESTS);
    for (cache->now = 1; cache->now <= n_requests; cache->now++) {
        uint32_t key = draw_key(random);
        struct entry *entry = cache_find(cache, key);
        if (entry != NULL) {
            cache_use(cache, entry);
            n_hits++;
        } else {
            cache_store(cache, key, draw_value_bytes(random));
        }
        if (cache->now % SHORTAGE_EVERY == 0) {
            cache_shrink(cache, shortage_bytes);
            cache_check(cache);
        }
    }
    return n_hits;
}

void client_run_lru_cache(void)
{
    struct cache cache;
    uint64_t random = 12;
    measure_begin();
    cache_init(&cache);
    uint32_t n_hits = serve(&cache, &random);
    measure_end();
    cache_check(&cache);
    measure_begin();
    cache_shrink(&cache, 0);
    free(cache.buckets);
    measure_end();
    measure_freed();
    measure_detail("hit_rate", (double)n_hits / amount(N_REQUESTS));
}
