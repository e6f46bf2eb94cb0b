/* SPDX-License-Identifier: MIT */
/*
 * The checked mode (heap/checked.h), where it needs a hand inside. What programs see of it is the
 * business of tests/checked. Each test is a process of its own: the level is decided once.
 */
#include "heap/checked.h"

#include "conf/options.h"
#include "fake_sys.h"
#include "heap/emergency.h"
#include "heap/held.h"
#include "heap/live.h"
#include "mem/arena.h"
#include "mem/large.h"
#include "model.h"
#include "objects/heaps.h"

#include <pthread.h>
#include <string.h>

enum { LARGE_BYTES = 100000 };

static void begin(uint64_t level)
{
    options.check = level;
    options.on_fault = ON_FAULT_REPORT;
    checked_start();
    check_equal(options.check, level);
    fake_capture_begin(SIZE_MAX);
}

/* Since the last time it was asked: how often. */
static size_t n_told(const char *fault)
{
    size_t n = 0;
    const char *told = fake_capture_end();
    for (const char *at = strstr(told, "poolalloc: error: "); at != NULL;
         at = strstr(at + 1, "poolalloc: error: "))
        n += strncmp(at + strlen("poolalloc: error: "), fault, strlen(fault)) == 0;
    fake_capture_begin(SIZE_MAX);
    return n;
}

static void check_nothing_told(void)
{
    check(strcmp(fake_capture_end(), "") == 0);
    fake_capture_begin(SIZE_MAX);
}

/* ---- frees that are put off ---- */

static void put_off(void *argument)
{
    (void)argument;
    begin(CHECK_WRITES);
    for (size_t bytes = 0; bytes < 40; bytes++) {
        char *small = heap_alloc(bytes);
        char *large = heap_alloc_aligned(64 * KIB, bytes);
        pattern_fill(small, bytes, bytes);
        check(heap_enter());
        emergency_free(small);
        emergency_free(large);
        heap_leave();
        heap_free_put_off();
        check_nothing_told();
    }
    char *p = heap_alloc(24);
    p[24] = 1;
    check(heap_enter());
    emergency_free(p);
    heap_leave();
    heap_free_put_off();
    check_equal(n_told("write past the end of a block"), 1);
}

static void test_frees_that_are_put_off(void **state)
{
    (void)state;
    child_passes(put_off, NULL);
}

/* ---- groups ---- */

static void use_group(void *level)
{
    begin(*(const uint64_t *)level);
    poolalloc_heap *heap = heaps_create(NULL);
    for (size_t bytes = 1; bytes < 200000; bytes += 1 + bytes / 3) {
        char *p = heaps_alloc(heap, bytes);
        pattern_fill(p, bytes, bytes);
        p = heap_realloc(p, bytes * 2);
        check(pattern_holds(p, bytes, bytes));
        heap_free(p);
        check(heaps_calloc(heap, 1, bytes) != NULL);
    }
    check_nothing_told();
    char *p = heaps_alloc(heap, 100);
    heap_free(p);
    heap_free(p);
    check_equal(n_told("double free"), 1);
    check(heaps_destroy(heap) > 0);
    check_nothing_told();
}

static void test_groups(void **state)
{
    (void)state;
    for (uint64_t level = CHECK_FREES; level <= CHECK_ALL; level++)
        child_passes(use_group, &level);
}

/* ---- free blocks ---- */

/* What was never handed out is as filled as what was freed. */
static void write_before(void *argument)
{
    (void)argument;
    begin(CHECK_WRITES);
    char *first = heap_alloc(1000);
    char *next = first + heap_usable_size(first) + 24;
    memset(next + 1000, 'x', 8);
    check(heap_alloc(1000) != next);
    check_equal(n_told("write to a free block"), 1);
}

static void test_writes_before_a_block(void **state)
{
    (void)state;
    child_passes(write_before, NULL);
}

static bool comes_back(const void *p, size_t bytes, size_t n_frees)
{
    for (size_t i = 0; i < n_frees; i++) {
        void *q = heap_alloc(bytes);
        if (q == p)
            return true;
        heap_free(q);
    }
    return false;
}

/* As many as the options say. */
static void hold_back(void *argument)
{
    enum { N = 20000, N_LARGE = 900 };
    (void)argument;
    options.quarantine_bytes = 2 * MIB;
    options.quarantine_large_bytes = GIB;
    begin(CHECK_ALL);
    void *small = heap_alloc(40);
    void *large = heap_alloc(40000);
    heap_free(small);
    heap_free(large);
    check(!comes_back(small, 40, N));
    check(!comes_back(large, 40000, N_LARGE));
    check_nothing_told();
}

/* Whoever left first was the one that was freed first. */
static void leave_at_random(void *argument)
{
    enum { N_ROUNDS = 40, BYTES = 48 };
    size_t n_first = 0;
    (void)argument;
    begin(CHECK_WRITES);
    attach();
    struct heap *heap = my_heap();
    struct held_out out;
    options.quarantine_bytes = 100 * BYTES;
    static char blocks[101 * BYTES];
    for (size_t round = 0; round < N_ROUNDS; round++) {
        for (size_t i = 0; i <= 100; i++)
            held_put(heap, &blocks[i * BYTES], BYTES, &out);
        check_equal(out.n, 1);
        n_first += out.blocks[0] == &blocks[0];
        do {
            held_take(heap, &out);
        } while (out.n > 0);
    }
    check(n_first < N_ROUNDS / 4);
}

static void test_quarantine(void **state)
{
    (void)state;
    child_passes(hold_back, NULL);
    child_passes(leave_at_random, NULL);
}

/* ---- large blocks ---- */

static bool is_guarded(const void *p)
{
    return arena_large_at(p)->large.is_guarded;
}

static void guard_some(void *argument)
{
    enum { N = 30, MAX = 10 };
    static void *blocks[N];
    (void)argument;
    begin(CHECK_ALL);
    large_guards_begin(MAX);
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < N; i++) {
            blocks[i] = heap_alloc(LARGE_BYTES);
            check(is_guarded(blocks[i]) == (i < MAX));
        }
        for (size_t i = 0; i < N; i++)
            heap_free(blocks[i]);
        check(heap_enter());
        heap_flush(my_heap()); /* those that are held back go as well */
        heap_leave();
    }
    check_nothing_told();
}

static void test_guards_are_bounded(void **state)
{
    (void)state;
    child_passes(guard_some, NULL);
}

static pthread_barrier_t both;

static void *free_with(void *p)
{
    (void)pthread_barrier_wait(&both);
    heap_free(p);
    return NULL;
}

/* Two frees of the same block, and another that is made meanwhile. */
static void free_at_once(void *argument)
{
    enum { N_ROUNDS = 500 };
    (void)argument;
    begin(CHECK_WRITES);
    for (size_t i = 0; i < N_ROUNDS; i++) {
        void *p = heap_alloc(LARGE_BYTES);
        check(pthread_barrier_init(&both, NULL, 3) == 0);
        pthread_t threads[2] = {thread_start(free_with, p), thread_start(free_with, p)};
        (void)pthread_barrier_wait(&both);
        char *mine = heap_alloc(LARGE_BYTES);
        thread_join(threads[0]);
        thread_join(threads[1]);
        if (mine != p) { /* else it was freed with the other */
            check_equal(heap_usable_size(mine), LARGE_BYTES);
            heap_free(mine);
        }
        (void)n_told("double free");
    }
}

static void test_two_frees_of_a_large_block(void **state)
{
    (void)state;
    child_passes(free_at_once, NULL);
}

/* ---- the end, while another thread goes on ---- */

enum { QUARTER_BYTES = 16 * 1024 - 64, QUARTER_SLAB = 4 }; /* of a slab */

static char *quarters[2 * QUARTER_SLAB];
static pthread_barrier_t step;

static void flush_my_heap(void)
{
    check(heap_enter());
    heap_flush(my_heap());
    heap_leave();
}

/* Of its first slab one block is at home, so that it can be taken; one is in the bin, and then
 * handed out. */
static void *hand_out(void *argument)
{
    for (size_t i = 0; i < ARRAY_LEN(quarters); i++)
        quarters[i] = heap_alloc(QUARTER_BYTES);
    heap_free(quarters[0]);
    flush_my_heap();
    heap_free(quarters[1]);
    (void)pthread_barrier_wait(&step);
    (void)pthread_barrier_wait(&step);
    memset(quarters[1], 0, QUARTER_BYTES);
    (void)pthread_barrier_wait(&step);
    (void)pthread_barrier_wait(&step); /* the process ends before */
    return argument;
}

static void end_meanwhile(void *argument)
{
    (void)argument;
    options.guest_calls = 0;
    options.quarantine_bytes = 0;
    begin(CHECK_WRITES);
    attach();
    check(pthread_barrier_init(&step, NULL, 2) == 0);
    (void)thread_start(hand_out, NULL);
    (void)pthread_barrier_wait(&step);
    heap_caches_set_short(true);
    check(heap_alloc(QUARTER_BYTES) != NULL);
    check_equal(owner_of(quarters[1]), my_heap()->number);
    (void)pthread_barrier_wait(&step);
    (void)pthread_barrier_wait(&step);
    check_nothing_told();
    (void)fake_capture_end();
    options.on_fault = ON_FAULT_ABORT; /* what is found at the end */
}

static void test_the_end_while_another_thread_goes_on(void **state)
{
    (void)state;
    child_passes(end_meanwhile, NULL);
}

/* ---- what is live, by site ---- */

static bool can_read(void)
{
    size_t n;
    bool done = live_begin(&n) != NULL;
    if (done)
        live_end();
    return done;
}

static void read_in_child(void *argument)
{
    (void)argument;
    check(can_read());
}

/* As if another thread read while this one forks. */
static void fork_while_reading(void *argument)
{
    size_t n;
    (void)argument;
    check(live_init());
    check(can_read());
    check(live_begin(&n) != NULL);
    check(!can_read());
    child_passes(read_in_child, NULL);
    check(!can_read());
    live_end();
    check(can_read());
}

static void test_a_reading_is_not_inherited(void **state)
{
    (void)state;
    child_passes(fork_while_reading, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frees_that_are_put_off),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_writes_before_a_block),
        cmocka_unit_test(test_quarantine),
        cmocka_unit_test(test_guards_are_bounded),
        cmocka_unit_test(test_two_frees_of_a_large_block),
        cmocka_unit_test(test_the_end_while_another_thread_goes_on),
        cmocka_unit_test(test_a_reading_is_not_inherited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
