/* SPDX-License-Identifier: MIT */
#include "heap/sites.h"

#include "base/atomic.h"
#include "fake_sys.h"
#include "unit.h"

#include <string.h>

/* A stack of n frames that no other seed has. */
static void stack_make(uintptr_t *frames, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        frames[i] = seed * 100 + i + 1;
}

static void check_site(uint32_t number, const uintptr_t *frames, size_t n)
{
    struct site site = sites_get(number);
    check_equal(site.n, n);
    check(memcmp(site.frames, frames, n * sizeof *frames) == 0);
}

static void one_number_a_stack(void *unused)
{
    (void)unused;
    uintptr_t frames[SITE_FRAMES_MAX + 1];
    check(sites_init() && sites_init());
    for (uint32_t seed = 1; seed <= 100; seed++) {
        stack_make(frames, SITE_FRAMES_MAX, seed);
        check_equal(sites_note(frames, 1 + seed % SITE_FRAMES_MAX), seed);
    }
    for (uint32_t seed = 1; seed <= 100; seed++) {
        size_t n = 1 + seed % SITE_FRAMES_MAX;
        stack_make(frames, SITE_FRAMES_MAX, seed);
        check_equal(sites_note(frames, n), seed);
        check_site(seed, frames, n);
    }
    check_equal(sites_count(), 100);
    check_equal(sites_lost(), 0);
    /* What is too deep is cut at the outer end. */
    stack_make(frames, SITE_FRAMES_MAX + 1, 200);
    check_equal(sites_note(frames, SITE_FRAMES_MAX + 1), sites_note(frames, SITE_FRAMES_MAX));
}

static void unknown(void *unused)
{
    (void)unused;
    uintptr_t frames[1] = {1};
    check_equal(sites_note(frames, 1), 0); /* there is no table yet */
    check_equal(sites_get(1).n, 0);
    check_equal(sites_count(), 0);
    fake_fail_once(FAKE_MAP, 1, 12);
    check(!sites_init());
    check(sites_init());
    check_equal(sites_note(frames, 0), 0);
    check_equal(sites_get(0).n, 0);
    check_equal(sites_get(SITES_MAX + 1).n, 0);
    check_equal(sites_note(frames, 1), 1);
}

static void full(void *unused)
{
    (void)unused;
    uintptr_t frames[2];
    check(sites_init());
    for (uint32_t seed = 1; seed <= SITES_MAX; seed++) {
        stack_make(frames, 2, seed);
        check_equal(sites_note(frames, 2), seed);
    }
    stack_make(frames, 2, SITES_MAX + 1);
    check_equal(sites_note(frames, 2), 0);
    check_equal(sites_note(frames, 2), 0);
    check_equal(sites_lost(), 2);
    check_equal(sites_count(), SITES_MAX);
    stack_make(frames, 2, 7);
    check_equal(sites_note(frames, 2), 7); /* what is known stays known */
}

enum { N_THREADS = 4, N_STACKS = 500, N_ROUNDS = 20 };
static uint32_t numbers[N_THREADS][N_STACKS];

static void *note_all(void *argument)
{
    uint32_t *mine = argument;
    uintptr_t frames[5];
    for (int round = 0; round < N_ROUNDS; round++) {
        for (uint32_t seed = 0; seed < N_STACKS; seed++) {
            stack_make(frames, 5, seed);
            uint32_t number = sites_note(frames, 5);
            check(mine[seed] == 0 || mine[seed] == number);
            mine[seed] = number;
            check_site(number, frames, 5);
        }
    }
    return NULL;
}

static void from_threads(void *unused)
{
    (void)unused;
    pthread_t threads[N_THREADS];
    check(sites_init());
    for (int i = 0; i < N_THREADS; i++)
        threads[i] = thread_start(note_all, numbers[i]);
    for (int i = 0; i < N_THREADS; i++)
        thread_join(threads[i]);
    for (int i = 1; i < N_THREADS; i++)
        check(memcmp(numbers[i], numbers[0], sizeof numbers[0]) == 0);
    check(sites_count() >= N_STACKS && sites_count() <= N_THREADS * N_STACKS);
}

static void test_one_number_a_stack(void **state)
{
    (void)state;
    child_passes(one_number_a_stack, NULL);
}

static void test_unknown(void **state)
{
    (void)state;
    child_passes(unknown, NULL);
}

static void test_full(void **state)
{
    (void)state;
    child_passes(full, NULL);
}

static void test_from_threads(void **state)
{
    (void)state;
    child_passes(from_threads, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_number_a_stack),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_from_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
