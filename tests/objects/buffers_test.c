/* SPDX-License-Identifier: MIT */
/*
 * Buffer sets, as poolalloc.h describes them.
 */
#include "captured.h"
#include "poolalloc.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static poolalloc_buffers *create(size_t bytes, size_t align, size_t n)
{
    poolalloc_buffers *set = poolalloc_buffers_create(
        &(struct poolalloc_buffers_options){.name = "io", .bytes = bytes, .align = align, .n = n});
    assert_non_null(set);
    return set;
}

static struct poolalloc_buffers_stats stats_of(poolalloc_buffers *set)
{
    struct poolalloc_buffers_stats stats;
    poolalloc_buffers_get_stats(set, &stats);
    return stats;
}

static void check_release(poolalloc_buffer *buffer)
{
    assert_int_equal(poolalloc_buffer_release(buffer), 0);
}

/* ---- one thread ---- */

static void test_there_are_n_and_no_more(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 100, 4096, 65536};
    for (size_t s = 0; s < 4; s++) {
        poolalloc_buffer *buffers[8];
        poolalloc_buffers *set = create(sizes[s], s < 2 ? 0 : 4096, 8);
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < 8; i++) {
                assert_non_null(buffers[i] = poolalloc_buffers_try(set));
                assert_int_equal(poolalloc_buffer_bytes(buffers[i]), sizes[s]);
                assert_true((uintptr_t)poolalloc_buffer_data(buffers[i]) % (s < 2 ? 64 : 4096) ==
                            0);
                memset(poolalloc_buffer_data(buffers[i]), i, sizes[s]);
            }
            errno = 0;
            assert_null(poolalloc_buffers_try(set));
            assert_int_equal(errno, EAGAIN);
            for (int i = 0; i < 8; i++) {
                unsigned char *data = poolalloc_buffer_data(buffers[i]);
                assert_true(data[0] == i && data[sizes[s] - 1] == i);
                check_release(buffers[i]);
            }
        }
        struct poolalloc_buffers_stats stats = stats_of(set);
        assert_int_equal(stats.total, 8);
        assert_int_equal(stats.available, 8);
        assert_int_equal(stats.out, 0);
        assert_int_equal(stats.peak, 8);
        assert_int_equal(stats.n_failures, 3);
        assert_int_equal(stats.n_waits, 0);
        assert_int_equal(poolalloc_buffers_destroy(set), 0);
    }
}

static void test_the_last_holder_gives_it_back(void **state)
{
    (void)state;
    poolalloc_buffers *set = create(1000, 0, 1);
    poolalloc_buffer *buffer = poolalloc_buffers_acquire(set);
    char *data = poolalloc_buffer_data(buffer);
    strcpy(data, "header body");
    assert_ptr_equal(poolalloc_buffer_retain(buffer), buffer);
    poolalloc_slice body;
    poolalloc_slice last;
    assert_int_equal(poolalloc_slice_make(buffer, 7, 4, &body), 0);
    assert_int_equal(poolalloc_slice_cut(&body, 3, 1, &last), 0);
    assert_int_equal(poolalloc_buffer_holders(buffer), 4);
    check_release(buffer);
    check_release(buffer);
    assert_null(poolalloc_buffers_try(set));
    assert_memory_equal(body.data, "body", 4);
    assert_int_equal(poolalloc_slice_release(&body), 0);
    assert_int_equal(poolalloc_slice_release(&body), 0); /* is empty now */
    assert_ptr_equal(last.data, data + 10);
    assert_int_equal(last.bytes, 1);
    assert_int_equal(stats_of(set).out, 1);
    assert_int_equal(poolalloc_slice_release(&last), 0);
    assert_int_equal(stats_of(set).out, 0);
    check_release(NULL);
    assert_int_equal(poolalloc_buffers_destroy(set), 0);
    assert_int_equal(poolalloc_buffers_destroy(NULL), 0);
}

static void test_slices_stay_inside(void **state)
{
    (void)state;
    poolalloc_buffers *set = create(100, 0, 1);
    poolalloc_buffer *buffer = poolalloc_buffers_acquire(set);
    poolalloc_slice slice;
    static const size_t bad[][2] = {{101, 0}, {0, 101}, {60, 41}, {SIZE_MAX, 2}, {2, SIZE_MAX}};
    for (size_t i = 0; i < 5; i++) {
        errno = 0;
        assert_int_equal(poolalloc_slice_make(buffer, bad[i][0], bad[i][1], &slice), -1);
        assert_int_equal(errno, EINVAL);
    }
    assert_int_equal(poolalloc_slice_make(buffer, 100, 0, &slice), 0);
    assert_int_equal(poolalloc_slice_release(&slice), 0);
    assert_int_equal(poolalloc_buffer_holders(buffer), 1);
    check_release(buffer);
    assert_int_equal(poolalloc_buffers_destroy(set), 0);
}

static void test_a_release_too_many_is_refused(void **state)
{
    (void)state;
    poolalloc_buffers *set = create(64, 0, 2);
    poolalloc_buffer *buffer = poolalloc_buffers_acquire(set);
    check_release(buffer);
    char expected[100];
    (void)sprintf(expected, "poolalloc: buffers io: release of a buffer that nobody holds: %p\n",
                  poolalloc_buffer_data(buffer));
    capture_begin();
    errno = 0;
    int result = poolalloc_buffer_release(buffer);
    int error = errno;
    assert_string_equal(capture_end(), expected);
    assert_int_equal(result, -1);
    assert_int_equal(error, EALREADY);
    assert_int_equal(stats_of(set).available, 2);
    assert_non_null(poolalloc_buffers_try(set));
    assert_non_null(poolalloc_buffers_try(set));
    assert_null(poolalloc_buffers_try(set));
    assert_int_equal(poolalloc_buffers_destroy(set), 2);
}

static void test_what_nobody_holds_cannot_be_held(void **state)
{
    (void)state;
    poolalloc_slice slice;
    poolalloc_buffers *set = create(64, 0, 1);
    poolalloc_buffer *buffer = poolalloc_buffers_acquire(set);
    check_release(buffer);
    capture_begin();
    errno = 0;
    poolalloc_buffer *retained = poolalloc_buffer_retain(buffer);
    int error = errno;
    int made = poolalloc_slice_make(buffer, 0, 10, &slice);
    assert_non_null(
        strstr(capture_end(), "poolalloc: buffers io: retain of a buffer that nobody holds: "));
    assert_null(retained);
    assert_int_equal(error, EINVAL);
    assert_int_equal(made, -1);
    assert_int_equal(poolalloc_buffer_holders(buffer), 0);
    assert_ptr_equal(poolalloc_buffers_try(set), buffer);
    assert_null(poolalloc_buffers_try(set));

    poolalloc_slice released = {NULL, 0, NULL};
    assert_int_equal(poolalloc_slice_cut(&released, 0, 0, &slice), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(poolalloc_slice_release(&released), 0);
    assert_int_equal(poolalloc_slice_release(NULL), 0);
    check_release(buffer);
    assert_int_equal(poolalloc_buffers_destroy(set), 0);
}

static void test_buffers_outlive_their_set(void **state)
{
    (void)state;
    poolalloc_buffers *set = create(1 << 20, 4096, 4);
    poolalloc_buffer *buffers[3];
    for (int i = 0; i < 3; i++)
        buffers[i] = poolalloc_buffers_acquire(set);
    check_release(buffers[0]);
    assert_int_equal(poolalloc_buffers_destroy(set), 2);
    memset(poolalloc_buffer_data(buffers[1]), 1, 1 << 20);
    check_release(buffers[1]);
    memset(poolalloc_buffer_data(buffers[2]), 2, 1 << 20);
    check_release(buffers[2]);
}

static void test_trim_gives_pages_back(void **state)
{
    (void)state;
    poolalloc_buffers *set = create(65536, 65536, 4);
    poolalloc_buffer *kept = poolalloc_buffers_acquire(set);
    poolalloc_buffer *freed = poolalloc_buffers_acquire(set);
    memset(poolalloc_buffer_data(kept), 7, 65536);
    memset(poolalloc_buffer_data(freed), 8, 65536);
    check_release(freed);
    assert_int_equal(poolalloc_buffers_trim(set), 65536);
    assert_int_equal(poolalloc_buffers_trim(set), 0);
    assert_ptr_equal(poolalloc_buffers_acquire(set), freed);
    assert_int_equal(*(char *)poolalloc_buffer_data(freed), 0);
    assert_int_equal(*(char *)poolalloc_buffer_data(kept), 7);
    assert_int_equal(poolalloc_buffers_destroy(set), 2);
}

static void test_bad_options(void **state)
{
    (void)state;
    static const struct poolalloc_buffers_options bad[] = {
        {.bytes = 0, .n = 1},
        {.bytes = ((size_t)1 << 30) + 1, .n = 1},
        {.bytes = 1, .n = 0},
        {.bytes = 1, .n = (1 << 20) + 1},
        {.bytes = 1, .n = 1, .align = 3},
        {.bytes = 1, .n = 1, .align = 1 << 21},
        {.bytes = 1, .n = 1, .reserved = {0, 0, 1}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        errno = 0;
        assert_null(poolalloc_buffers_create(&bad[i]));
        assert_int_equal(errno, EINVAL);
    }
    assert_null(poolalloc_buffers_create(NULL));
    errno = 0; /* more than there are addresses */
    assert_null(poolalloc_buffers_create(
        &(struct poolalloc_buffers_options){.bytes = 1 << 30, .n = 1 << 20}));
    assert_int_equal(errno, ENOMEM);
}

/* ---- several threads ---- */

enum { N_WAITERS = 8 };

static poolalloc_buffers *shared;
static atomic_int n_served;
static int place_of[N_WAITERS];

static void wait_for_waiters(size_t n)
{
    while (stats_of(shared).waiting != n)
        (void)sched_yield();
}

static void *wait_for_one(void *argument)
{
    int *place = argument;
    poolalloc_buffer *buffer = poolalloc_buffers_acquire(shared);
    *place = atomic_fetch_add(&n_served, 1);
    check_release(buffer);
    return NULL;
}

/* One buffer goes through the queue from its head to its end. */
static void test_waiters_are_served_in_order(void **state)
{
    (void)state;
    pthread_t threads[N_WAITERS];
    shared = create(64, 0, 1);
    poolalloc_buffer *buffer = poolalloc_buffers_acquire(shared);
    for (size_t i = 0; i < N_WAITERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_one, &place_of[i]), 0);
        wait_for_waiters(i + 1);
    }
    assert_null(poolalloc_buffers_try(shared));
    check_release(buffer);
    for (int i = 0; i < N_WAITERS; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_int_equal(place_of[i], i);
    }
    assert_int_equal(stats_of(shared).n_waits, N_WAITERS);
    assert_int_equal(poolalloc_buffers_destroy(shared), 0);
}

static struct timespec from_now(long ms)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_nsec += ms * 1000000;
    time.tv_sec += time.tv_nsec / 1000000000;
    time.tv_nsec %= 1000000000;
    return time;
}

static void test_a_deadline_passes(void **state)
{
    (void)state;
    shared = create(64, 0, 1);
    struct timespec past = {0, 0};
    poolalloc_buffer *buffer = poolalloc_buffers_acquire_until(shared, &past); /* no need to wait */
    assert_non_null(buffer);
    errno = 0;
    assert_null(poolalloc_buffers_acquire_until(shared, &past));
    assert_int_equal(errno, ETIMEDOUT);
    struct timespec soon = from_now(30);
    assert_null(poolalloc_buffers_acquire_until(shared, &soon));
    struct timespec now = from_now(0);
    assert_true(now.tv_sec > soon.tv_sec ||
                (now.tv_sec == soon.tv_sec && now.tv_nsec >= soon.tv_nsec));
    struct timespec wrong = {0, -1};
    errno = 0;
    assert_null(poolalloc_buffers_acquire_until(shared, &wrong));
    assert_int_equal(errno, EINVAL);
    /* Who gave up is not in the queue any more. */
    assert_int_equal(stats_of(shared).waiting, 0);
    check_release(buffer);
    assert_int_equal(stats_of(shared).available, 1);
    assert_int_equal(stats_of(shared).n_failures, 3);
    assert_int_equal(poolalloc_buffers_destroy(shared), 0);
}

static void *wait_for_the_end(void *argument)
{
    assert_null(poolalloc_buffers_acquire(shared));
    assert_int_equal(errno, ECANCELED);
    return argument;
}

static void test_destroy_ends_the_waiting(void **state)
{
    (void)state;
    pthread_t threads[N_WAITERS];
    shared = create(64, 0, 1);
    poolalloc_buffer *buffer = poolalloc_buffers_acquire(shared);
    for (size_t i = 0; i < N_WAITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_the_end, NULL), 0);
    wait_for_waiters(N_WAITERS);
    assert_int_equal(poolalloc_buffers_destroy(shared), 1);
    for (size_t i = 0; i < N_WAITERS; i++)
        (void)pthread_join(threads[i], NULL);
    check_release(buffer);
}

/* Each checks that nobody else writes to its buffer; a third gives up when it takes too long. */
static void *come_and_go(void *argument)
{
    size_t number = (size_t)argument;
    for (int i = 0; i < 3000; i++) {
        struct timespec deadline = from_now(0);
        poolalloc_buffer *buffer = i % 3 == 0 ? poolalloc_buffers_acquire_until(shared, &deadline)
                                              : poolalloc_buffers_acquire(shared);
        if (buffer == NULL)
            continue;
        unsigned char *data = poolalloc_buffer_data(buffer);
        memset(data, (int)number, 64);
        if (i % 4 == 0)
            (void)sched_yield();
        poolalloc_slice slice;
        assert_int_equal(poolalloc_slice_make(buffer, 32, 32, &slice), 0);
        check_release(buffer);
        for (size_t j = 0; j < 64; j++)
            assert_int_equal(data[j], number);
        assert_int_equal(poolalloc_slice_release(&slice), 0);
    }
    return NULL;
}

static void test_many_come_and_go(void **state)
{
    (void)state;
    pthread_t threads[N_WAITERS];
    shared = create(64, 0, 3);
    for (size_t i = 0; i < N_WAITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, (void *)(i + 1)), 0);
    for (size_t i = 0; i < N_WAITERS; i++)
        (void)pthread_join(threads[i], NULL);
    assert_int_equal(stats_of(shared).available, 3);
    assert_true(stats_of(shared).n_waits > 0);
    assert_int_equal(poolalloc_buffers_destroy(shared), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_are_n_and_no_more),
        cmocka_unit_test(test_the_last_holder_gives_it_back),
        cmocka_unit_test(test_slices_stay_inside),
        cmocka_unit_test(test_a_release_too_many_is_refused),
        cmocka_unit_test(test_what_nobody_holds_cannot_be_held),
        cmocka_unit_test(test_buffers_outlive_their_set),
        cmocka_unit_test(test_trim_gives_pages_back),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_waiters_are_served_in_order),
        cmocka_unit_test(test_a_deadline_passes),
        cmocka_unit_test(test_destroy_ends_the_waiting),
        cmocka_unit_test(test_many_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
