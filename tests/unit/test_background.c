/* SPDX-License-Identifier: MIT */
/*
 * The background thread without the thread: when it is started, and for how long it sleeps.
 */
#include "conf/options.h"
#include "fake_sys.h"
#include "mem/arena.h"
#include "model.h"
#include "os/clock.h"
#include "os/process.h"
#include "os/sys.h"

#include <string.h>

enum { N_BLOCKS = 3000, BYTES = 2000, N_SLEEPS_MAX = 32, PURGE_MS = 1000 };

bool __wrap_os_thread_start(void *(*body)(void *));
void __wrap_os_sleep_ms(uint32_t ms);
long __wrap_sys_seccomp_mode(void);

static size_t n_started;
static void *(*started_body)(void *);
static bool starts_fail;

bool __wrap_os_thread_start(void *(*body)(void *))
{
    check(!heap_is_inside());
    n_started++;
    started_body = body;
    return !starts_fail;
}

static long seccomp_mode;

long __wrap_sys_seccomp_mode(void)
{
    return seccomp_mode;
}

/* The thread runs until it has slept so often. */
static uint32_t sleeps[N_SLEEPS_MAX];
static size_t n_sleeps;
static size_t n_sleeps_wanted;
static jmp_buf enough;
static void (*meanwhile)(size_t n);

void __wrap_os_sleep_ms(uint32_t ms)
{
    sleeps[n_sleeps] = ms;
    if (++n_sleeps == n_sleeps_wanted)
        longjmp(enough, 1);
    fake_clock_add(ms);
    if (meanwhile != NULL)
        meanwhile(n_sleeps);
}

static void run_for(size_t n)
{
    n_sleeps = 0;
    n_sleeps_wanted = n;
    if (setjmp(enough) == 0)
        (void)started_body(NULL);
}

static char *blocks[N_BLOCKS];

static void take(void)
{
    for (size_t i = 0; i < N_BLOCKS; i++)
        blocks[i] = heap_alloc(BYTES);
}

static void give_back(void)
{
    for (size_t i = 0; i < N_BLOCKS; i++)
        heap_free(blocks[i]);
}

static void init(void)
{
    options.background = 1;
    options.purge_ms = PURGE_MS;
    fake_clock_set(1000000);
    heap_background_init();
}

/* ---- its start ---- */

static void body_off(void *argument)
{
    (void)argument;
    heap_background_init();
    take();
    heap_background_start();
    check_equal(n_started, 0);
}

static void test_it_is_not_started_unasked(void **state)
{
    (void)state;
    child_passes(body_off, NULL);
}

static void body_once(void *argument)
{
    (void)argument;
    init();
    heap_free(heap_alloc(BYTES));
    heap_free(heap_alloc(MIB));
    check_equal(n_started, 0);
    take();
    check_equal(n_started, 1);
    give_back();
    take();
    check_equal(n_started, 1);
    heap_background_start();
    check_equal(n_started, 1);
}

static void test_it_is_started_once_when_memory_is_in_use(void **state)
{
    (void)state;
    child_passes(body_once, NULL);
}

static void body_large(void *argument)
{
    (void)argument;
    init();
    (void)heap_alloc(8 * MIB);
    check_equal(n_started, 1);
    heap_background_forked();
    check_equal(n_started, 1);
    (void)heap_alloc(100 * MIB); /* a mapping of its own */
    check_equal(n_started, 2);
}

static void test_large_blocks_count(void **state)
{
    (void)state;
    child_passes(body_large, NULL);
}

/* What was taken before it is asked for: only frees follow. */
static void body_free(void *argument)
{
    (void)argument;
    take();
    void *large = heap_alloc(8 * MIB);
    check(heap_alloc(8 * MIB) != NULL);
    init();
    heap_free(large);
    give_back();
    check_equal(n_started, 0);
    (void)heap_alloc(MIB);
    check_equal(n_started, 1);
}

static void test_it_is_not_started_by_free(void **state)
{
    (void)state;
    child_passes(body_free, NULL);
}

static void body_handler(void *argument)
{
    (void)argument;
    ucontext_t context = {.uc_flags = 0};
    take();
    init();
    enum handler_state handler =
        handler_begin((uintptr_t)__builtin_frame_address(0) + 4096, &context);
    (void)heap_alloc(MIB);
    heap_background_start();
    check_equal(n_started, 0);
    handler_end(handler);
    (void)heap_alloc(MIB);
    check_equal(n_started, 1);
}

static void test_it_is_not_started_in_a_signal_handler(void **state)
{
    (void)state;
    child_passes(body_handler, NULL);
}

static void body_filter(void *argument)
{
    (void)argument;
    seccomp_mode = 0;
    init();
    seccomp_mode = 2;
    fake_capture_begin(SIZE_MAX);
    take();
    check_equal(n_started, 0);
    check(strstr(fake_capture_end(), "seccomp") != NULL);
    heap_background_forked();
    give_back();
    (void)heap_alloc(8 * MIB);
    check_equal(n_started, 0);
}

static void test_it_is_not_started_behind_a_filter_of_the_program_s(void **state)
{
    (void)state;
    child_passes(body_filter, NULL);
}

static void body_container(void *argument)
{
    (void)argument;
    seccomp_mode = 2;
    init();
    take();
    check_equal(n_started, 1);
}

static void test_a_filter_that_was_there_is_no_hindrance(void **state)
{
    (void)state;
    child_passes(body_container, NULL);
}

static void body_fails(void *argument)
{
    (void)argument;
    init();
    starts_fail = true;
    fake_capture_begin(SIZE_MAX);
    take();
    (void)heap_alloc(8 * MIB);
    check_equal(n_started, 1);
    check(strstr(fake_capture_end(), "cannot start the background thread") != NULL);
}

static void test_one_that_cannot_be_started_is_said_once(void **state)
{
    (void)state;
    child_passes(body_fails, NULL);
}

static void body_asked(void *argument)
{
    (void)argument;
    init();
    heap_background_start();
    check_equal(n_started, 1);
}

static void test_who_wants_it_gets_it_at_once(void **state)
{
    (void)state;
    child_passes(body_asked, NULL);
}

/* ---- its sleep ---- */

static size_t dirty_bytes(void)
{
    struct arena_stats stats;
    arena_get_stats(&stats);
    return stats.dirty_bytes;
}

static void body_idle(void *argument)
{
    (void)argument;
    options.dirty_bytes = GIB;
    init();
    take();
    give_back();
    heap_flush_all(true);
    check(dirty_bytes() > 4 * MIB);
    run_for(16);
    check_equal(dirty_bytes(), 0);
    check_equal(sleeps[0], PURGE_MS / 2);
    for (size_t i = 10; i < 16; i++)
        check_equal(sleeps[i], 4000);
    uint32_t until_all_is_gone = 0;
    for (size_t i = 0; i < 5; i++)
        until_all_is_gone += sleeps[i];
    check(until_all_is_gone >= PURGE_MS);
}

static void test_it_sleeps_longer_when_there_is_nothing(void **state)
{
    (void)state;
    child_passes(body_idle, NULL);
}

static void take_and_give_back_anew(size_t n)
{
    if (n == 12) {
        take();
        give_back();
        heap_flush_all(true);
    }
}

static void body_wakes(void *argument)
{
    body_idle(argument);
    meanwhile = take_and_give_back_anew;
    run_for(20);
    check_equal(sleeps[11], 4000);
    check_equal(sleeps[12], PURGE_MS / 2);
    check_equal(sleeps[19], 4000);
}

static void test_it_looks_often_when_there_is_something_again(void **state)
{
    (void)state;
    child_passes(body_wakes, NULL);
}

static void body_locked(void *argument)
{
    (void)argument;
    options.dirty_bytes = GIB;
    init();
    take();
    give_back();
    heap_flush_all(true);
    fake_fail_from(FAKE_DISCARD, 1, 22);
    run_for(16);
    check(dirty_bytes() > 4 * MIB);
    for (size_t i = 10; i < 16; i++)
        check_equal(sleeps[i], 4000);
}

static void test_what_the_kernel_refuses_to_take_is_nothing_to_do(void **state)
{
    (void)state;
    child_passes(body_locked, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_not_started_unasked),
        cmocka_unit_test(test_it_is_started_once_when_memory_is_in_use),
        cmocka_unit_test(test_large_blocks_count),
        cmocka_unit_test(test_it_is_not_started_by_free),
        cmocka_unit_test(test_it_is_not_started_in_a_signal_handler),
        cmocka_unit_test(test_it_is_not_started_behind_a_filter_of_the_program_s),
        cmocka_unit_test(test_a_filter_that_was_there_is_no_hindrance),
        cmocka_unit_test(test_one_that_cannot_be_started_is_said_once),
        cmocka_unit_test(test_who_wants_it_gets_it_at_once),
        cmocka_unit_test(test_it_sleeps_longer_when_there_is_nothing),
        cmocka_unit_test(test_it_looks_often_when_there_is_something_again),
        cmocka_unit_test(test_what_the_kernel_refuses_to_take_is_nothing_to_do),
    };
    return cmocka_run_group_tests_name("background", tests, NULL, NULL);
}
