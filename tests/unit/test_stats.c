/* SPDX-License-Identifier: MIT */
#include "conf/options.h"
#include "obs/stats.h"

#include "mem/meta.h"
#include "model.h"

enum { N_BLOCKS = 3000 };

/* Allocates and frees on a thread of its own; every second block is left to the caller. */
struct share {
    size_t bytes;
    size_t n;
    char *left[N_BLOCKS];
};

static void *alloc_and_leave_half(void *argument)
{
    struct share *share = argument;
    for (size_t i = 0; i < share->n; i++) {
        share->left[i] = heap_alloc(share->bytes);
        heap_free(heap_alloc(share->bytes));
    }
    return NULL;
}

static size_t record_bytes(void)
{
    struct meta_stats meta;
    check(meta_get_stats(&meta, lock_take_surely));
    return meta.mapped_bytes;
}

static void body_sums(void *argument)
{
    (void)argument;
    static struct share shares[] = {{100, 3000, {NULL}}, {100, 500, {NULL}}, {5000, 77, {NULL}}};
    struct stats stats;
    heap_free(heap_alloc(100));
    for (size_t i = 0; i < ARRAY_LEN(shares); i++)
        thread_run(alloc_and_leave_half, &shares[i]);
    stats_read(&stats);
    check_equal(stats.classes[class_of(100)].allocs, 7001);
    check_equal(stats.classes[class_of(100)].frees, 3501);
    check_equal(stats.classes[class_of(5000)].allocs, 154);
    check_equal(stats.classes[class_of(5000)].frees, 77);
    check_equal(stats.small_live_bytes, 3500 * 112 + 77 * 5120);
    check_equal(stats.record_bytes, record_bytes());
    for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
        for (size_t j = 0; j < shares[i].n; j++)
            heap_free(shares[i].left[j]);
    }
    stats_read(&stats);
    check_equal(stats.classes[class_of(100)].frees, stats.classes[class_of(100)].allocs);
    check_equal(stats.classes[class_of(5000)].frees, stats.classes[class_of(5000)].allocs);
    check_equal(stats.small_live_bytes, 0);
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        if (class != class_of(100) && class != class_of(5000))
            check_equal(stats.classes[class].allocs + stats.classes[class].frees, 0);
    }
}

/* Blocks of three threads, freed by a fourth. */
static void test_counts_are_exact_over_all_threads(void **state)
{
    (void)state;
    child_passes(body_sums, NULL);
}

static void body_arena(void *argument)
{
    (void)argument;
    struct stats stats;
    char *large = heap_alloc(300000);
    char *direct = heap_alloc(40 * MIB);
    stats_read(&stats);
    check_equal(stats.direct_bytes, 40 * MIB);
    check_equal(stats.large_live_bytes, 40 * MIB + round_up(300000, PAGE_BYTES));
    check_equal(stats.large_allocs, 2);
    check_equal(stats.large_frees, 0);
    heap_free(large);
    heap_free(direct);
    stats_read(&stats);
    check_equal(stats.large_live_bytes, 0);
    check_equal(stats.direct_bytes, 0);
    check_equal(stats.large_frees, 2);
}

static void test_large_blocks(void **state)
{
    (void)state;
    child_passes(body_arena, NULL);
}

/* 3 slabs of 16 blocks. */
enum { SLAB_BLOCKS = 16, USE_BYTES = UNIT_BYTES / SLAB_BLOCKS };

static void body_slabs(void *argument)
{
    (void)argument;
    char *blocks[3 * SLAB_BLOCKS];
    struct stats stats;
    const struct class_stats *now = &stats.classes[class_of(USE_BYTES)];
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        blocks[i] = heap_alloc(USE_BYTES - 96);
    check(stats_read(&stats));
    check_equal(now->slabs, 3);
    check_equal(now->slabs_full, 3);
    check_equal(now->live, 3 * SLAB_BLOCKS);
    check_equal(now->at_hand + now->slab_free, 0);
    check_equal(now->asked_bytes, now->refills * (USE_BYTES - 96));
    check_equal(stats.slack_bytes, 3 * SLAB_BLOCKS * 96);
    check_equal(stats.active_bytes, 3 * UNIT_BYTES);
    /* Of the second slab three quarters go home, of the third all but one. */
    for (size_t i = SLAB_BLOCKS; i < ARRAY_LEN(blocks) - 1; i++) {
        if (i % 4 != 0 || i > 2 * SLAB_BLOCKS)
            heap_free(blocks[i]);
    }
    check(stats_read(&stats));
    check_equal(now->live, SLAB_BLOCKS + 4 + 1 + 1);
    check_equal(now->live + now->at_hand + now->slab_free, 3 * SLAB_BLOCKS);
    heap_flush(my_heap());
    check(stats_read(&stats));
    check_equal(now->slabs_full, 1);
    check_equal(now->slabs_to_50, 1);
    check_equal(now->slabs_to_25, 1);
    check_equal(now->at_hand, 0);
    check_equal(now->slab_free, 12 + 14);
    check_equal(stats.slab_free_bytes, 26 * USE_BYTES);
    check_equal(stats.active_bytes, 3 * UNIT_BYTES);
    check(stats.resident_bytes >= stats.active_bytes + stats.record_used_bytes);
}

static void test_use_of_slabs(void **state)
{
    (void)state;
    child_passes(body_slabs, NULL);
}

static void *take_one(void *argument)
{
    (void)argument;
    return heap_alloc(100);
}

static void body_busy_heap(void *argument)
{
    (void)argument;
    struct stats stats;
    heap_free(heap_alloc(100));
    thread_run(take_one, NULL);
    check(stats_read_soon(&stats));
    check_equal(stats.heaps_busy, 0);
    check_equal(stats.heaps_live, 1);
    check_equal(stats.heaps_parked, 1);
    check_equal(stats.heaps_abandoned, 1);
    check_equal(stats.live_blocks, 1);
    lock_take(&heap_by_number(2)->lock);
    check(stats_read_soon(&stats));
    check_equal(stats.heaps_busy, 1);
    check_equal(stats.slabs, 1); /* its own is not known, but what was taken of it is */
    check_equal(stats.classes[class_of(100)].allocs, 2);
    check(!lock_try(&heap_by_number(2)->lock));
    lock_release(&heap_by_number(2)->lock);
    thread_run(take_one, NULL);
    check(stats_read(&stats));
    check_equal(stats.live_blocks, 2);
    check_equal(stats.heaps_adopted, 1);
}

static void test_a_heap_that_is_locked_is_passed_over(void **state)
{
    (void)state;
    child_passes(body_busy_heap, NULL);
}

static void body_inside(void *argument)
{
    (void)argument;
    struct stats stats;
    heap_free(heap_alloc(100));
    check(heap_enter());
    stats.allocs = 7;
    check(!stats_read(&stats));
    check_equal(stats.allocs, 0);
    check(stats_read_soon(&stats));
    check_equal(stats.allocs, 1);
    check(!heap_enter());
    heap_leave();
}

static void test_inside(void **state)
{
    (void)state;
    child_passes(body_inside, NULL);
}

static _Atomic bool is_over;

/* A class of which a bin holds few blocks, so that it is looked at all the time. */
enum { BUSY_BYTES = 32768, BUSY_BLOCKS = 8, BUSY_ROUNDS = 100000 };

static void *be_busy(void *argument)
{
    char *blocks[BUSY_BLOCKS];
    for (size_t round = 0; round < BUSY_ROUNDS; round++) {
        for (size_t i = 0; i < BUSY_BLOCKS; i++)
            blocks[i] = heap_alloc(BUSY_BYTES);
        for (size_t i = 0; i < BUSY_BLOCKS; i++)
            heap_free(blocks[i]);
    }
    atomic_put_release(&is_over, true);
    return argument;
}

static void body_meanwhile(void *argument)
{
    (void)argument;
    struct stats stats;
    const struct class_stats *now = &stats.classes[class_of(BUSY_BYTES)];
    uint64_t n_allocs = 0;
    pthread_t thread = thread_start(be_busy, NULL);
    while (!atomic_get_acquire(&is_over)) {
        stats_read(&stats);
        check(stats.live_bytes <= stats.active_bytes);
        check(stats.active_bytes <= stats.resident_bytes);
        check(stats.resident_bytes <= stats.mapped_bytes);
        check(now->frees <= now->allocs);
        check(now->allocs >= n_allocs);
        n_allocs = now->allocs;
    }
    thread_join(thread);
    stats_read(&stats);
    check_equal(now->allocs, (uint64_t)BUSY_ROUNDS * BUSY_BLOCKS);
    check_equal(now->frees, (uint64_t)BUSY_ROUNDS * BUSY_BLOCKS);
}

static void test_reading_while_another_thread_works(void **state)
{
    (void)state;
    child_passes(body_meanwhile, NULL);
}

int main(void)
{
    options.guest_calls = 0;
    heap_fork_init();
    heap_end_hook_make();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_are_exact_over_all_threads),
        cmocka_unit_test(test_large_blocks),
        cmocka_unit_test(test_use_of_slabs),
        cmocka_unit_test(test_a_heap_that_is_locked_is_passed_over),
        cmocka_unit_test(test_inside),
        cmocka_unit_test(test_reading_while_another_thread_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
