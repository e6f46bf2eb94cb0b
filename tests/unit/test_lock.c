/* SPDX-License-Identifier: MIT */
#include "os/lock.h"

#include "unit.h"

#include <sched.h>
#include <signal.h>

static struct lock lock = LOCK_INIT(LOCK_HEAP);

static int check_is_free(void **state)
{
    (void)state;
    check_equal(atomic_get_relaxed(&lock.word), 0);
    return 0;
}

static void test_take_and_release(void **state)
{
    (void)state;
    lock_take(&lock);
    check_equal(atomic_get_relaxed(&lock.word), 1);
    lock_release(&lock);
    check_equal(atomic_get_relaxed(&lock.word), 0);
}

static void test_try(void **state)
{
    (void)state;
    check(lock_try(&lock));
    check(!lock_try(&lock));
    lock_release(&lock);
    check(lock_try(&lock));
    lock_release(&lock);
    lock_take(&lock);
    check(!lock_try(&lock));
    lock_release(&lock);
}

enum { N_THREADS = 4, N_ROUNDS = 20000 };

/* Not atomic: only the lock keeps its updates whole. */
static volatile size_t n_guarded;

static void *count_with_take(void *argument)
{
    for (int i = 0; i < N_ROUNDS; i++) {
        lock_take(&lock);
        n_guarded = n_guarded + 1;
        lock_release(&lock);
    }
    return argument;
}

static void *count_with_try(void *argument)
{
    for (int i = 0; i < N_ROUNDS; i++) {
        while (!lock_try(&lock))
            (void)sched_yield();
        n_guarded = n_guarded + 1;
        lock_release(&lock);
    }
    return argument;
}

static void test_one_thread_at_a_time(void **state)
{
    (void)state;
    pthread_t threads[N_THREADS];
    n_guarded = 0;
    for (int i = 0; i < N_THREADS; i++)
        threads[i] = thread_start(i % 2 == 0 ? count_with_take : count_with_try, NULL);
    for (int i = 0; i < N_THREADS; i++)
        thread_join(threads[i]);
    check_equal(n_guarded, (size_t)N_THREADS * N_ROUNDS);
}

static void *take_and_release(void *argument)
{
    lock_take(&lock);
    n_guarded = n_guarded + 1;
    lock_release(&lock);
    return argument;
}

/* As in a signal handler that interrupted the holder: it gives up, and the lock works as before. */
static void test_who_only_looks_gives_up(void **state)
{
    (void)state;
    check(lock_take_soon(&lock));
    check(!lock_take_soon(&lock));
    check(!lock_try(&lock));
    lock_release(&lock);
    check(lock_take_surely(&lock));
    lock_release(&lock);
}

static void *count_with_soon(void *argument)
{
    for (int i = 0; i < N_ROUNDS; i++) {
        while (!lock_take_soon(&lock))
            continue;
        n_guarded = n_guarded + 1;
        lock_release(&lock);
    }
    return argument;
}

static void test_who_only_looks_gets_his_turn(void **state)
{
    (void)state;
    pthread_t threads[N_THREADS];
    n_guarded = 0;
    for (int i = 0; i < N_THREADS; i++)
        threads[i] = thread_start(i % 2 == 0 ? count_with_take : count_with_soon, NULL);
    for (int i = 0; i < N_THREADS; i++)
        thread_join(threads[i]);
    check_equal(n_guarded, (size_t)N_THREADS * N_ROUNDS);
}

/* 2 in the word says that somebody sleeps or is about to: the release must wake them all, by and
 * by. */
static void test_sleepers_are_woken(void **state)
{
    (void)state;
    pthread_t threads[N_THREADS];
    n_guarded = 0;
    lock_take(&lock);
    for (int i = 0; i < N_THREADS; i++)
        threads[i] = thread_start(take_and_release, NULL);
    while (atomic_get_relaxed(&lock.word) != 2)
        (void)sched_yield();
    check_equal(n_guarded, 0);
    lock_release(&lock);
    for (int i = 0; i < N_THREADS; i++)
        thread_join(threads[i]);
    check_equal(n_guarded, N_THREADS);
}

static _Atomic bool forking_is_over;

static void *fork_past_the_lock(void *argument)
{
    check(!lock_is_fork_thread());
    lock_fork_begin();
    check(lock_is_fork_thread());
    /* All of these would wait for ever, or break a rank, in any other thread. */
    lock_take(&lock);
    lock_take(&lock);
    lock_take_sibling(&lock);
    lock_release(&lock);
    check(atomic_get_relaxed(&lock.word) != 0);
    lock_fork_end();
    check(!lock_is_fork_thread());
    return argument;
}

static void test_the_forking_thread_passes_locks_that_are_held(void **state)
{
    (void)state;
    lock_take(&lock);
    thread_run(fork_past_the_lock, NULL);
    lock_release(&lock);
}

static void *wait_for_the_lock(void *argument)
{
    lock_take(&lock);
    check(atomic_get_acquire(&forking_is_over));
    lock_release(&lock);
    return argument;
}

static void test_other_threads_wait_while_one_forks(void **state)
{
    (void)state;
    atomic_put_relaxed(&forking_is_over, false);
    lock_take(&lock);
    lock_fork_begin();
    pthread_t thread = thread_start(wait_for_the_lock, NULL);
    while (atomic_get_relaxed(&lock.word) != 2)
        (void)sched_yield();
    lock_release(&lock); /* passed over: it is still held */
    check_equal(atomic_get_relaxed(&lock.word), 2);
    lock_fork_end();
    atomic_put_release(&forking_is_over, true);
    lock_release(&lock);
    thread_join(thread);
}

static void test_reset_forgets_the_holder(void **state)
{
    (void)state;
    check(lock_try(&lock));
    lock_reset(&lock);
    check(lock_try(&lock));
    lock_release(&lock);
}

static void test_ranks_may_rise(void **state)
{
    (void)state;
    static struct lock arena = LOCK_INIT(LOCK_ARENA);
    static struct lock meta = LOCK_INIT(LOCK_META);
    lock_take(&lock);
    lock_take(&arena);
    lock_take(&meta);
    lock_release(&meta);
    lock_release(&arena);
    lock_take(&meta);
    lock_release(&meta);
    lock_release(&lock);
}

static void take_a_lower_rank(void *argument)
{
    (void)argument;
    static struct lock threads = LOCK_INIT(LOCK_THREADS);
    lock_take(&lock);
    lock_take(&threads);
}

static void take_the_same_rank(void *argument)
{
    (void)argument;
    static struct lock sibling = LOCK_INIT(LOCK_HEAP);
    lock_take(&lock);
    lock_take(&sibling);
}

static void try_and_take_siblings(void *argument)
{
    (void)argument;
    static struct lock siblings[2] = {LOCK_INIT(LOCK_HEAP), LOCK_INIT(LOCK_HEAP)};
    lock_take(&lock);
    check(lock_try(&siblings[0]));
    lock_take_sibling(&siblings[1]);
}

static void test_debug_builds_trap_where_ranks_do_not_rise(void **state)
{
    (void)state;
    child_dies(take_a_lower_rank, NULL, SIGILL, SIGTRAP);
    child_dies(take_the_same_rank, NULL, SIGILL, SIGTRAP);
    child_passes(try_and_take_siblings, NULL);
}

#define lock_test(f) cmocka_unit_test_teardown(f, check_is_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        lock_test(test_take_and_release),
        lock_test(test_try),
        lock_test(test_one_thread_at_a_time),
        lock_test(test_who_only_looks_gives_up),
        lock_test(test_who_only_looks_gets_his_turn),
        lock_test(test_sleepers_are_woken),
        lock_test(test_the_forking_thread_passes_locks_that_are_held),
        lock_test(test_other_threads_wait_while_one_forks),
        lock_test(test_reset_forgets_the_holder),
        lock_test(test_ranks_may_rise),
        lock_test(test_debug_builds_trap_where_ranks_do_not_rise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
