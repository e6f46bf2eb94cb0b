/* SPDX-License-Identifier: MIT */
/*
 * A cache that keeps itself inside of a limit: it takes what memory there is, and shrinks when it
 * is told to. It knows no limit of its own.
 *
 *     cache [LOOKUPS [THREADS]]
 *
 * Its lock is never held around malloc or free, which may call shrink(): so shrink() may wait for
 * it. Entries are of 1 to 32 KiB, keys as skewed as they are in life. No allocation may fail, what
 * is resident may never exceed the limit, and what is found must be what was put there. The last
 * line says how many lookups were hits. Without the library a fixed number of entries is kept.
 */
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define LIMIT_BYTES (96 * MIB)

enum { N_KEYS = 20000, N_THREADS_MAX = 16, LOOKUPS_A_CHECK = 500, N_ENTRIES_WITHOUT = 2000 };

struct entry {
    struct entry *older;
    struct entry *newer;
    uint32_t key;
    uint32_t bytes;
};

/* All of it: [lock]. */
static struct {
    pthread_mutex_t lock;
    struct entry *by_key[N_KEYS];
    struct entry *oldest;
    struct entry *newest;
    size_t bytes;
    size_t n_entries;
    size_t n_shrinks;
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t n_lookups;
static size_t base_bytes; /* resident before it began, less what is charged */
static atomic_size_t n_hits;
static atomic_size_t n_failures;
static atomic_size_t most_resident;

/* ---- the cache ---- */

static void unlink_locked(struct entry *entry)
{
    *(entry->older != NULL ? &entry->older->newer : &cache.oldest) = entry->newer;
    *(entry->newer != NULL ? &entry->newer->older : &cache.newest) = entry->older;
    cache.bytes -= entry->bytes;
    cache.n_entries--;
    cache.by_key[entry->key] = NULL;
}

static void link_locked(struct entry *entry)
{
    entry->newer = NULL;
    entry->older = cache.newest;
    *(cache.newest != NULL ? &cache.newest->newer : &cache.oldest) = entry;
    cache.newest = entry;
    cache.bytes += entry->bytes;
    cache.n_entries++;
    cache.by_key[entry->key] = entry;
}

/* The oldest entries, of so many bytes, linked by .newer; they are the caller's to free. */
static struct entry *evict_locked(size_t bytes)
{
    struct entry *victims = NULL;
    for (size_t evicted = 0; evicted < bytes && cache.oldest != NULL;) {
        struct entry *entry = cache.oldest;
        evicted += entry->bytes;
        unlink_locked(entry);
        entry->newer = victims;
        victims = entry;
    }
    return victims;
}

static void free_all(struct entry *victims)
{
    while (victims != NULL) {
        struct entry *next = victims->newer;
        free(victims);
        victims = next;
    }
}

/* What is wanted, and at least some part: what is freed here and there makes up no whole pages. */
static void shrink(int level, size_t wanted_bytes, void *context)
{
    (void)context;
    if (level == POOLALLOC_NORMAL)
        return;
    (void)pthread_mutex_lock(&cache.lock);
    size_t part = cache.bytes / 16;
    struct entry *victims = evict_locked(wanted_bytes > part ? wanted_bytes : part);
    cache.n_shrinks++;
    (void)pthread_mutex_unlock(&cache.lock);
    free_all(victims);
}

/* ---- values: a key's never change ---- */

static uint32_t bytes_of(uint32_t key)
{
    uint64_t state = key;
    return (uint32_t)(KIB + random_below(&state, 31 * KIB));
}

static void value_fill(struct entry *entry)
{
    memset(entry + 1, (int)(entry->key & 0xff), entry->bytes - sizeof *entry);
}

static bool value_holds(const struct entry *entry)
{
    const unsigned char *value = (const unsigned char *)(entry + 1);
    size_t n = entry->bytes - sizeof *entry;
    return entry->bytes == bytes_of(entry->key) && value[0] == (entry->key & 0xff) &&
           value[n - 1] == (entry->key & 0xff);
}

/* ---- lookups ---- */

/* True: it was there. */
static bool find(uint32_t key)
{
    (void)pthread_mutex_lock(&cache.lock);
    struct entry *entry = cache.by_key[key];
    if (entry != NULL) {
        check(value_holds(entry));
        unlink_locked(entry);
        link_locked(entry);
    }
    (void)pthread_mutex_unlock(&cache.lock);
    return entry != NULL;
}

static void put(uint32_t key)
{
    struct entry *entry = malloc(bytes_of(key));
    if (entry == NULL) {
        (void)atomic_fetch_add(&n_failures, 1);
        return;
    }
    *entry = (struct entry){.key = key, .bytes = bytes_of(key)};
    value_fill(entry);
    (void)pthread_mutex_lock(&cache.lock);
    bool is_there = cache.by_key[key] != NULL;
    if (!is_there)
        link_locked(entry);
    bool is_over = poolalloc_set_limit == NULL && cache.n_entries > N_ENTRIES_WITHOUT;
    struct entry *victims = is_over ? evict_locked(1) : NULL;
    (void)pthread_mutex_unlock(&cache.lock);
    free_all(victims);
    if (is_there)
        free(entry);
}

/* Half of all lookups are of an eighth of the keys, half of these of an eighth of those, and so
 * on. */
static uint32_t any_key(uint64_t *random)
{
    size_t n = N_KEYS;
    while (n > 64 && random_below(random, 2) == 0)
        n /= 8;
    return (uint32_t)random_below(random, n);
}

static void note_resident(void)
{
    size_t bytes = resident_bytes();
    size_t most = atomic_load(&most_resident);
    while (bytes > most && !atomic_compare_exchange_weak(&most_resident, &most, bytes))
        continue;
}

static void *look_up(void *argument)
{
    uint64_t random = (uintptr_t)argument;
    for (size_t i = 0; i < n_lookups; i++) {
        uint32_t key = any_key(&random);
        if (find(key))
            (void)atomic_fetch_add(&n_hits, 1);
        else
            put(key);
        if (i % LOOKUPS_A_CHECK == 0)
            note_resident();
    }
    return NULL;
}

static void run_threads(size_t n)
{
    pthread_t threads[N_THREADS_MAX];
    for (size_t i = 0; i < n; i++)
        check(pthread_create(&threads[i], NULL, look_up, (void *)(uintptr_t)(i + 1)) == 0);
    for (size_t i = 0; i < n; i++)
        check(pthread_join(threads[i], NULL) == 0);
}

int main(int argc, char **argv)
{
    size_t n_threads = argument(argc, argv, 2, 4);
    check(n_threads > 0 && n_threads <= N_THREADS_MAX);
    n_lookups = argument(argc, argv, 1, 200000) / n_threads;
    memset(cache.by_key, 1, sizeof cache.by_key); /* it counts from the start */
    memset(cache.by_key, 0, sizeof cache.by_key);
    base_bytes = resident_bytes();
    if (poolalloc_set_limit != NULL) {
        check(poolalloc_set_limit(LIMIT_BYTES) == 0);
        check(poolalloc_pressure_subscribe(shrink, NULL) == 0);
    }
    run_threads(n_threads);
    size_t lookups = n_lookups * n_threads;
    (void)printf("%zu lookups, %.1f %% hits, %zu shrinks, %zu failures, at most %zu KiB resident, "
                 "%zu of them before\n",
                 lookups, 100.0 * (double)atomic_load(&n_hits) / (double)lookups, cache.n_shrinks,
                 atomic_load(&n_failures), atomic_load(&most_resident) / KIB, base_bytes / KIB);
    check(atomic_load(&n_failures) == 0);
    if (poolalloc_set_limit == NULL)
        return EXIT_SUCCESS;
    struct poolalloc_pressure pressure = pressure_now();
    check(pressure.charged_peak_bytes <= LIMIT_BYTES && pressure.refused_calls == 0);
    /* The program's own pages, its threads' stacks and the map of the heap come on top. */
    check(atomic_load(&most_resident) <= LIMIT_BYTES + base_bytes + 4 * MIB);
    check(cache.n_shrinks > 0);
    check(poolalloc_pressure_unsubscribe(shrink, NULL) == 0);
    return EXIT_SUCCESS;
}
