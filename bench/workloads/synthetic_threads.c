/* SPDX-License-Identifier: MIT */
/*
 * Threads that come, go, hand blocks on, or stay without a use for memory.
 */
#include "synthetic.h"

#include <pthread.h>
#include <semaphore.h>

static void start_thread(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *),
                         void *argument)
{
    if (pthread_create(thread, attributes, body, argument) != 0) {
        child_fail("synthetic: cannot start a thread");
    }
}

static void run_one_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    start_thread(&thread, NULL, body, argument);
    (void)pthread_join(thread, NULL);
}

/* ---- server-handover ---- */

enum {
    N_LANES = 2,
    LANE_PLACES = 5000,
    LANE_BYTES_MAX = 512,
    N_GENERATIONS = 40,
    N_REPLACEMENTS = 50000, /* by each thread of a lane */
};

static struct lane {
    uint64_t random;
    uint32_t first_key;
    struct block *places[LANE_PLACES];
} lanes[N_LANES];

static void fill_place(struct lane *lane, uint32_t place)
{
    uint32_t n_bytes = random_between(&lane->random, BLOCK_BYTES_MIN, LANE_BYTES_MAX);
    lane->places[place] = block_make(n_bytes, lane->first_key + place);
}

static void empty_place(struct lane *lane, uint32_t place)
{
    block_free(lane->places[place], lane->first_key + place);
}

static void *serve(void *argument)
{
    struct lane *lane = argument;
    for (int i = 0; i < N_REPLACEMENTS; i++) {
        uint32_t place = random_below(&lane->random, LANE_PLACES);
        empty_place(lane, place);
        fill_place(lane, place);
    }
    return NULL;
}

static void *serve_by_generations(void *lane)
{
    for (uint32_t i = amount(N_GENERATIONS); i > 0; i--) {
        run_one_thread(serve, lane);
    }
    return NULL;
}

void run_server_handover(void)
{
    for (uint32_t i = 0; i < N_LANES; i++) {
        lanes[i].random = i + 10;
        lanes[i].first_key = i * LANE_PLACES;
        for (uint32_t place = 0; place < LANE_PLACES; place++) {
            fill_place(&lanes[i], place);
        }
    }
    measure_begin();
    run_threads(N_LANES, serve_by_generations, lanes, sizeof lanes[0]);
    measure_end();
    for (uint32_t i = 0; i < N_LANES; i++) {
        for (uint32_t place = 0; place < LANE_PLACES; place++) {
            empty_place(&lanes[i], place);
        }
    }
    measure_freed();
}

/* ---- short-threads ---- */

enum {
    N_SHORT_THREADS = 6000,
    POOL_PLACES = 10000, /* of 1,032 bytes on average: 10 MB */
    SHORT_THREAD_BYTES = 100 * 1024,
    SHORT_BYTES_MAX = 2048,
    SHORT_BLOCKS_MAX = SHORT_THREAD_BYTES / BLOCK_BYTES_MIN + 1,
};

struct held {
    struct block *block;
    uint32_t key;
};

/*
 * A block handed on drives out the one that an earlier thread left in a place chosen at random.
 * Threads take turns, and joining one orders it before the next: nothing here is shared at once.
 */
static struct {
    uint64_t random;
    uint32_t next_key;
    struct held places[POOL_PLACES];
    struct held own[SHORT_BLOCKS_MAX]; /* of the running thread */
} pool;

static void free_held(struct held *held)
{
    if (held->block != NULL) {
        block_free(held->block, held->key);
    }
    held->block = NULL;
}

static int fill_own(void)
{
    int n = 0;
    for (uint32_t n_bytes = 0; n_bytes < SHORT_THREAD_BYTES; n++) {
        uint32_t size = random_between(&pool.random, BLOCK_BYTES_MIN, SHORT_BYTES_MAX);
        uint32_t key = pool.next_key++;
        pool.own[n] = (struct held){.block = block_make(size, key), .key = key};
        n_bytes += size;
    }
    return n;
}

static void *live_shortly(void *unused)
{
    (void)unused;
    int n = fill_own();
    for (int i = 0; i < n; i += 2) {
        struct held *place = &pool.places[random_below(&pool.random, POOL_PLACES)];
        free_held(place);
        *place = pool.own[i];
    }
    for (int i = 1; i < n; i += 2) {
        free_held(&pool.own[i]);
    }
    return NULL;
}

void run_short_threads(void)
{
    pool.random = 20;
    measure_begin();
    for (uint32_t i = amount(N_SHORT_THREADS); i > 0; i--) {
        run_one_thread(live_shortly, NULL);
    }
    measure_end();
    for (int place = 0; place < POOL_PLACES; place++) {
        free_held(&pool.places[place]);
    }
    measure_freed();
}

/* ---- idle-threads ---- */

enum {
    N_IDLE_THREADS = 2000,
    IDLE_STACK_BYTES = 64 * 1024,
    N_IDLE_SIZES = 200,
    IDLE_SIZE_STEP = 16,
};

static struct {
    sem_t n_parked;
    sem_t may_leave;
    pthread_t threads[N_IDLE_THREADS];
} idle;

static void *use_sizes_and_park(void *unused)
{
    (void)unused;
    struct block *blocks[N_IDLE_SIZES];
    for (uint32_t i = 0; i < N_IDLE_SIZES; i++) {
        blocks[i] = block_make((i + 1) * IDLE_SIZE_STEP, i);
    }
    for (uint32_t i = 0; i < N_IDLE_SIZES; i++) {
        block_free(blocks[i], i);
    }
    (void)sem_post(&idle.n_parked);
    while (sem_wait(&idle.may_leave) != 0) {
    }
    return NULL;
}

static void start_idle_threads(void)
{
    pthread_attr_t attributes;
    (void)pthread_attr_init(&attributes);
    if (pthread_attr_setstacksize(&attributes, IDLE_STACK_BYTES) != 0) {
        child_fail("idle-threads: no such stack size");
    }
    for (uint32_t i = 0; i < amount(N_IDLE_THREADS); i++) {
        start_thread(&idle.threads[i], &attributes, use_sizes_and_park, NULL);
    }
    (void)pthread_attr_destroy(&attributes);
    for (uint32_t i = 0; i < amount(N_IDLE_THREADS); i++) {
        while (sem_wait(&idle.n_parked) != 0) {
        }
    }
}

void run_idle_threads(void)
{
    (void)sem_init(&idle.n_parked, 0, 0);
    (void)sem_init(&idle.may_leave, 0, 0);
    measure_begin();
    start_idle_threads();
    measure_end();
    measure_freed(); /* what the parked threads hold on to is the point */
    for (uint32_t i = 0; i < amount(N_IDLE_THREADS); i++) {
        (void)sem_post(&idle.may_leave);
    }
    for (uint32_t i = 0; i < amount(N_IDLE_THREADS); i++) {
        (void)pthread_join(idle.threads[i], NULL);
    }
}
