/* SPDX-License-Identifier: MIT */
/*
 * Objects when the kernel refuses, without a barrier for all threads, and in the registry. What
 * they do when all is well is the business of tests/objects.
 */
#include "fake_sys.h"
#include "model.h"
#include "objects/buffers.h"
#include "objects/frame.h"
#include "objects/heaps.h"
#include "objects/pool.h"
#include "os/sys.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what is listed ---- */

struct seen {
    char text[300];
    size_t n;
};

static bool note(const struct object_figures *figures, void *context)
{
    struct seen *seen = context;
    seen->n +=
        (size_t)snprintf(seen->text + seen->n, sizeof seen->text - seen->n, "%s %s %llu/%llu;",
                         figures->kind, figures->name, (unsigned long long)figures->in_use,
                         (unsigned long long)figures->piece_bytes);
    return true;
}

static void check_listed(const char *expected)
{
    struct seen seen = {.n = 0};
    check(registry_each(note, &seen));
    check(strcmp(seen.text, expected) == 0);
}

/* ---- every mmap fails once, alone and with all after it ---- */

enum { N_OBJECTS = 3000, OBJECT_BYTES = 1000, N_BLOCKS = 300 };

/* NULL is for want of memory only. */
static void *need_enomem(void *p)
{
    if (p == NULL)
        check_equal((unsigned)errno, ENOMEM);
    return p;
}

static void use_pool(unsigned flags)
{
    static char *objects[N_OBJECTS];
    poolalloc_pool *pool = need_enomem(pool_create(
        &(struct poolalloc_pool_options){.object_bytes = OBJECT_BYTES, .flags = flags}));
    if (pool == NULL)
        return;
    size_t n_out = 0;
    for (size_t i = 0; i < N_OBJECTS; i++) {
        objects[i] = need_enomem(pool_alloc(pool));
        if (objects[i] != NULL)
            pattern_fill(objects[i], OBJECT_BYTES, i);
        n_out += objects[i] != NULL;
    }
    struct poolalloc_pool_stats stats;
    pool_get_stats(pool, &stats);
    check_equal(stats.in_use, n_out);
    check_equal(stats.n_failures, N_OBJECTS - n_out);
    for (size_t i = 0; i < N_OBJECTS; i++) {
        check(objects[i] == NULL || pattern_holds(objects[i], OBJECT_BYTES, i));
        check(pool_free(pool, objects[i]) == 0);
    }
    check_equal(pool_destroy(pool), 0);
}

static void use_arena(void)
{
    static char *pieces[N_OBJECTS];
    poolalloc_frame *frame = need_enomem(frame_create(3, NULL));
    if (frame == NULL)
        return;
    poolalloc_arena *arena = frame_begin(frame);
    for (size_t i = 0; i < N_OBJECTS; i++) {
        pieces[i] = need_enomem(bump_alloc(arena, i));
        if (pieces[i] != NULL)
            pattern_fill(pieces[i], i, i);
    }
    for (size_t i = 0; i < N_OBJECTS; i++)
        check(pieces[i] == NULL || pattern_holds(pieces[i], i, i));
    frame_destroy(frame);
}

static void use_buffers(void)
{
    poolalloc_buffers *set =
        need_enomem(buffers_create(&(struct poolalloc_buffers_options){.bytes = 65536, .n = 64}));
    if (set == NULL)
        return;
    poolalloc_buffer *buffer = buffers_try(set);
    check(buffer != NULL);
    check_equal(buffers_destroy(set), 1);
    check(buffer_release(buffer) == 0);
}

/* Of most classes, and some large ones. */
static size_t block_bytes(size_t i)
{
    return i % 20 == 0 ? 40000 : i * 50;
}

static void use_heap(void)
{
    static char *blocks[N_BLOCKS];
    poolalloc_heap *heap = need_enomem(heaps_create(NULL));
    if (heap == NULL)
        return;
    size_t n_live = 0;
    for (size_t i = 0; i < N_BLOCKS; i++) {
        size_t bytes = block_bytes(i);
        blocks[i] = need_enomem(heaps_alloc(heap, bytes));
        if (blocks[i] != NULL)
            pattern_fill(blocks[i], bytes, i);
        n_live += blocks[i] != NULL;
    }
    struct poolalloc_heap_stats stats;
    heaps_get_stats(heap, &stats);
    check_equal(stats.n_live, n_live);
    check_equal(stats.n_failures, N_BLOCKS - n_live);
    for (size_t i = 0; i < N_BLOCKS; i += 2) {
        check(blocks[i] == NULL || pattern_holds(blocks[i], block_bytes(i), i));
        n_live -= blocks[i] != NULL;
        heap_free(blocks[i]);
    }
    check_equal(heaps_destroy(heap), n_live);
}

static void use_all(void)
{
    use_heap();
    use_pool(0);
    use_pool(POOLALLOC_POOL_SHARED);
    use_arena();
    use_buffers();
}

/* Records are kept for ever, so they count from the second time on only. */
static void check_all_is_back(void)
{
    heap_flush_all(true);
    size_t before = arena_bytes_in_use();
    use_all();
    heap_flush_all(true);
    check_equal(arena_bytes_in_use(), before);
}

struct refusal {
    size_t nth;
    bool and_all_after;
};

static void be_refused(void *argument)
{
    const struct refusal *refusal = argument;
    if (refusal->and_all_after)
        fake_fail_from(FAKE_MAP, refusal->nth, ENOMEM);
    else
        fake_fail_once(FAKE_MAP, refusal->nth, ENOMEM);
    use_all();
    fake_fail_none();
    use_all();
    check_all_is_back();
}

static void test_mmap_may_fail(void **state)
{
    (void)state;
    for (size_t nth = 1; nth <= 24; nth++) {
        for (int all = 0; all <= 1; all++) {
            struct refusal refusal = {nth, all != 0};
            child_passes(be_refused, &refusal);
        }
    }
}

/* ---- no barrier ---- */

static poolalloc_pool *shared;
static void *passed[50];

static void *free_passed(void *argument)
{
    for (size_t i = 0; i < ARRAY_LEN(passed); i++)
        check(pool_free(shared, passed[i]) == 0);
    return argument;
}

/* All that lanes hold can be had again by this thread. */
static void check_all_can_be_had(size_t max)
{
    void *objects[200];
    for (size_t i = 0; i < max; i++)
        check((objects[i] = pool_alloc(shared)) != NULL);
    check(pool_alloc(shared) == NULL);
    for (size_t i = 0; i < max; i++)
        check(pool_free(shared, objects[i]) == 0);
}

static void pass_objects(void)
{
    shared = pool_create(&(struct poolalloc_pool_options){
        .object_bytes = 24, .max = 200, .flags = POOLALLOC_POOL_SHARED});
    for (size_t i = 0; i < ARRAY_LEN(passed); i++)
        check((passed[i] = pool_alloc(shared)) != NULL);
    thread_run(free_passed, NULL);
    check_all_can_be_had(200);
    fake_capture_begin(4096);
    check(pool_free(shared, passed[0]) == -1 && errno == EALREADY);
    check(strstr(fake_capture_end(), "free of an object that is free already") != NULL);
    check_equal(pool_destroy(shared), 0);
}

static void have_no_barrier(void *argument)
{
    (void)argument;
    fake_fail_from(FAKE_BARRIER_REGISTER, 1, ENOSYS);
    pass_objects();
    check_equal(fake_count(FAKE_BARRIER), 0);
}

static void test_without_a_barrier_there_are_no_lanes(void **state)
{
    (void)state;
    child_passes(have_no_barrier, NULL);
}

static void *use_a_lane(void *argument)
{
    void *p = pool_alloc(shared);
    check(pool_free(shared, p) == 0);
    return argument;
}

/* Thread after thread leaves a lane behind with something in it; more of them than there are
 * lanes. */
static void test_lanes_of_ended_threads_are_used_again(void **state)
{
    (void)state;
    shared = pool_create(&(struct poolalloc_pool_options){
        .object_bytes = 24, .max = 100, .flags = POOLALLOC_POOL_SHARED});
    for (int i = 0; i < 3 * N_LANES; i++)
        thread_run(use_a_lane, NULL);
    check(lanes_n_cached(&shared->lanes) > 0);
    check_all_can_be_had(100);
    check_equal(pool_destroy(shared), 0);
}

/* ---- a signal handler ---- */

/* As if it had interrupted this thread in its lane: what it calls must not wait for the thread. */
static void be_interrupted_in_a_lane(void *argument)
{
    (void)argument;
    (void)alarm(10);
    shared = pool_create(&(struct poolalloc_pool_options){
        .object_bytes = 24, .max = 100, .flags = POOLALLOC_POOL_SHARED});
    check(pool_free(shared, pool_alloc(shared)) == 0);
    struct lanes *lanes = &shared->lanes;
    struct lane *mine = lane_of(lanes, lanes_thread);
    check(lane_enter(mine, lanes_thread));
    lanes_fork_prepare(lanes);
    lanes_fork_parent(lanes);
    check_equal(registry_trim(), 0);
    check(lanes_n_cached(lanes) > 0);
    lane_leave(mine);
    check(registry_trim() > 0);
    check_equal(pool_destroy(shared), 0);
}

/* A sandbox that is entered later may refuse the barrier: what ended threads have left can be had
 * all the same, and living ones set nothing more aside of what is scarce. */
static void lose_the_barrier(void *argument)
{
    (void)argument;
    shared = pool_create(&(struct poolalloc_pool_options){
        .object_bytes = 24, .max = 100, .flags = POOLALLOC_POOL_SHARED});
    for (int i = 0; i < 5; i++)
        thread_run(use_a_lane, NULL);
    check(lanes_n_cached(&shared->lanes) >= 5);
    fake_fail_from(FAKE_BARRIER, 1, ENOSYS);
    check_all_can_be_had(100);
    check_equal(pool_destroy(shared), 0);

    shared = pool_create(&(struct poolalloc_pool_options){
        .object_bytes = 24, .max = 100, .flags = POOLALLOC_POOL_SHARED});
    check(pool_alloc(shared) != NULL);
    check_equal(lanes_n_cached(&shared->lanes), 0);
    fake_fail_none();
    check(pool_alloc(shared) != NULL);
    check(lanes_n_cached(&shared->lanes) > 0);

    shared = pool_create(&(struct poolalloc_pool_options){
        .object_bytes = 8192, .max = 100, .flags = POOLALLOC_POOL_SHARED});
    size_t n_barriers = fake_count(FAKE_BARRIER);
    for (int i = 0; i < 20; i++) /* they are too large for rows */
        check(pool_alloc(shared) != NULL);
    check_equal(fake_count(FAKE_BARRIER), n_barriers);
}

static void test_a_barrier_may_be_lost(void **state)
{
    (void)state;
    child_passes(lose_the_barrier, NULL);
}

static void test_nobody_waits_for_himself(void **state)
{
    (void)state;
    child_passes(be_interrupted_in_a_lane, NULL);
}

/* ---- a lane that is not left ---- */

static _Atomic bool is_in_lane;
static _Atomic bool may_leave;
static struct lane *entered;

static void forks_are_noticed(void)
{
    heap_fork_also(&registry_fork_hooks);
    heap_fork_init();
}

/* The object that it has used is in it, and those that were carved with that one: an eighth of what
 * was left of the pool. */
enum { N_IN_LANE = 1 + 99 / 8 };

static void use_and_enter(void)
{
    (void)use_a_lane(NULL);
    entered = lane_of(&shared->lanes, lanes_thread);
    check(lane_enter(entered, lanes_thread));
}

static void *stay_in_a_lane(void *argument)
{
    use_and_enter();
    atomic_store(&is_in_lane, true);
    while (!atomic_load(&may_leave))
        (void)sched_yield();
    lane_leave(entered);
    return argument;
}

static pthread_t start_in_lane(void *(*body)(void *))
{
    (void)alarm(20);
    forks_are_noticed();
    shared = pool_create(&(struct poolalloc_pool_options){
        .object_bytes = 24, .max = 100, .flags = POOLALLOC_POOL_SHARED});
    pthread_t thread = thread_start(body, NULL);
    while (!atomic_load(&is_in_lane))
        (void)sched_yield();
    return thread;
}

static void find_it_given_up(void *argument)
{
    (void)argument;
    (void)alarm(10);
    fake_fail_none();
    check_equal(atomic_get_relaxed(&entered->busy), 0);
    check_all_can_be_had(100 - N_IN_LANE);
    check_equal(pool_destroy(shared), N_IN_LANE); /* what was in it is lost */
}

/* As if a handler had jumped away from there. */
static void find_one_who_stays(void *argument)
{
    (void)argument;
    pthread_t thread = start_in_lane(stay_in_a_lane);
    thread_run(use_a_lane, NULL);
    check_all_can_be_had(100 - N_IN_LANE); /* what others have at hand is to be had */
    check_equal(registry_trim(), 0);
    child_passes(find_it_given_up, NULL);
    fake_fail_from(FAKE_BARRIER, 1, ENOSYS);
    child_passes(find_it_given_up, NULL);
    fake_fail_none();
    atomic_store(&may_leave, true);
    thread_join(thread);
    check_all_can_be_had(100);
    check(registry_trim() > 0);
    check_equal(pool_destroy(shared), 0);
}

static void test_a_lane_that_is_not_left_is_not_waited_for(void **state)
{
    (void)state;
    child_passes(find_one_who_stays, NULL);
}

/* The lane's owner has given back to a part, and others have taken its slots out of the lane: the
 * fast path still looks there when all of the part is free. */
enum { N_A_PART = 200 };
static void *of_parts[2][N_A_PART];

static void *give_all(void *argument)
{
    for (int i = 0; i < 2 * N_A_PART; i++)
        check_equal(pool_free(shared, of_parts[1 - i / N_A_PART][i % N_A_PART]), 0);
    return argument;
}

static void *trim_shared(void *argument)
{
    *(size_t *)argument = pool_trim(shared);
    return argument;
}

static void keep_a_part_in_a_lane(void *argument)
{
    (void)argument;
    size_t bytes = 1;
    shared = pool_create(&(struct poolalloc_pool_options){
        .object_bytes = 4096, .first = N_A_PART, .flags = POOLALLOC_POOL_SHARED});
    for (int i = 0; i < 2 * N_A_PART; i++)
        of_parts[i / N_A_PART][i % N_A_PART] = pool_alloc(shared);
    check_equal(pool_free(shared, of_parts[0][0]), 0);
    of_parts[0][0] = pool_alloc(shared);
    thread_run(give_all, NULL);
    void *another = pool_alloc(shared);
    struct lane *mine = lane_of(&shared->lanes, lanes_thread);
    char *base = mine->base;
    check(lane_enter(mine, lanes_thread));
    thread_run(trim_shared, &bytes);
    check_equal(bytes, 0);
    check(mine->bytes > 0 && pool_owns(shared, base));
    lane_leave(mine);
    thread_run(trim_shared, &bytes);
    check_equal(mine->bytes, 0);
    check(bytes > 0 && !pool_owns(shared, base));
    check_equal(pool_free(shared, another), 0);
    check_equal(pool_destroy(shared), 0);
}

static void test_a_lane_looks_in_parts_that_are_there(void **state)
{
    (void)state;
    child_passes(keep_a_part_in_a_lane, NULL);
}

/* Its owner enters a lane that is seized for the fork, and has not seen that yet. */
static void enter_seized(void)
{
    check_equal(atomic_get_relaxed(&entered->seized), 1);
    atomic_put_relaxed(&entered->busy, 1);
}

static void find_it_whole(void *argument)
{
    (void)argument;
    check_equal(atomic_get_relaxed(&entered->busy), 0);
    check_all_can_be_had(100);
    check_equal(pool_destroy(shared), 0);
}

static void *use_and_leave(void *argument)
{
    use_and_enter();
    lane_leave(entered);
    atomic_store(&is_in_lane, true);
    while (!atomic_load(&may_leave))
        (void)sched_yield();
    return argument;
}

static void fork_while_one_enters(void *argument)
{
    (void)argument;
    check(pthread_atfork(enter_seized, NULL, NULL) == 0); /* it comes after ours */
    pthread_t thread = start_in_lane(use_and_leave);
    child_passes(find_it_whole, NULL);
    atomic_put_relaxed(&entered->busy, 0);
    atomic_store(&may_leave, true);
    thread_join(thread);
    find_it_whole(NULL);
}

static void test_a_seized_lane_is_whole_in_a_child(void **state)
{
    (void)state;
    child_passes(fork_while_one_enters, NULL);
}

/* ---- a handler forks that interrupted its thread in its lane ---- */

static void fork_in_handler(int signal)
{
    (void)signal;
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        check_all_can_be_had(100);
        _exit(0);
    }
    check(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static void *be_interrupted(void *argument)
{
    use_and_enter();
    check(signal(SIGUSR1, fork_in_handler) != SIG_ERR);
    atomic_store(&is_in_lane, true);
    while (!lock_is_held(&shared->lanes.lock))
        (void)sched_yield();
    check(raise(SIGUSR1) == 0);
    lane_leave(entered);
    return argument;
}

/* The collector has what the handler waits for, and the other way round. */
static void collect_meanwhile(void *argument)
{
    (void)argument;
    pthread_t thread = start_in_lane(be_interrupted);
    struct lock *lock = &shared->lanes.lock;
    lock_take(lock);
    while (atomic_get_relaxed(&lock->word) != 2)
        (void)sched_yield();
    check(!lanes_collect_locked(&shared->lanes)); /* not all: one is where the handler waits */
    lock_release(lock);
    thread_join(thread);
    check_all_can_be_had(100);
    check_equal(pool_destroy(shared), 0);
}

static void test_a_handler_may_fork_while_others_collect(void **state)
{
    (void)state;
    child_passes(collect_meanwhile, NULL);
}

/* ---- a fork before there is any object ---- */

static _Atomic bool is_forking;
static _Atomic bool has_looked;

/* While all is held. */
static void let_others_look(void)
{
    atomic_store(&is_forking, true);
    while (!atomic_load(&has_looked))
        (void)sched_yield();
}

/* Who made the first object now would have to wait. */
static void *look_during_fork(void *argument)
{
    while (!atomic_load(&is_forking))
        (void)sched_yield();
    check(!registry_each(NULL, NULL));
    atomic_store(&has_looked, true);
    return argument;
}

static void fork_before_objects(void *argument)
{
    (void)argument;
    (void)alarm(20);
    check(pthread_atfork(let_others_look, NULL, NULL) == 0);
    forks_are_noticed();
    pthread_t thread = thread_start(look_during_fork, NULL);
    int status = 0;
    pid_t child = fork();
    if (child == 0)
        _exit(registry_each(NULL, NULL) ? 0 : 1);
    thread_join(thread);
    check(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    check(registry_each(NULL, NULL));
}

static void test_a_fork_holds_objects_that_are_not_there_yet(void **state)
{
    (void)state;
    child_passes(fork_before_objects, NULL);
}

/* ---- a fork while a buffer of an ended set comes back ---- */

static poolalloc_buffers *ended;
static _Atomic bool is_held;
static _Atomic bool is_forked;

/* Until the forking thread sleeps for the lock; if it does not wait, until it is through. */
static void *be_giving_back(void *argument)
{
    lock_take(&ended->lock);
    atomic_store(&is_held, true);
    while (atomic_get_relaxed(&ended->lock.word) != 2 && !atomic_load(&is_forked))
        (void)sched_yield();
    lock_release(&ended->lock);
    return argument;
}

static void give_back(void *argument)
{
    (void)alarm(10);
    check(buffer_release(argument) == 0);
    check_listed("");
}

static void fork_meanwhile(void *argument)
{
    (void)argument;
    forks_are_noticed();
    ended = buffers_create(&(struct poolalloc_buffers_options){.bytes = 100, .n = 2});
    poolalloc_buffer *buffer = buffers_try(ended);
    check_equal(buffers_destroy(ended), 1);
    pthread_t thread = thread_start(be_giving_back, NULL);
    while (!atomic_load(&is_held))
        (void)sched_yield();
    struct child child = child_start(give_back, buffer);
    atomic_store(&is_forked, true);
    child_join(child);
    thread_join(thread);
    give_back(buffer);
}

static void test_an_ended_set_is_whole_in_a_child(void **state)
{
    (void)state;
    child_passes(fork_meanwhile, NULL);
}

/* ---- the registry ---- */

static void test_what_is_listed(void **state)
{
    (void)state;
    check_listed("");
    poolalloc_pool *pool =
        pool_create(&(struct poolalloc_pool_options){.name = "nodes", .object_bytes = 48});
    poolalloc_arena *unnamed = bump_create(NULL, NULL);
    poolalloc_arena *arena = bump_create(
        NULL,
        &(struct poolalloc_arena_options){.name = "a name that is longer than 31 characters"});
    poolalloc_buffers *set =
        buffers_create(&(struct poolalloc_buffers_options){.bytes = 100, .n = 2});
    poolalloc_buffer *buffer = buffers_try(set);
    poolalloc_heap *heap = heaps_create(&(struct poolalloc_heap_options){.name = "plug-in"});
    (void)pool_alloc(pool);
    (void)heaps_alloc(heap, 100);
    check_listed("pool nodes 1/48;arena a name that is longer than 31 c 0/1;buffers - 1/100;"
                 "heap plug-in 112/1;");
    check_equal(pool_destroy(pool), 1);
    check_equal(heaps_destroy(heap), 1);
    check_equal(buffers_destroy(set), 1);
    check_listed("arena a name that is longer than 31 c 0/1;buffers - 1/100;");
    bump_destroy(unnamed);
    bump_destroy(arena);
    check_listed("buffers - 1/100;");
    check(buffer_release(buffer) == 0);
    check_listed("");
}

static void test_trim_reaches_what_threads_share(void **state)
{
    (void)state;
    poolalloc_pool *pool = pool_create(
        &(struct poolalloc_pool_options){.object_bytes = 4096, .flags = POOLALLOC_POOL_SHARED});
    check(pool_free(pool, pool_alloc(pool)) == 0);
    check(registry_trim() >= 4096);
    check_equal(registry_trim(), 0);
    check_equal(pool_destroy(pool), 0);
}

static bool hold_the_list(const struct object_figures *figures, void *context)
{
    (void)figures;
    struct object *object = context;
    registry_remove(object); /* no lock is held here */
    return true;
}

static void test_visitors_hold_no_lock(void **state)
{
    (void)state;
    poolalloc_pool *pool = pool_create(&(struct poolalloc_pool_options){.object_bytes = 48});
    check(registry_each(hold_the_list, &pool->object));
    check_listed("");
    pool->object.number = 0;
    check_equal(pool_destroy(pool), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mmap_may_fail),
        cmocka_unit_test(test_without_a_barrier_there_are_no_lanes),
        cmocka_unit_test(test_lanes_of_ended_threads_are_used_again),
        cmocka_unit_test(test_a_barrier_may_be_lost),
        cmocka_unit_test(test_nobody_waits_for_himself),
        cmocka_unit_test(test_a_lane_that_is_not_left_is_not_waited_for),
        cmocka_unit_test(test_a_lane_looks_in_parts_that_are_there),
        cmocka_unit_test(test_a_seized_lane_is_whole_in_a_child),
        cmocka_unit_test(test_a_handler_may_fork_while_others_collect),
        cmocka_unit_test(test_a_fork_holds_objects_that_are_not_there_yet),
        cmocka_unit_test(test_an_ended_set_is_whole_in_a_child),
        cmocka_unit_test(test_what_is_listed),
        cmocka_unit_test(test_trim_reaches_what_threads_share),
        cmocka_unit_test(test_visitors_hold_no_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
