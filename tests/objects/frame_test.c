/* SPDX-License-Identifier: MIT */
/*
 * Frames, as poolalloc.h describes them.
 */
#include "captured.h"
#include "poolalloc.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/resource.h>

static void test_a_piece_lives_for_n_frames(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 16; n++) {
        char *pieces[100];
        poolalloc_frame *frame = poolalloc_frame_create(n, NULL);
        for (unsigned i = 0; i < 100; i++) {
            poolalloc_arena *now = poolalloc_frame_begin(frame);
            pieces[i] = poolalloc_frame_alloc(frame, 100);
            memset(pieces[i], (int)i, 100);
            struct poolalloc_arena_stats stats;
            poolalloc_arena_get_stats(now, &stats);
            assert_int_equal(stats.used_bytes, 100);
            for (unsigned back = 0; back < n && back <= i; back++)
                assert_int_equal(pieces[i - back][99], i - back);
            if (i >= n) /* what was there is gone: its place is taken */
                assert_ptr_equal(pieces[i], pieces[i - n]);
        }
        poolalloc_frame_destroy(frame);
    }
}

static void test_before_the_first_begin(void **state)
{
    (void)state;
    poolalloc_frame *frame = poolalloc_frame_create(2, NULL);
    char *early = poolalloc_frame_alloc(frame, 10);
    strcpy(early, "early");
    (void)poolalloc_frame_begin(frame);
    (void)memset(poolalloc_frame_alloc(frame, 10), 0, 10);
    assert_string_equal(early, "early");
    poolalloc_frame_destroy(frame);
    poolalloc_frame_destroy(NULL);
}

static void test_numbers_out_of_range(void **state)
{
    (void)state;
    errno = 0;
    assert_null(poolalloc_frame_create(0, NULL));
    assert_int_equal(errno, EINVAL);
    assert_null(poolalloc_frame_create(17, NULL));
    assert_null(poolalloc_frame_create(2, &(struct poolalloc_arena_options){.reserved = {1}}));
}

static void run_frames(poolalloc_frame *frame, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        poolalloc_arena *now = poolalloc_frame_begin(frame);
        for (size_t j = 0; j < 200; j++)
            memset(poolalloc_arena_alloc(now, j * 41), 1, j * 41);
    }
}

/* 800 KB a frame, in chunks that come from the arena of spans: no page is given back, faulted in or
 * mapped once all frames have had their turn. */
static void test_warm_frames_leave_the_kernel_alone(void **state)
{
    (void)state;
    poolalloc_frame *frame = poolalloc_frame_create(3, NULL);
    run_frames(frame, 6);
    struct mallinfo2 before = mallinfo2();
    struct rusage usage_before;
    struct rusage usage_after;
    (void)getrusage(RUSAGE_THREAD, &usage_before);
    run_frames(frame, 1000);
    (void)getrusage(RUSAGE_THREAD, &usage_after);
    struct mallinfo2 after = mallinfo2();
    assert_int_equal(after.arena, before.arena);
    assert_int_equal(after.hblks, before.hblks);
    assert_int_equal(after.keepcost, before.keepcost);
    assert_true(usage_after.ru_minflt - usage_before.ru_minflt <
                10); /* 600,000 pages were written */
    poolalloc_frame_destroy(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_piece_lives_for_n_frames),
        cmocka_unit_test(test_before_the_first_begin),
        cmocka_unit_test(test_numbers_out_of_range),
        cmocka_unit_test(test_warm_frames_leave_the_kernel_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
