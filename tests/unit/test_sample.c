/* SPDX-License-Identifier: MIT */
/* Each test is a process of its own: what is sampled is decided once. */
#include "heap/sample.h"

#include "base/chance.h"
#include "conf/options.h"
#include "fake_sys.h"
#include "heap/alloc.h"
#include "heap/guard.h"
#include "heap/sites.h"
#include "model.h"

#include <errno.h>
#include <signal.h>

struct counts {
    uint64_t live_blocks;
    uint64_t live_bytes;
    uint64_t blocks;
    uint64_t bytes;
};

static struct counts sum_counts(void)
{
    struct counts sum = {0, 0, 0, 0};
    for (uint32_t site = 0; site <= sites_count(); site++) {
        const struct sample_counts *counts = sample_counts_of(site);
        sum.live_blocks += atomic_get_relaxed(&counts->live_blocks);
        sum.live_bytes += atomic_get_relaxed(&counts->live_bytes);
        sum.blocks += atomic_get_relaxed(&counts->blocks);
        sum.bytes += atomic_get_relaxed(&counts->bytes);
    }
    return sum;
}

static void profile_every(uint64_t bytes)
{
    options.profile_bytes = bytes;
    sample_init();
    check(sample_is_on && sample_profile_bytes() == bytes);
}

/* Of n_calls for so many bytes n were sampled: within six standard deviations of what is to be
 * expected. */
static void check_rate(uint64_t n, size_t n_calls, size_t bytes)
{
    double expected =
        (double)n_calls * chance_within((double)bytes / (double)sample_profile_bytes());
    double off = (double)n - expected;
    check(off * off <= 36 * expected + 36);
}

static void nothing_is_sampled(void *argument)
{
    (void)argument;
    sample_init();
    check(!sample_is_on && sample_profile_bytes() == 0 && sample_counts_of(0) == NULL);
}

static void test_off(void **state)
{
    (void)state;
    child_passes(nothing_is_sampled, NULL);
}

/* However a program takes blocks: one in so many bytes is sampled. */
static void count_pairs(void *argument)
{
    enum { N = 300000 };
    size_t bytes = *(const size_t *)argument;
    profile_every(100000);
    for (int i = 0; i < N; i++)
        heap_free(heap_alloc(bytes));
    check_rate(sum_counts().blocks, N, bytes);
    check_equal(sum_counts().bytes, sum_counts().blocks * bytes);
    check_equal(sum_counts().live_blocks, 0);
    check_equal(sum_counts().live_bytes, 0);
}

static void count_batches(void *argument)
{
    enum { N = 1000, ROUNDS = 300 };
    static void *p[N];
    size_t bytes = *(const size_t *)argument;
    profile_every(100000);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < N; i++)
            p[i] = heap_alloc(bytes);
        for (int i = 0; i < N; i++)
            heap_free(p[i]);
    }
    check_rate(sum_counts().blocks, (size_t)N * ROUNDS, bytes);
    check_equal(sum_counts().live_blocks, 0);
}

static void test_rates(void **state)
{
    static const size_t sizes[] = {16, 64, 90, 500, 1024};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        child_passes(count_pairs, (void *)&sizes[i]);
        child_passes(count_batches, (void *)&sizes[i]);
    }
}

/* Two sizes of a class in turn, so that whatever the bin does it does in step with them. */
static void count_in_step(void *argument)
{
    enum { N = 300000 };
    size_t large = *(const size_t *)argument;
    size_t small = large - 1;
    profile_every(100000);
    for (int i = 0; i < N; i++) {
        void *p = heap_alloc(large);
        void *q = heap_alloc(small);
        heap_free(p);
        heap_free(q);
    }
    struct counts sum = sum_counts();
    uint64_t n_large = sum.bytes - sum.blocks * small;
    check_rate(n_large, N, large);
    check_rate(sum.blocks - n_large, N, small);
}

static void test_all_in_turn(void **state)
{
    static const size_t sizes[] = {48, 80, 96, 1000, 4000};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        child_passes(count_in_step, (void *)&sizes[i]);
}

/* Past the bin where memory is fresh, and through it where it is not. */
static void count_zeroed(void *argument)
{
    enum { N = 20000, BYTES = 5000 };
    static void *p[N];
    (void)argument;
    profile_every(20000);
    for (int i = 0; i < N; i++)
        p[i] = heap_alloc(BYTES);
    for (int i = 0; i < N; i += 2)
        heap_free(p[i]);
    uint64_t n_before = sum_counts().blocks;
    for (int i = 0; i < N; i += 2)
        p[i] = heap_alloc_zeroed(BYTES);
    check_rate(sum_counts().blocks - n_before, N / 2, BYTES);
    for (int i = 0; i < N; i++)
        check(i % 2 != 0 || is_zero(p[i], BYTES));
}

/* Small, but large blocks for their alignment's sake. */
static void count_aligned(void *argument)
{
    enum { N = 3000, BYTES = 20000 };
    (void)argument;
    profile_every(20000);
    for (int i = 0; i < N; i++)
        heap_free(heap_alloc_aligned(65536, BYTES));
    check_rate(sum_counts().blocks, N, BYTES);
    check_equal(sum_counts().live_blocks, 0);
}

enum { N_CALLS = 100 };

/* As a guest: each thread leaves its bins to the next. */
static void *take_and_free(void *bytes)
{
    for (int i = 0; i < N_CALLS; i++)
        heap_free(heap_alloc(*(size_t *)bytes));
    return NULL;
}

static void count_of_threads(void *argument)
{
    enum { N_THREADS = 1000, BYTES = 1000 };
    size_t bytes = BYTES;
    (void)argument;
    profile_every(16384);
    for (int i = 0; i < N_THREADS; i++)
        thread_run(take_and_free, &bytes);
    check_rate(sum_counts().blocks, N_THREADS * N_CALLS, BYTES);
}

static void test_ways(void **state)
{
    (void)state;
    child_passes(count_zeroed, NULL);
    child_passes(count_aligned, NULL);
    child_passes(count_of_threads, NULL);
}

/* All are chosen, and none gets what it was chosen for. */
static void do_without_pages(void *argument)
{
    enum { N = 1000000, BYTES = 30000 };
    (void)argument;
    profile_every(1);
    fake_fail_from(FAKE_MAP, 20, ENOMEM);
    int n = 0;
    while (n < N && heap_alloc(BYTES) != NULL)
        n++;
    check(n > 0 && n < N);
    while (n < N && heap_alloc(1000) != NULL)
        n++;
    check(n < N);
}

static void test_no_memory(void **state)
{
    (void)state;
    child_passes(do_without_pages, NULL);
}

/* Every call, and its block is as good as any. */
static void use_sampled_blocks(void *argument)
{
    (void)argument;
    profile_every(1);
    for (size_t bytes = 1; bytes < 200000; bytes += bytes / 2 + 1) {
        char *p = heap_alloc(bytes);
        pattern_fill(p, bytes, bytes);
        p = heap_realloc(p, bytes * 2);
        check(pattern_holds(p, bytes, bytes));
        p = heap_realloc(p, bytes / 2 + 1);
        check(pattern_holds(p, bytes / 2 + 1, bytes));
        heap_free(p);
        char *zeroed = heap_calloc(bytes, 1);
        check(is_zero(zeroed, bytes) && heap_usable_size(zeroed) >= bytes);
        pattern_fill(zeroed, bytes, 1);
        heap_free(zeroed);
        for (size_t align = 16; align <= 65536; align *= 2) {
            char *aligned = heap_alloc_aligned(align, bytes);
            check((uintptr_t)aligned % align == 0);
            pattern_fill(aligned, bytes, align);
            heap_free(aligned);
        }
    }
    check(sum_counts().blocks > 300);
    check_equal(sum_counts().live_blocks, 0);
    check_equal(sum_counts().live_bytes, 0);
}

/* A block that still fits after a realloc stays where it is: so does one that is sampled. */
static void resize(void *argument)
{
    enum { N = 20000 };
    static char *p[N];
    const size_t *sizes = argument;
    profile_every(65536);
    for (int i = 0; i < N; i++) {
        p[i] = heap_alloc(sizes[0]);
        pattern_fill(p[i], sizes[0], (unsigned)i);
    }
    check_rate(sum_counts().live_blocks, N, sizes[0]);
    uint64_t n_live = sum_counts().live_blocks;
    for (int i = 0; i < N; i++) {
        p[i] = heap_realloc(p[i], sizes[1]);
        check(pattern_holds(p[i], min_size(sizes[0], sizes[1]), (unsigned)i));
    }
    check_equal(sum_counts().live_blocks, n_live);
    for (int i = 0; i < N; i++)
        heap_free(p[i]);
    check_equal(sum_counts().live_blocks, 0);
}

static void test_resized_blocks(void **state)
{
    static const size_t sizes[][2] = {{1000, 1004}, {4000, 3000}, {9000, 9216}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        child_passes(resize, (void *)&sizes[i]);
}

static void *free_it(void *p)
{
    heap_free(p);
    return NULL;
}

static void free_elsewhere(void *argument)
{
    (void)argument;
    profile_every(1);
    for (int i = 0; i < 100; i++)
        thread_run(free_it, heap_alloc(1000));
    check(sum_counts().blocks > 50);
    check_equal(sum_counts().live_blocks, 0);
}

static void test_sampled_blocks(void **state)
{
    (void)state;
    child_passes(use_sampled_blocks, NULL);
    child_passes(free_elsewhere, NULL);
}

/* Marked blocks go where all go: magazines, inboxes, slabs, other heaps. */
static void work_with_marks(void *argument)
{
    enum { N = 3000 };
    static void *p[N];
    (void)argument;
    profile_every(5000);
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < N; i++)
            p[i] = heap_alloc(100 + i % 7 * 300);
        for (size_t i = 0; i < N; i++) {
            if (i % 97 == 0)
                thread_run(free_it, p[i]);
            else
                heap_free(p[i]);
        }
        heap_check(my_heap());
        (void)heap_enter();
        heap_flush_all(true);
        heap_leave();
        heap_check(my_heap());
    }
    check_equal(sum_counts().live_blocks, 0);
}

static void test_marks_go_along(void **state)
{
    (void)state;
    child_passes(work_with_marks, NULL);
}

/* ---- guarded blocks ---- */

static void guard_all(void)
{
    options.guard_every = 1;
    sample_init();
    check(sample_is_on && guard_area_bytes > 0);
}

static void use_guarded_blocks(void *argument)
{
    size_t n_guarded = 0;
    (void)argument;
    guard_all();
    for (size_t bytes = 1; bytes <= 32768; bytes += bytes / 8 + 1) {
        for (int i = 0; i < 10; i++) {
            char *p = heap_alloc(bytes);
            pattern_fill(p, bytes, bytes);
            check(pattern_holds(p, bytes, bytes));
            if (guard_owns(p)) {
                n_guarded++;
                check_equal(heap_usable_size(p), bytes);
            }
            heap_free(p);
        }
    }
    check(n_guarded > 100);
}

/* Blocks that live for ever do not take all rooms. */
static void keep_blocks(void *argument)
{
    enum { N_KEPT = 3000, N_LATER = 2000 };
    size_t n_kept = 0;
    size_t n_later = 0;
    (void)argument;
    guard_all();
    for (size_t i = 0; i < N_KEPT; i++)
        n_kept += guard_owns(heap_alloc(40));
    check(n_kept >= 64 && n_kept <= 128);
    for (size_t i = 0; i < N_LATER; i++) {
        void *p = heap_alloc(40);
        n_later += guard_owns(p);
        heap_free(p);
    }
    check(n_later > 100);
}

/* The kernel has nothing for the area. */
static void do_without(void *argument)
{
    (void)argument;
    options.guard_every = 1;
    (void)sites_init();
    fake_fail_once(FAKE_MAP, 1, ENOMEM);
    sample_init();
    check(!sample_is_on && guard_area_bytes == 0);
    heap_free(heap_alloc(40));
}

enum { N_SIZES = 60, N_LEFT = 4 };

typedef void *leaving[N_SIZES][N_LEFT];

static void *leave_blocks(void *argument)
{
    leaving *left = argument;
    for (size_t i = 0; i < N_SIZES; i++) {
        for (size_t j = 0; j < N_LEFT; j++)
            (*left)[i][j] = heap_alloc((i + 1) * 512);
    }
    return NULL;
}

/* Of classes that the heap's next thread has not used itself. */
static void *free_blocks(void *argument)
{
    leaving *left = argument;
    attach();
    for (size_t i = 0; i < N_SIZES; i++) {
        heap_shrink_all();
        for (size_t j = 0; j < N_LEFT; j++)
            heap_free((*left)[i][j]);
    }
    return NULL;
}

static void free_in_adopted_heap(void *argument)
{
    static leaving left;
    (void)argument;
    options.guest_calls = 0;
    profile_every(16 * 1024);
    attach();
    for (int i = 0; i < 3; i++) {
        thread_run(leave_blocks, left);
        thread_run(free_blocks, left);
    }
    check_equal(heap_turnover().n_adopted, 5);
    check_equal(sum_counts().live_blocks, 0);
}

/* The first free is looked at, and all caches are to shrink. */
static void test_looks_and_shrinks_at_once(void **state)
{
    (void)state;
    child_passes(free_in_adopted_heap, NULL);
}

static void test_guarded_blocks(void **state)
{
    (void)state;
    child_passes(use_guarded_blocks, NULL);
    child_passes(keep_blocks, NULL);
    child_passes(do_without, NULL);
}

static void free_twice(void *argument)
{
    (void)argument;
    guard_all();
    void *p = heap_alloc(40);
    while (!guard_owns(p))
        p = heap_alloc(40);
    heap_free(p);
    heap_free(p);
}

static void test_guarded_block_freed_twice(void **state)
{
    (void)state;
    child_dies(free_twice, NULL, SIGABRT, SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_all_in_turn),
        cmocka_unit_test(test_ways),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_sampled_blocks),
        cmocka_unit_test(test_resized_blocks),
        cmocka_unit_test(test_marks_go_along),
        cmocka_unit_test(test_looks_and_shrinks_at_once),
        cmocka_unit_test(test_guarded_blocks),
        cmocka_unit_test(test_guarded_block_freed_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
