/* SPDX-License-Identifier: MIT */
/*
 * What the header and LD_PRELOAD.md say of limits and subscribers, a case each:
 *
 *     promises CASE
 */
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern __typeof__(poolalloc_heap_create) poolalloc_heap_create __attribute__((weak));
extern __typeof__(poolalloc_heap_malloc) poolalloc_heap_malloc __attribute__((weak));
extern __typeof__(poolalloc_heap_calloc) poolalloc_heap_calloc __attribute__((weak));

/* ---- a cache, with the subscriber that the header shows ---- */

enum { N_ENTRIES = 200000 };

static struct {
    void *at;
    size_t bytes;
} entries[N_ENTRIES];
static size_t n_entries;
static size_t n_evicted;
static size_t cached_bytes;
static size_t n_told;

static void evict(size_t bytes)
{
    for (size_t freed = 0; freed < bytes && n_evicted < n_entries; n_evicted++) {
        free(entries[n_evicted].at);
        freed += entries[n_evicted].bytes;
        cached_bytes -= entries[n_evicted].bytes;
    }
}

static void shrink(int level, size_t wanted_bytes, void *context)
{
    (void)context;
    n_told++;
    if (level != POOLALLOC_NORMAL)
        evict(wanted_bytes);
}

/* Entries of so many bytes and up to as many more, evicted in another order than they came. */
static void cache_fill(size_t all, size_t bytes)
{
    uint64_t random = 9;
    for (; cached_bytes < all && n_entries < N_ENTRIES; n_entries++) {
        size_t this_bytes = bytes + random_below(&random, bytes);
        entries[n_entries].at = malloc(this_bytes);
        entries[n_entries].bytes = this_bytes;
        check(entries[n_entries].at != NULL);
        cached_bytes += this_bytes;
    }
    for (size_t i = n_entries - 1; i > 0; i--) {
        size_t j = random_below(&random, i + 1);
        __typeof__(entries[0]) swapped = entries[i];
        entries[i] = entries[j];
        entries[j] = swapped;
    }
}

/* ---- cases ---- */

/* What is freed here and there makes up no slabs, until nearly all is freed. */
static void scattered(void)
{
    static const size_t sizes[] = {100, 100000, 1000000};
    check(poolalloc_set_limit(64 * MIB) == 0);
    check(poolalloc_pressure_subscribe(shrink, NULL) == 0);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (i > 0)
            sleep_ms(4000); /* what was refused counts for so long */
        n_entries = n_evicted = 0;
        cache_fill(30 * MIB, 3000);
        void *last = NULL;
        for (void **block = malloc(sizes[i]); block != NULL; block = malloc(sizes[i])) {
            *block = last;
            last = block;
        }
        check(errno == ENOMEM && cached_bytes == 0);
        while (last != NULL) {
            void *before = *(void **)last;
            free(last);
            last = before;
        }
    }
}

static void check_told_for(void *p, size_t told_before)
{
    check(p != NULL && n_told > told_before);
    free(p);
    evict(SIZE_MAX);
    n_entries = n_evicted = 0;
    cache_fill(20 * MIB, MIB);
}

/* Heaps of poolalloc.h ask as malloc does, and so does the checked mode; a heap's maximum does
 * not. */
static void everywhere(void)
{
    check(poolalloc_set_limit(32 * MIB) == 0);
    poolalloc_heap *heap = poolalloc_heap_create(NULL);
    poolalloc_heap *small =
        poolalloc_heap_create(&(struct poolalloc_heap_options){.max_bytes = 5 * MIB});
    check(heap != NULL && small != NULL);
    cache_fill(20 * MIB, MIB);
    check(poolalloc_pressure_subscribe(shrink, NULL) == 0);
    n_told = 0;
    check(poolalloc_heap_malloc(small, 12 * MIB) == NULL);
    check(n_told == 0 && pressure_now().refused_calls == 0);
    check_told_for(poolalloc_heap_malloc(heap, 12 * MIB), n_told);
    check_told_for(poolalloc_heap_calloc(heap, 12, MIB), n_told);
    check_told_for(malloc(12 * MIB), n_told);
    check_told_for(calloc(12, MIB), n_told);
    check(malloc(31 * MIB) == NULL && pressure_now().refused_calls == 1);
}

/* limit=64M */
static void restored(void)
{
    check(poolalloc_set_limit(128 * MIB) == 0);
    check(poolalloc_set_limit(0) == 0);
    check(malloc(100 * MIB) == NULL);
    check(pressure_now().limit_bytes == 64 * MIB);
}

static pthread_barrier_t barrier;

static void meet(void)
{
    (void)pthread_barrier_wait(&barrier);
}

/* The thread is worth a heap of its own: early, or when all is taken. */
static void *have_heap(void *is_late)
{
    if (is_late != NULL)
        meet();
    for (int i = 0; i < 1500; i++)
        free(malloc(16));
    if (is_late == NULL)
        meet();
    meet();
    meet();
    return NULL;
}

static void *have_little(void *is_had)
{
    for (int i = 0; i < 10; i++)
        *(bool *)is_had &= malloc(1000) != NULL;
    return NULL;
}

/* limit=16M: records are in the limit, and leave the reserve to small blocks. */
static void records(void)
{
    enum { N_THREADS = 200, N_LATE = 4 };
    static pthread_t threads[N_THREADS];
    pthread_attr_t attributes;
    check(pthread_attr_init(&attributes) == 0);
    check(pthread_attr_setstacksize(&attributes, 128 * KIB) == 0);
    check(pthread_barrier_init(&barrier, NULL, N_THREADS + 1) == 0);
    for (int i = 0; i < N_THREADS; i++)
        check(pthread_create(&threads[i], &attributes, have_heap, i % 2 == 0 ? NULL : &barrier) ==
              0);
    sleep_ms(100);
    void *last = NULL;
    for (void **block = malloc(1000); block != NULL; block = malloc(1000)) {
        *block = last;
        last = block;
    }
    meet();
    meet();
    for (int i = 0; i < N_LATE; i++) {
        pthread_t late;
        bool is_had = true;
        check(pthread_create(&late, &attributes, have_little, &is_had) == 0);
        check(pthread_join(late, NULL) == 0);
        check(is_had);
    }
    meet();
    for (int i = 0; i < N_THREADS; i++)
        check(pthread_join(threads[i], NULL) == 0);
    free(malloc(1));
    check(pressure_now().charged_peak_bytes <= 16 * MIB);
}

/* limit=64M: free memory that the kernel does not take back counts on. */
static void locked(void)
{
    enum { N_BLOCKS = 60 };
    static void *blocks[N_BLOCKS];
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        skip("memory may not be locked");
    for (int i = 0; i < N_BLOCKS; i++)
        blocks[i] = malloc(900 * KIB);
    for (int i = 0; i < N_BLOCKS; i += 2)
        free(blocks[i]);
    size_t n = 0;
    for (int i = 0; i < N_BLOCKS / 2; i++)
        n += malloc(950 * KIB) != NULL;
    check(n >= N_BLOCKS / 2 - 1);
    check(pressure_now().charged_peak_bytes <= 64 * MIB);
}

static atomic_bool is_handling;
static atomic_size_t n_told_handling;

static void count_handling(int level, size_t wanted_bytes, void *context)
{
    (void)level;
    (void)wanted_bytes;
    (void)context;
    n_told++;
    if (is_handling)
        (void)atomic_fetch_add(&n_told_handling, 1);
}

static void on_signal(int signal)
{
    (void)signal;
    is_handling = true;
    for (int i = 0; i < 40; i++)
        (void)malloc(MIB);
    is_handling = false;
}

/* It has no heap yet. */
static void *take_signal(void *unused)
{
    check(pthread_kill(pthread_self(), SIGUSR1) == 0);
    return unused;
}

static void handler(void)
{
    pthread_t thread;
    check(poolalloc_pressure_subscribe(count_handling, NULL) == 0);
    check(poolalloc_set_limit(32 * MIB) == 0);
    struct sigaction action = {.sa_handler = on_signal};
    check(sigaction(SIGUSR1, &action, NULL) == 0);
    check(pthread_create(&thread, NULL, take_signal, NULL) == 0);
    check(pthread_join(thread, NULL) == 0);
    check(raise(SIGUSR1) == 0);
    check(n_told_handling == 0);
    check(malloc(31 * MIB) == NULL && malloc(10 * MIB) == NULL && n_told > 0);
}

/* limit=64M,limit_action=abort: a block that shrinks fits where it is. */
static void shrinking(void)
{
    char *large = malloc(200 * KIB);
    check(large != NULL);
    for (size_t bytes = 4 * MIB; bytes >= 36 * KIB;) {
        struct poolalloc_pressure pressure = pressure_now();
        size_t left = (size_t)(pressure.limit_bytes - pressure.charged_bytes);
        if (left < bytes + MIB + 8 * KIB)
            bytes /= 2;
        else
            check(malloc(bytes) != NULL);
    }
    uint64_t refused = pressure_now().refused_calls;
    errno = 0;
    check(realloc(large, 20 * KIB) != NULL && errno == 0);
    check(pressure_now().refused_calls == refused);
}

/* limit=64M,limit_action=abort: what never fits is refused, no more. */
static void impossible(void)
{
    check(malloc((size_t)1 << 50) == NULL && malloc(65 * MIB) == NULL);
    struct poolalloc_pressure pressure = pressure_now();
    check(pressure.refused_calls == 2 && pressure.level == POOLALLOC_NORMAL);
}

/* pressure=off */
static void off(void)
{
    check(poolalloc_pressure_subscribe(shrink, NULL) == 0);
    void *p = malloc(20 * MIB);
    check(p != NULL);
    struct poolalloc_pressure pressure = pressure_now();
    check(pressure.limit_bytes == 0 && pressure.source == POOLALLOC_LIMIT_OF_NOTHING);
    check(poolalloc_set_limit(32 * MIB) == 0);
    check(malloc(20 * MIB) == NULL && n_told > 0);
    check(poolalloc_set_limit(0) == 0);
    check(malloc(20 * MIB) != NULL);
    check(pressure_now().source == POOLALLOC_LIMIT_OF_NOTHING);
    errno = 0;
    check(poolalloc_pressure_unsubscribe(NULL, NULL) == -1 && errno == EINVAL);
}

/* pressure=on: memory that was never touched makes nothing short. */
static void untouched(void)
{
    struct poolalloc_pressure before = pressure_now();
    if (before.limit_bytes == 0 || before.ratio > 0.5)
        skip("memory is short already, or its limit unknown");
    check(poolalloc_pressure_subscribe(shrink, NULL) == 0);
    void *p = malloc(before.limit_bytes / 100 * 90);
    if (p == NULL)
        skip("the kernel does not give away what it has not");
    struct poolalloc_pressure after = pressure_now();
    if (after.events > 0 || after.source != before.source)
        skip("memory is short by now, or its limit another");
    check(after.level == POOLALLOC_NORMAL && n_told == 0);
}

static atomic_bool is_told;
static pthread_t main_thread;

static void dawdle(int level, size_t wanted_bytes, void *context)
{
    (void)level;
    (void)wanted_bytes;
    (void)context;
    if (pthread_equal(pthread_self(), main_thread) || is_told)
        return;
    is_told = true;
    for (int i = 0; i < 20; i++)
        sleep_ms(10); /* where a thread may be cancelled */
}

static void *exceed(void *unused)
{
    for (int i = 0; i < 64; i++)
        (void)malloc(MIB);
    pthread_testcancel();
    return unused;
}

static void cancelled(void)
{
    pthread_t thread;
    void *result = NULL;
    main_thread = pthread_self();
    check(poolalloc_set_limit(32 * MIB) == 0);
    check(poolalloc_pressure_subscribe(dawdle, NULL) == 0);
    check(pthread_create(&thread, NULL, exceed, NULL) == 0);
    while (!is_told)
        sleep_ms(1);
    check(pthread_cancel(thread) == 0);
    check(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    (void)alarm(20);
    check(poolalloc_set_limit(64 * MIB) == 0);
    check(poolalloc_pressure_unsubscribe(dawdle, NULL) == 0);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"scattered", scattered}, {"everywhere", everywhere}, {"restored", restored},
    {"records", records},     {"locked", locked},         {"handler", handler},
    {"shrinking", shrinking}, {"impossible", impossible}, {"off", off},
    {"untouched", untouched}, {"cancelled", cancelled},
};

int main(int argc, char **argv)
{
    check(argc == 2 && poolalloc_set_limit != NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (strcmp(cases[i].name, argv[1]) == 0) {
            cases[i].run();
            return EXIT_SUCCESS;
        }
    }
    fail("no such case: %s", argv[1]);
}
