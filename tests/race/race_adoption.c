/* SPDX-License-Identifier: MIT */
/*
 * Heaps that pass from thread to thread (heap/thread.c, T1 to T3) while others take slabs out of
 * them and free blocks of theirs: generations of threads that live for a short while, the first
 * half of it as guests, and beside them one that lives all the time. Some threads free and allocate
 * on after their last destructor. Time goes by so fast that heaps in use pass for idle, too.
 *
 * Blocks go from thread to thread and carry patterns. At the end all threads are gone, every heap
 * is whole, allocations and frees match, and every page is back in the arena.
 */
#include "conf/options.h"
#include "heap/alloc.h"
#include "mem/arena.h"
#include "obs/stats.h"
#include "race.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum {
    N_THREADS = 4,
    N_GENERATIONS = 60,
    N_STEPS = 250,
    GUEST_CALLS = 150,
    N_SLOTS = 128,
    N_HELD = 16,
    LATE_ROUND = 3, /* of destructors: a key made after the allocator's runs after it */
};

/* Written into the block itself, by plain stores. */
struct item {
    uint64_t bytes;
    uint64_t seed;
    unsigned char rest[];
};

static _Atomic(struct item *) slots[N_SLOTS];
static _Atomic uint64_t n_items;
static _Atomic bool is_over;

/* Few classes, so that heaps have slabs that others can use; now and then a large block. */
static size_t item_bytes(struct random *dice)
{
    static const size_t sizes[] = {32, 64, 1024, 1024, 1024, 4096, 8192, 32768};
    if (random_below(dice, 64) == 0)
        return 40000 + random_below(dice, 60000);
    return sizes[random_below(dice, ARRAY_LEN(sizes))];
}

/* Of large ones the ends: the sanitizer makes each byte dear. */
static size_t item_marked(const struct item *item)
{
    return min_size(item->bytes - sizeof *item, 240);
}

static struct item *item_new(struct random *dice)
{
    size_t bytes = item_bytes(dice);
    struct item *item = random_below(dice, 8) == 0 ? heap_alloc_zeroed(bytes) : heap_alloc(bytes);
    race_check(item != NULL);
    item->bytes = bytes;
    item->seed = random_next(dice);
    pattern_fill(item->rest, item_marked(item), item->seed);
    (void)atomic_add_relaxed(&n_items, 1);
    return item;
}

static void item_free(struct item *item)
{
    if (item == NULL)
        return;
    race_check(pattern_holds(item->rest, item_marked(item), item->seed));
    heap_free(item);
}

/* Leaves an item for others and frees what was there. */
static void leave(struct item *item, struct random *dice)
{
    size_t slot = random_below(dice, N_SLOTS);
    item_free(atomic_exchange_explicit(&slots[slot], item, memory_order_acq_rel));
}

static void step(struct item **held, struct random *dice)
{
    struct item **mine = &held[random_below(dice, N_HELD)];
    switch (random_below(dice, 4)) {
    case 0:
        item_free(*mine);
        *mine = item_new(dice);
        break;
    case 1:
        leave(NULL, dice);
        break;
    default:
        leave(item_new(dice), dice);
        break;
    }
}

static void live(struct random *dice, size_t n_steps)
{
    struct item *held[N_HELD] = {NULL};
    for (size_t i = 0; i < n_steps; i++)
        step(held, dice);
    /* Half of what it has outlives the thread. */
    for (size_t i = 0; i < N_HELD; i++) {
        if (i % 2 == 0)
            item_free(held[i]);
        else if (held[i] != NULL)
            leave(held[i], dice);
    }
}

/* ---- after the last destructor ---- */

static pthread_key_t end_key;

static THREAD_LOCAL int end_round;

static void live_late(void *argument)
{
    struct random dice = {(uintptr_t)argument};
    if (++end_round < LATE_ROUND) {
        (void)pthread_setspecific(end_key, argument);
        return;
    }
    race_check(front_own == &front_empty);
    for (int i = 0; i < 20; i++)
        leave(item_new(&dice), &dice);
}

/* ---- threads ---- */

static _Atomic uint64_t n_threads;

static void live_shortly(size_t number)
{
    struct random dice = {(atomic_add_relaxed(&n_threads, 1) + 1) * 1000 + number};
    if (number % 2 == 0)
        race_check(pthread_setspecific(end_key, (void *)(dice.state + 7)) == 0);
    live(&dice, N_STEPS);
}

static void *live_long(void *argument)
{
    struct random dice = {UINT64_C(1) << 32};
    while (!atomic_get_relaxed(&is_over)) {
        live(&dice, 100);
        arena_purge_due();
    }
    return argument;
}

/* A heap is idle two epochs after its owner was in a slow path last. */
static void *hurry_time(void *argument)
{
    while (!atomic_get_relaxed(&is_over)) {
        (void)atomic_add_relaxed(&idle_epoch, 1);
        (void)usleep(50);
    }
    return argument;
}

/* ---- the end ---- */

static void check_heap(struct heap *heap)
{
    lock_take(&heap->lock);
    heap_check(heap);
    lock_release(&heap->lock);
}

/* Sends home what waits in inboxes. A block may be sent on once more, to the heap its slab is in
 * now. */
static void empty_all_inboxes(void)
{
    for (int round = 0; round < 3; round++) {
        for (uint32_t number = 1; number <= heap_number_max(); number++) {
            struct heap *heap = heap_by_number(number);
            if (heap != NULL)
                heap_flush(heap);
        }
    }
}

static void check_counts(void)
{
    struct stats stats;
    stats_read(&stats);
    for (unsigned class = 0; class < N_CLASSES; class ++)
        race_check(stats.classes[class].allocs == stats.classes[class].frees);
    race_check(stats.large_allocs == stats.large_frees);
    race_check(stats.allocs == atomic_get_relaxed(&n_items));
    race_check(stats.live_bytes == 0 && stats.live_blocks == 0 && stats.used_bytes == 0);
    race_check(stats.free_bytes == stats.mapped_bytes - stats.record_bytes);
}

/* All other threads have ended: their heaps are parked, and this thread may touch all of them. */
static void check_all(void)
{
    race_check(heap_live_count() == 1);
    heap_flush_outboxes(heap_of(front_own));
    for (uint32_t number = 1; number <= heap_number_max(); number++) {
        struct heap *heap = heap_by_number(number);
        if (heap == NULL)
            continue;
        bool is_mine = &heap->front == front_own;
        race_check(is_mine || atomic_get_relaxed(&heap->state) == HEAP_PARKED);
        check_heap(heap);
    }
    empty_all_inboxes();
    arena_check();
    check_counts();
}

/* Whatever the others are at, the figures fit. */
static void *look(void *argument)
{
    struct stats stats;
    struct stats before = {0};
    while (!atomic_get_relaxed(&is_over)) {
        race_check(stats_read(&stats));
        race_check(stats.live_bytes <= stats.active_bytes);
        race_check(stats.active_bytes <= stats.resident_bytes);
        race_check(stats.resident_bytes <= stats.mapped_bytes);
        race_check(stats.allocs >= before.allocs);
        race_check(stats.heaps_busy == 0);
        before = stats;
    }
    return argument;
}

static void free_what_is_left(void)
{
    for (size_t i = 0; i < N_SLOTS; i++)
        item_free(atomic_exchange(&slots[i], NULL));
}

int main(void)
{
    pthread_t thread;
    pthread_t looker;
    pthread_t time;
    options.dirty_bytes = MIB;
    options.guest_calls = GUEST_CALLS;
    heap_fork_init();
    heap_end_hook_make();
    race_check(pthread_key_create(&end_key, live_late) == 0);
    struct random dice = {1};
    leave(item_new(&dice), &dice);
    race_check(pthread_create(&thread, NULL, live_long, NULL) == 0);
    race_check(pthread_create(&looker, NULL, look, NULL) == 0);
    race_check(pthread_create(&time, NULL, hurry_time, NULL) == 0);
    for (int i = 0; i < N_GENERATIONS; i++)
        race_run(N_THREADS, live_shortly);
    atomic_put_relaxed(&is_over, true);
    race_check(pthread_join(thread, NULL) == 0);
    race_check(pthread_join(looker, NULL) == 0);
    race_check(pthread_join(time, NULL) == 0);
    free_what_is_left();
    check_all();
    /* Of hundreds of threads, never more at a time than these: heaps were adopted, and each thread
     * visits one at a time. */
    race_check(heap_number_max() <= 2 * (N_THREADS + 1) + 1);
    (void)printf("%u heaps, %llu blocks\n", heap_number_max(),
                 (unsigned long long)atomic_get_relaxed(&n_items));
    return 0;
}
