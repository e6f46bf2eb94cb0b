/* SPDX-License-Identifier: MIT */
/*
 * Groups (heap/group.c): threads allocate from a few at once and free each other's blocks, while
 * one trims them, looks at them and sweeps, and time goes by so fast that all pass for idle. Then,
 * when all have stopped, each group ends: what is left in it is what nobody has freed, and every
 * page comes back.
 *
 * Blocks go from thread to thread and carry patterns, written by plain stores.
 */
#include "conf/options.h"
#include "heap/alloc.h"
#include "mem/arena.h"
#include "objects/heaps.h"
#include "obs/stats.h"
#include "race.h"

#include <stdio.h>

enum { N_THREADS = 4, N_GROUPS = 3, N_GENERATIONS = 20, N_STEPS = 1500, N_PLACES = 64 };

struct item {
    uint64_t seed;
    uint32_t group;
    uint32_t n_marked;
    char rest[];
};

static poolalloc_heap *groups[N_GROUPS];
static _Atomic uint64_t n_live[N_GROUPS];
static _Atomic(struct item *) places[N_PLACES];
static _Atomic uint64_t n_made;

static size_t item_bytes(struct random *dice)
{
    static const size_t sizes[] = {32, 64, 1024, 1024, 8192, 32768};
    if (random_below(dice, 32) == 0)
        return 40000 + random_below(dice, 60000);
    return sizes[random_below(dice, ARRAY_LEN(sizes))];
}

static void item_mark(struct item *item, size_t bytes, struct random *dice)
{
    item->n_marked = (uint32_t)min_size(bytes - sizeof *item, 200);
    item->seed = random_next(dice);
    pattern_fill(item->rest, item->n_marked, item->seed);
}

static void item_check(const struct item *item)
{
    race_check(pattern_holds(item->rest, item->n_marked, item->seed));
}

static struct item *item_new(struct random *dice)
{
    uint32_t group = (uint32_t)random_below(dice, N_GROUPS);
    size_t bytes = item_bytes(dice);
    struct item *item = random_below(dice, 4) == 0 ? heaps_calloc(groups[group], 1, bytes)
                                                   : heaps_alloc(groups[group], bytes);
    race_check(item != NULL);
    item->group = group;
    item_mark(item, bytes, dice);
    (void)atomic_add_relaxed(&n_live[group], 1);
    (void)atomic_add_relaxed(&n_made, 1);
    return item;
}

static void item_free(struct item *item)
{
    item_check(item);
    (void)atomic_sub_relaxed(&n_live[item->group], 1);
    heap_free(item);
}

static struct item *item_resize(struct item *item, struct random *dice)
{
    size_t bytes = item_bytes(dice);
    item_check(item);
    item->n_marked = (uint32_t)min_size(item->n_marked, bytes - sizeof *item);
    item = heap_realloc(item, bytes);
    race_check(item != NULL);
    item_check(item);
    item_mark(item, bytes, dice);
    return item;
}

static void look(struct random *dice)
{
    struct poolalloc_heap_stats of_one;
    struct stats of_all;
    const poolalloc_heap *group = groups[random_below(dice, N_GROUPS)];
    heaps_get_stats(group, &of_one);
    race_check(stats_read(&of_all));
    atomic_add_relaxed(&idle_epoch, 3);
    (void)heaps_trim(groups[random_below(dice, N_GROUPS)]);
    (void)heap_enter();
    heap_flush_all(true);
    heap_leave();
}

static void come_and_go(size_t number)
{
    struct random dice = {number + 1};
    for (int i = 0; i < N_STEPS; i++) {
        struct item *item = random_below(&dice, 8) == 0 ? NULL : item_new(&dice);
        item = atomic_exchange_explicit(&places[random_below(&dice, N_PLACES)], item,
                                        memory_order_acq_rel);
        if (item != NULL && random_below(&dice, 4) == 0)
            item = item_resize(item, &dice);
        if (item != NULL && random_below(&dice, 16) != 0)
            item_free(item);
        if (random_below(&dice, 200) == 0)
            look(&dice);
    }
}

static size_t bytes_in_use(void)
{
    struct arena_stats stats;
    (void)heap_enter();
    heap_flush_all(true);
    heap_leave();
    arena_get_stats(&stats);
    return stats.mapped_bytes - stats.free_bytes + stats.direct_bytes;
}

static void end_groups(void)
{
    for (size_t i = 0; i < N_PLACES; i++) {
        struct item *item = atomic_exchange_explicit(&places[i], NULL, memory_order_acq_rel);
        if (item != NULL)
            item_free(item);
    }
    for (size_t i = 0; i < N_GROUPS; i++) {
        heap_check(groups[i]->heap);
        race_check(heaps_destroy(groups[i]) == atomic_get_relaxed(&n_live[i]));
        atomic_put_relaxed(&n_live[i], 0);
    }
}

int main(void)
{
    options.guest_calls = N_STEPS / 2;
    heap_free(heap_alloc(1));
    size_t before = bytes_in_use();
    for (int i = 0; i < N_GENERATIONS; i++) {
        for (size_t j = 0; j < N_GROUPS; j++)
            race_check((groups[j] = heaps_create(NULL)) != NULL);
        race_run(N_THREADS, come_and_go);
        end_groups();
    }
    race_check(bytes_in_use() == before);
    (void)printf("%llu blocks made\n", (unsigned long long)n_made);
    return 0;
}
