/* SPDX-License-Identifier: MIT */
/*
 * fork(), with the handlers of heap/fork.c: what the child finds, and that it can go on.
 *
 * A child that comes from fork() as the program calls it is what is tested here; the tests run in
 * the parent, one after another, and their blocks stay.
 */
#include "conf/options.h"
#include "fake_sys.h"
#include "mem/arena.h"
#include "model.h"
#include "os/process.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_MINE = 200 };

/* Of the forking thread alone. */
static struct model_block mine[N_MINE];
static struct random my_dice = {1};

static void use_my_blocks(int n)
{
    for (int i = 0; i < n; i++)
        check(model_step(&mine[random_below(&my_dice, N_MINE)], &my_dice, 60000));
}

static void check_all(void)
{
    heap_check(my_heap());
    arena_check();
}

/* ---- handlers of other libraries ---- */

static bool handlers_are_on;

static void use_the_heap_in_a_handler(void)
{
    if (!handlers_are_on)
        return;
    char *large = heap_alloc(100000);
    char *zeroed = heap_alloc_zeroed(5000);
    check(large != NULL && is_zero(zeroed, 5000));
    use_my_blocks(20);
    heap_free(large);
    heap_free(zeroed);
}

/* Those of `before` run while our handlers hold every lock, those of `after` do not. */
static int register_handlers(void **state)
{
    (void)state;
    void (*handler)(void) = use_the_heap_in_a_handler;
    heap_fork_init();
    heap_end_hook_make();
    check(pthread_atfork(handler, handler, handler) == 0);
    check(pthread_atfork(handler, handler, handler) == 0);
    options.dirty_bytes = MIB;
    use_my_blocks(1000);
    return 0;
}

/* ---- one thread ---- */

static void go_on(void *argument)
{
    (void)argument;
    check_all();
    use_my_blocks(1500);
    check_all();
    for (size_t i = 0; i < N_MINE; i++)
        model_free(&mine[i]);
    heap_flush(my_heap());
    check_all();
}

static void test_the_child_goes_on(void **state)
{
    (void)state;
    child_passes(go_on, NULL);
    use_my_blocks(1000);
    check_all();
}

static void find_the_lock_held(void *argument)
{
    (void)argument;
    check(!lock_try(&my_heap()->lock));
    check(!lock_is_fork_thread());
}

/* With a lock held for which prepare would wait. */
static void test_a_process_of_one_thread_forks_without_a_lock(void **state)
{
    (void)state;
    if (!os_is_single_threaded())
        skip(); /* an older libc does not tell */
    lock_take(&my_heap()->lock);
    child_passes(find_the_lock_held, NULL);
    lock_release(&my_heap()->lock);
    use_my_blocks(1000);
    check_all();
}

static void fork_again(void *argument)
{
    use_my_blocks(100);
    child_passes(go_on, NULL);
    go_on(argument);
}

static void test_the_child_s_child_goes_on(void **state)
{
    (void)state;
    child_passes(fork_again, NULL);
    use_my_blocks(1000);
    check_all();
}

static void test_handlers_may_allocate(void **state)
{
    (void)state;
    handlers_are_on = true;
    for (int i = 0; i < 10; i++) {
        child_passes(go_on, NULL);
        check_all();
    }
    handlers_are_on = false;
}

static void wait_and_go_on(void *argument)
{
    const int *pipe_fds = argument;
    char byte;
    (void)close(pipe_fds[1]);
    check(read(pipe_fds[0], &byte, 1) == 0);
    go_on(NULL);
}

static void test_the_parent_goes_on_while_the_child_lives(void **state)
{
    (void)state;
    int pipe_fds[2];
    check(pipe(pipe_fds) == 0);
    struct child child = child_start(wait_and_go_on, pipe_fds);
    (void)close(pipe_fds[0]);
    use_my_blocks(5000);
    check_all();
    (void)close(pipe_fds[1]);
    child_join(child);
}

/* ---- other threads ---- */

enum { N_THEIRS = 100, THEIR_BYTES = 1024 };

static char *theirs[N_THEIRS];
static uint32_t live_number;
static uint32_t parked_number;
static pthread_barrier_t barrier;

static void *live_on(void *argument)
{
    for (size_t i = 0; i < N_THEIRS; i++) {
        theirs[i] = heap_alloc(THEIR_BYTES);
        pattern_fill(theirs[i], THEIR_BYTES, i);
    }
    live_number = my_heap()->number;
    (void)pthread_barrier_wait(&barrier);
    (void)pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < N_THEIRS; i++) {
        check(pattern_holds(theirs[i], THEIR_BYTES, i));
        heap_free(theirs[i]);
    }
    heap_check(my_heap());
    return argument;
}

static void *come_and_go(void *argument)
{
    heap_free(heap_alloc(1));
    parked_number = my_heap()->number;
    return argument;
}

static enum heap_state state_of(uint32_t number)
{
    return (enum heap_state)atomic_get_relaxed(&heap_by_number(number)->state);
}

static void check_orphan(void *argument)
{
    check_equal(state_of(live_number), HEAP_ORPHAN);
    check_equal(state_of(my_heap()->number), HEAP_LIVE);
    check_equal(state_of(parked_number), HEAP_PARKED);
    /* Its blocks are whole and may be freed; they are out of use from then on. */
    for (size_t i = 0; i < N_THEIRS; i++) {
        check(pattern_holds(theirs[i], THEIR_BYTES, i));
        heap_free(theirs[i]);
    }
    heap_flush_outboxes(my_heap());
    check_equal(state_of(live_number), HEAP_ORPHAN);
    for (size_t i = 0; i < 10 * (size_t)N_THEIRS; i++)
        check(owner_of(heap_alloc(THEIR_BYTES)) != live_number);
    go_on(argument);
}

#ifndef BASE_THREAD_SANITIZER /* which allows no threads in the child of a threaded program */

static uint32_t adopted_number;

static void *note_number(void *argument)
{
    heap_free(heap_alloc(1));
    adopted_number = my_heap()->number;
    heap_check(my_heap());
    return argument;
}

static void check_threads_of_the_child(void)
{
    thread_run(note_number, NULL);
    check_equal(adopted_number, parked_number);
    check_equal(state_of(parked_number), HEAP_PARKED);
    check_equal(state_of(live_number), HEAP_ORPHAN);
}

#else

static void check_threads_of_the_child(void)
{
}

#endif

static void be_the_child_of_threads(void *argument)
{
    check_threads_of_the_child();
    check_orphan(argument);
}

static void test_heaps_of_threads_that_are_not_forked_are_left_alone(void **state)
{
    (void)state;
    check(pthread_barrier_init(&barrier, NULL, 2) == 0);
    pthread_t thread = thread_start(live_on, NULL);
    (void)pthread_barrier_wait(&barrier);
    thread_run(come_and_go, NULL);
    check_equal(state_of(parked_number), HEAP_PARKED);
    child_passes(be_the_child_of_threads, NULL);
    check_equal(state_of(live_number), HEAP_LIVE);
    (void)pthread_barrier_wait(&barrier);
    thread_join(thread);
    check_equal(state_of(live_number), HEAP_PARKED);
}

/* ---- while a guest is inside a parked heap ---- */

static _Atomic bool guest_is_inside;
static _Atomic bool fork_is_over;
static uint32_t host_number;

static void *be_a_guest_during_fork(void *argument)
{
    struct heap *host = heap_visit();
    check(host != NULL);
    host_number = host->number;
    atomic_store(&guest_is_inside, true);
    (void)pthread_barrier_wait(&barrier);
    /* Until the forking thread sleeps for the lock; if it does not wait, until it is through. */
    while (atomic_get_relaxed(&host->guest_lock.word) != 2 && !atomic_load(&fork_is_over))
        (void)sched_yield();
    atomic_store(&guest_is_inside, false);
    heap_visit_end(host);
    return argument;
}

static void find_no_guest(void *argument)
{
    check(!atomic_load(&guest_is_inside));
    check_parked(host_number);
    /* The host is as good as before. */
    struct heap *host = heap_by_number(host_number);
    check(lock_try(&host->guest_lock));
    heap_check(host);
    heap_visit_end(host);
    go_on(argument);
}

static void test_fork_waits_for_a_guest_to_leave(void **state)
{
    (void)state;
    check(pthread_barrier_init(&barrier, NULL, 2) == 0);
    pthread_t thread = thread_start(be_a_guest_during_fork, NULL);
    (void)pthread_barrier_wait(&barrier);
    struct child child = child_start(find_no_guest, NULL);
    atomic_store(&fork_is_over, true);
    child_join(child);
    thread_join(thread);
    check(!atomic_load(&guest_is_inside));
    check_parked(host_number);
    check_all();
}

/* ---- under load ---- */

enum { N_WORKERS = 3, N_SLOTS = 64, N_FORKS = 15 };

static _Atomic bool is_over;
static _Atomic(char *) slots[N_SLOTS]; /* blocks that go from thread to thread */

static void put_into_a_slot(struct random *dice)
{
    char *p = heap_alloc(random_bytes(dice, 3000));
    check(p != NULL);
    heap_free(atomic_exchange(&slots[random_below(dice, N_SLOTS)], p));
}

static void *work(void *argument)
{
    struct model_block blocks[50] = {{NULL, 0, 0}};
    struct random dice = {*(uint64_t *)argument};
    while (!atomic_get_relaxed(&is_over)) {
        check(model_step(&blocks[random_below(&dice, ARRAY_LEN(blocks))], &dice, 100000));
        put_into_a_slot(&dice);
    }
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        model_free(&blocks[i]);
    return NULL;
}

/* Threads that come and go, so that forks fall into their beginnings and ends. */
static void *breed(void *argument)
{
    while (!atomic_get_relaxed(&is_over))
        thread_run(come_and_go, NULL);
    return argument;
}

static void be_the_child_of_workers(void *argument)
{
    for (size_t i = 0; i < N_SLOTS; i++)
        heap_free(atomic_exchange(&slots[i], NULL));
    go_on(argument);
}

static void test_fork_while_other_threads_allocate(void **state)
{
    (void)state;
    uint64_t seeds[N_WORKERS];
    pthread_t threads[N_WORKERS + 1];
    handlers_are_on = true;
    for (size_t i = 0; i < N_WORKERS; i++) {
        seeds[i] = i + 10;
        threads[i] = thread_start(work, &seeds[i]);
    }
    threads[N_WORKERS] = thread_start(breed, NULL);
    for (int i = 0; i < N_FORKS; i++) {
        child_passes(be_the_child_of_workers, NULL);
        use_my_blocks(100);
    }
    atomic_put_relaxed(&is_over, true);
    for (size_t i = 0; i <= N_WORKERS; i++)
        thread_join(threads[i]);
    handlers_are_on = false;
    check_all();
}

/* ---- while pages are on their way to the kernel ---- */

static void find_the_span_free(void *argument)
{
    struct arena_stats stats;
    arena_check();
    arena_get_stats(&stats);
    check(stats.dirty_bytes >= (size_t)100 * PAGE_BYTES);
    go_on(argument);
}

static void fork_meanwhile(void)
{
    child_passes(find_the_span_free, NULL);
}

static void test_fork_while_a_span_is_being_discarded(void **state)
{
    (void)state;
    (void)arena_purge_all();
    struct span *span = arena_take(SPAN_LARGE, 100, 1);
    pattern_fill((void *)span->base, span_bytes(span), 1);
    arena_give(span, 100);
    fake_on_discard(fork_meanwhile);
    check(arena_purge_all());
    check_all();
}

/* ---- a fork that nobody tells us of ---- */

/* A sanitizer's runtime does not bear such a fork: its own locks stay taken. */
#if defined(__SANITIZE_ADDRESS__) || defined(BASE_THREAD_SANITIZER)
enum { BEARS_BARE_FORKS = 0 };
#else
enum { BEARS_BARE_FORKS = 1 };
#endif

static uint32_t parked_number;

static void *note_parked(void *argument)
{
    attach();
    parked_number = my_heap()->number;
    return argument;
}

static void *adopt_another(void *argument)
{
    attach();
    check(my_heap()->number != parked_number);
    heap_free(heap_alloc(100));
    return argument;
}

static void be_the_unnoticed_child(void)
{
    go_on(NULL);
    check_equal(atomic_get_relaxed(&heap_by_number(parked_number)->state), HEAP_ORPHAN);
    for (int i = 0; i < 5; i++)
        thread_run(adopt_another, NULL);
    check_all();
}

/* A guest is in a parked heap, and does not come with us. */
static void body_unnoticed(void *argument)
{
    (void)argument;
    int status = 0;
    attach();
    thread_run(note_parked, NULL);
    check(heap_enter()); /* there have been threads: now there is a watch */
    heap_leave();
    lock_take(&heap_by_number(parked_number)->guest_lock);
    long child = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        be_the_unnoticed_child();
        _exit(0);
    }
    lock_release(&heap_by_number(parked_number)->guest_lock);
    check(child > 0 && waitpid((pid_t)child, &status, 0) == child && status == 0);
    check_parked(parked_number);
}

static void test_a_bare_fork_leaves_heaps_in_use_behind(void **state)
{
    (void)state;
    if (!BEARS_BARE_FORKS)
        skip();
    child_passes(body_unnoticed, NULL);
}

int main(void)
{
    options.guest_calls = 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_child_goes_on),
        cmocka_unit_test(test_a_process_of_one_thread_forks_without_a_lock),
        cmocka_unit_test(test_the_child_s_child_goes_on),
        cmocka_unit_test(test_handlers_may_allocate),
        cmocka_unit_test(test_the_parent_goes_on_while_the_child_lives),
        cmocka_unit_test(test_heaps_of_threads_that_are_not_forked_are_left_alone),
        cmocka_unit_test(test_fork_waits_for_a_guest_to_leave),
        cmocka_unit_test(test_fork_while_other_threads_allocate),
        cmocka_unit_test(test_fork_while_a_span_is_being_discarded),
        cmocka_unit_test(test_a_bare_fork_leaves_heaps_in_use_behind),
    };
    return cmocka_run_group_tests(tests, register_handlers, NULL);
}
