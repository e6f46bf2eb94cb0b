/* SPDX-License-Identifier: MIT */
/*
 * Heaps that change hands: T1 to T4 of heap/thread.c, slabs that pass to other heaps (M1 to M5 of
 * mem/map.h), and blocks that are on their way to heaps meanwhile (heap/remote.c).
 *
 * Every block carries the number of who has it; at the end every heap is whole, and when all
 * inboxes have been emptied, allocations and frees match and every page is back in the arena.
 */
#include "conf/options.h"
#include "explore.h"
#include "heap/alloc.h"
#include "mem/arena.h"
#include "mem/large.h"
#include "obs/stats.h"

enum { BLOCK_BYTES = 16 * 1024, SLAB_BLOCKS = 4, N_PASSED = 8 };

static void *passed[N_PASSED];

/* ---- blocks ---- */

static uint64_t my_mark(void)
{
    return UINT64_C(0x1000) + explore_thread();
}

static void *take(size_t bytes)
{
    uint64_t *p = heap_alloc(bytes);
    holds(p != NULL);
    p[0] = p[1] = my_mark();
    return p;
}

static void give(void *p)
{
    const uint64_t *words = p;
    holds(words[0] == words[1] && words[0] >> 12 == 1);
    heap_free(p);
}

static void give_passed(size_t i)
{
    void *p = passed[i];
    passed[i] = NULL;
    give(p);
}

static void give_mine(void *p)
{
    holds(*(uint64_t *)p == my_mark());
    give(p);
}

static struct heap *my_heap(void)
{
    holds(front_own != &front_empty);
    return heap_of(front_own);
}

/* ---- the end ---- */

/* What is in threads' outboxes still. */
static void flush_mine(void)
{
    if (front_own != &front_empty)
        heap_flush_outboxes(my_heap());
}

static void heap_check_one(struct heap *heap)
{
    lock_take(&heap->lock);
    if (atomic_get_relaxed(&heap->state) == HEAP_PARKED)
        heap_check(heap);
    lock_release(&heap->lock);
}

static void check_all(void)
{
    struct stats stats;
    for (size_t i = 0; i < N_PASSED; i++) {
        if (passed[i] != NULL)
            give_passed(i);
    }
    flush_mine();
    for (uint32_t number = 1; number <= heap_number_max(); number++)
        heap_check_one(heap_by_number(number));
    /* A block may be sent on once more, to the heap that its slab is in now. */
    for (int round = 0; round < 3; round++) {
        for (uint32_t number = 1; number <= heap_number_max(); number++)
            heap_flush(heap_by_number(number));
    }
    arena_check();
    holds(stats_read(&stats));
    for (unsigned class = 0; class < N_CLASSES; class ++)
        holds(stats.classes[class].allocs == stats.classes[class].frees);
    holds(stats.live_blocks == 0 && stats.used_bytes == 0);
}

/* ---- setups ---- */

static void setup(void)
{
    options.guest_calls = 0;
    heap_end_hook_make();
}

static void fill_passed(size_t n)
{
    for (size_t i = 0; i < n; i++)
        passed[i] = take(BLOCK_BYTES);
}

/* The first has a slab whose blocks others will free; each other has a heap. */
static void first_has_slab(size_t number)
{
    if (number == 0)
        fill_passed(3);
    else
        heap_free(heap_alloc(16));
}

/* ---- a heap is parked while others free its blocks ---- */

static void park_or_free(size_t number)
{
    if (number == 0) {
        give_passed(0);
        system_thread_end();
    } else {
        give_passed(number);
        flush_mine();
    }
}

/* ---- a parked heap gives its slab to another while blocks of it are freed ---- */

static void leave_slab_and_end(void)
{
    fill_passed(3);
    give_passed(0);
    system_thread_end();
}

/* The last ends before, and nobody adopts its heap, for all have one; of its slab two blocks are
 * live. */
static void third_has_ended(size_t number)
{
    if (number == 2)
        leave_slab_and_end();
    else
        heap_free(heap_alloc(16));
}

static void fourth_has_ended(size_t number)
{
    if (number == 3)
        leave_slab_and_end();
    else
        heap_free(heap_alloc(16));
}

static void take_slab_or_free(size_t number)
{
    if (number == 0)
        give_mine(take(BLOCK_BYTES));
    else
        give_passed(number);
    flush_mine();
}

/* Two want it. */
static void take_slab_both(size_t number)
{
    void *p = take(BLOCK_BYTES);
    give_passed(1 + number);
    give_mine(p);
    flush_mine();
}

/* The one that took it ends, too. */
static void take_slab_and_end(size_t number)
{
    if (number == 0) {
        give_mine(take(BLOCK_BYTES));
        system_thread_end();
    } else {
        give_passed(1);
        flush_mine();
        give_passed(2);
        flush_mine();
    }
}

/* ---- adoption ---- */

/* The last ends before, as a thread with a heap; the others are new. */
static void third_leaves_heap(size_t number)
{
    if (number < 2)
        return;
    leave_slab_and_end();
    options.guest_calls = 1;
}

static void adopt_or_visit(size_t number)
{
    void *p = take(BLOCK_BYTES); /* as a guest */
    if (number == 0) {
        give_passed(1); /* with a heap */
        give_mine(p);
        system_thread_end();
    } else {
        give_mine(p);
    }
}

/* A guest comes again, to a host that has been adopted, or has been and is parked once more. Blocks
 * of which a bin has several at a time. */
enum { SMALL_BYTES = 1024 };

/* Both have been guests of the same heap, and the first has been for long enough. */
static void both_have_visited(size_t number)
{
    options.guest_calls = 4;
    for (size_t i = 0; i < 2 - number; i++)
        give_mine(take(SMALL_BYTES));
}

static void adopt_or_visit_again(size_t number)
{
    void *p = take(SMALL_BYTES);
    give_mine(p);
    if (number == 0)
        system_thread_end();
}

/* Two of a kind. */
static void adopt_both(size_t number)
{
    void *p = take(BLOCK_BYTES);
    give_passed(1 + number);
    give_mine(p);
    system_thread_end();
}

/* ---- guests ---- */

static void third_leaves_host(size_t number)
{
    third_leaves_heap(number);
    options.guest_calls = UINT32_MAX;
}

static void visit(size_t number)
{
    void *p = take(BLOCK_BYTES);
    give_passed(1 + number);
    give_mine(p);
}

/* ---- everything goes home, from another thread, meanwhile ---- */

static void flush_everything(void)
{
    (void)heap_enter();
    heap_flush_all(true);
    heap_leave();
}

static void flush_or_work(size_t number)
{
    if (number == 1) {
        flush_everything();
        return;
    }
    give_passed(number);
    void *p = take(BLOCK_BYTES);
    give_mine(p);
    flush_mine();
    if (number == 0)
        system_thread_end();
}

/* ---- a host is made for a guest, and everything goes home meanwhile ---- */

static void second_has_heap(size_t number)
{
    if (number == 1)
        heap_free(heap_alloc(16));
    options.guest_calls = UINT32_MAX;
}

static void visit_first_or_flush(size_t number)
{
    if (number == 0)
        give_mine(take(SMALL_BYTES));
    else
        flush_everything();
}

/* ---- a heap that passes for idle loses a slab while its owner comes back ---- */

static void first_is_idle(size_t number)
{
    if (number == 0) {
        fill_passed(3);
        give_passed(0);
        return;
    }
    heap_free(heap_alloc(16));
    for (int i = 0; i < 3; i++) {
        system_clock_add(1000);
        heap_sweep_due();
    }
    holds(heap_any_idle());
}

static void come_back_or_take(size_t number)
{
    if (number == 0) {
        give_passed(1);
        give_mine(take(BLOCK_BYTES));
    } else {
        void *p = take(BLOCK_BYTES);
        give_passed(2);
        give_mine(p);
        flush_mine();
    }
}

/* ---- two heaps in use: each other's blocks are freed, caches and slabs change hands ---- */

enum { EACH = 3 };

static void both_have_slabs(size_t number)
{
    for (size_t i = 0; i < EACH; i++)
        passed[number * EACH + i] = take(BLOCK_BYTES);
}

/* Their slabs are in their lists, where others may take them. */
static void both_are_short(size_t number)
{
    both_have_slabs(number);
    (void)heap_enter();
    heap_flush(my_heap());
    heap_leave();
    heap_caches_set_short(true);
}

static void both_are_short_with_one_free(size_t number)
{
    both_are_short(number);
    give_passed(number * EACH);
}

static size_t of_other(size_t number, size_t i)
{
    return (1 - number) * EACH + i;
}

/* The first takes more than its slab has, the second frees meanwhile what makes others of use to
 * it. */
static void take_while_short(size_t number)
{
    void *p = take(BLOCK_BYTES);
    give_passed(of_other(number, 1));
    if (number == 0)
        give_mine(take(BLOCK_BYTES));
    else
        give_passed(EACH + 2);
    give_mine(p);
    system_thread_end();
}

static void take_while_short_or_flush(size_t number)
{
    void *p = take(BLOCK_BYTES);
    if (number == 1) {
        heap_shrink_all();
        flush_everything();
    }
    void *q = take(BLOCK_BYTES);
    give_passed(of_other(number, 1));
    give_mine(p);
    give_mine(q);
    if (number == 0)
        system_thread_end();
    else
        flush_mine();
}

static void shrink_or_free(size_t number)
{
    if (number == 1) {
        heap_shrink_all();
        flush_everything();
        give_passed(of_other(number, 0));
        give_mine(take(BLOCK_BYTES));
        flush_mine();
    } else {
        give_passed(of_other(number, 1));
        give_passed(2);
        give_mine(take(BLOCK_BYTES));
        system_thread_end();
    }
}

/* ---- a group ---- */

static struct heap *group;

static void group_make(size_t max_bytes)
{
    (void)heap_enter();
    group = heap_group_new(max_bytes);
    heap_leave();
    holds(group != NULL);
}

static void *take_of_group(size_t bytes)
{
    (void)heap_enter();
    uint64_t *p = heap_group_alloc(group, bytes);
    heap_leave();
    holds(p != NULL);
    p[0] = p[1] = my_mark();
    return p;
}

static void group_end(void)
{
    (void)heap_enter();
    (void)heap_group_end(group);
    heap_leave();
}

static void both_have_blocks_of_group(size_t number)
{
    heap_free(heap_alloc(16));
    if (number == 0)
        group_make(SIZE_MAX);
    for (size_t i = 0; i < EACH; i++)
        passed[number * EACH + i] = take_of_group(BLOCK_BYTES);
}

static void free_and_take_of_group(void)
{
    give_passed(of_other(0, 0));
    void *p = take_of_group(BLOCK_BYTES);
    give_passed(0);
    give_mine(p);
}

static void group_or_flush(size_t number)
{
    if (number == 0) {
        free_and_take_of_group();
        return;
    }
    give_passed(of_other(number, 1));
    flush_everything();
    give_mine(take_of_group(BLOCK_BYTES));
}

static void sweep(void)
{
    (void)heap_enter();
    heap_sweep_due();
    heap_leave();
}

static void group_or_sweep(size_t number)
{
    if (number == 0) {
        free_and_take_of_group();
        return;
    }
    for (int i = 0; i < 3; i++) {
        system_clock_add(1000);
        sweep();
        (void)heap_enter();
        (void)heap_group_trim(group);
        heap_leave();
    }
}

/* Its heap is the next group's; what is of the first must not be found by then. */
static void group_end_or_flush(size_t number)
{
    if (number == 1) {
        system_clock_add(1000);
        flush_everything();
        sweep();
        return;
    }
    (void)take_of_group(BLOCK_BYTES);
    (void)take_of_group(100000);
    group_end();
    for (size_t i = 0; i < 2 * EACH; i++)
        passed[i] = NULL;
    group_make(1 << 20);
    (void)take_of_group(BLOCK_BYTES);
}

static void check_group(void)
{
    for (size_t i = 0; i < N_PASSED; i++) {
        if (passed[i] != NULL)
            give_passed(i);
    }
    group_end();
    check_all();
}

static const struct model models[] = {
    {"park", 3, 0, 2, 0, setup, first_has_slab, park_or_free, check_all},
    {"take-slab", 3, 1, 2, 0, setup, fourth_has_ended, take_slab_or_free, check_all},
    {"take-slab-both", 2, 1, 3, 0, setup, third_has_ended, take_slab_both, check_all},
    {"take-slab-and-end", 2, 1, 2, 0, setup, third_has_ended, take_slab_and_end, check_all},
    {"adopt", 2, 1, 2, 0, setup, third_leaves_heap, adopt_or_visit, check_all},
    {"adopt-both", 2, 1, 2, 0, setup, third_leaves_heap, adopt_both, check_all},
    {"adopt-again", 2, 0, 2, 0, setup, both_have_visited, adopt_or_visit_again, check_all},
    {"visit", 2, 1, 2, 0, setup, third_leaves_host, visit, check_all},
    {"flush-all", 2, 0, 4, 0, setup, first_has_slab, flush_or_work, check_all},
    {"visit-first", 2, 0, 3, 0, setup, second_has_heap, visit_first_or_flush, check_all},
    {"idle", 2, 0, 4, 0, setup, first_is_idle, come_back_or_take, check_all},
    {"short", 2, 0, 2, 0, setup, both_are_short, take_while_short, check_all},
    {"short-and-flush", 2, 0, 2, 0, setup, both_are_short_with_one_free, take_while_short_or_flush,
     check_all},
    {"shrink", 2, 0, 3, 0, setup, both_have_slabs, shrink_or_free, check_all},
    {"group", 2, 0, 3, 0, setup, both_have_blocks_of_group, group_or_flush, check_group},
    {"group-sweep", 2, 0, 2, 0, setup, both_have_blocks_of_group, group_or_sweep, check_group},
    {"group-end", 2, 0, 2, 0, setup, both_have_blocks_of_group, group_end_or_flush, check_group},
};

int main(int argc, char **argv)
{
    return explore_main(argc, argv, models, ARRAY_LEN(models));
}
