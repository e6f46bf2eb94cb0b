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
    char *large = heap_alloc(100000);
    char *direct = heap_alloc(40 * MIB);
    stats_read(&stats);
    check_equal(stats.direct_bytes, 40 * MIB);
    check_equal(stats.large_live_bytes, 40 * MIB + round_up(100000, PAGE_BYTES));
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
        cmocka_unit_test(test_reading_while_another_thread_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
