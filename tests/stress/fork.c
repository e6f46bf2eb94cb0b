/* SPDX-License-Identifier: MIT */
/*
 * fork() while other threads allocate, hand over, are born and die. The child is left with one
 * thread and whatever state the others were in; it must find its own blocks whole and go on. The
 * handlers of fork allocate too, as those of other libraries do; they take a lock whose holders
 * allocate; and one starts a thread in the child. One thread has large blocks only.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define USAGE "SEED THREADS CHILDREN OPERATIONS_PER_CHILD"

enum { N_SHARED = 128, N_RECORDS = 64, N_WORKERS_MAX = 64, N_MINE = 256, N_BRIEF = 20 };

struct worker {
    pthread_t thread;
    struct random random;
    struct block *records[N_RECORDS];
};

static struct worker workers[N_WORKERS_MAX];
static struct block pool[N_WORKERS_MAX * N_RECORDS + N_SHARED];
static _Atomic(struct block *) shared_slots[N_SHARED];
static struct exchange shared = {N_SHARED, shared_slots};
static atomic_bool is_over;
static atomic_size_t n_steps;

/* Of the forking thread alone, hence in a known state in the child. */
static struct block mine[N_MINE];
static struct random my_random;

static void *work(void *argument)
{
    struct worker *worker = argument;
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        struct block **record = &worker->records[random_below(&worker->random, N_RECORDS)];
        if (random_below(&worker->random, 4) == 0)
            *record = exchange_swap(&shared, &worker->random, *record);
        if ((*record)->address == NULL)
            block_allocate(*record, &worker->random);
        else if (random_below(&worker->random, 4) == 0)
            block_resize(*record, &worker->random);
        else
            block_release(*record);
        atomic_fetch_add_explicit(&n_steps, 1, memory_order_relaxed);
    }
    return NULL;
}

static void *be_brief(void *argument)
{
    struct random random = {*(uint64_t *)argument};
    struct block blocks[N_BRIEF];
    for (size_t i = 0; i < N_BRIEF; i++)
        block_allocate(&blocks[i], &random);
    for (size_t i = 0; i < N_BRIEF; i++)
        block_release(&blocks[i]);
    return NULL;
}

/* Threads come and go all the time, so that forks fall into their beginnings and ends. */
static void *breed(void *argument)
{
    struct worker *worker = argument;
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        uint64_t seed = random_next(&worker->random);
        pthread_t thread;
        stress_check(pthread_create(&thread, NULL, be_brief, &seed) == 0);
        stress_check(pthread_join(thread, NULL) == 0);
    }
    return NULL;
}

static pthread_mutex_t library_lock = PTHREAD_MUTEX_INITIALIZER;

static void *use_the_library(void *argument)
{
    struct worker *worker = argument;
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        void *blocks[8];
        stress_check(pthread_mutex_lock(&library_lock) == 0);
        for (size_t i = 0; i < COUNT_OF(blocks); i++) {
            blocks[i] = malloc(40000 + random_below(&worker->random, 100000));
            stress_check(blocks[i] != NULL);
        }
        for (size_t i = 0; i < COUNT_OF(blocks); i++)
            free(blocks[i]);
        stress_check(pthread_mutex_unlock(&library_lock) == 0);
    }
    return NULL;
}

static void lock_the_library(void)
{
    stress_check(pthread_mutex_lock(&library_lock) == 0);
}

static void unlock_the_library(void)
{
    stress_check(pthread_mutex_unlock(&library_lock) == 0);
}

static pthread_t child_thread;

/* It may be there before other handlers have run. */
static void start_in_child(void)
{
    static uint64_t seed = 77;
    stress_check(pthread_create(&child_thread, NULL, be_brief, &seed) == 0);
}

static void step_in_handler(void)
{
    struct block block = {NULL, 0, 0, 0};
    block_allocate(&block, &my_random);
    block_release(&block);
    struct block *record = &mine[random_below(&my_random, N_MINE)];
    if (record->address == NULL)
        block_allocate(record, &my_random);
    else
        block_release(record);
}

static void use_my_blocks(size_t operations)
{
    for (size_t i = 0; i < operations; i++) {
        struct block *record = &mine[random_below(&my_random, N_MINE)];
        if (record->address == NULL)
            block_allocate(record, &my_random);
        else if (random_below(&my_random, 3) == 0)
            block_resize(record, &my_random);
        else
            block_release(record);
    }
}

static _Noreturn void be_a_child(size_t operations)
{
    /* A child that hangs dies with the test that waits for it. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    use_my_blocks(operations);
    /* A thread sanitizer does not let the child of a threaded program start threads. */
    if (!UNDER_SANITIZER) {
        stress_check(pthread_join(child_thread, NULL) == 0);
        uint64_t seed = random_next(&my_random);
        pthread_t thread;
        stress_check(pthread_create(&thread, NULL, be_brief, &seed) == 0);
        stress_check(pthread_join(thread, NULL) == 0);
    }
    for (size_t i = 0; i < N_MINE; i++)
        block_release(&mine[i]);
    _exit(EXIT_SUCCESS);
}

static void fork_and_wait(size_t operations)
{
    pid_t child = fork();
    stress_check(child >= 0);
    if (child == 0)
        be_a_child(operations);
    /* While the child is at it, the parent goes on as well. */
    use_my_blocks(operations);
    int status = 0;
    stress_check(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS)
        stress_fail("a child ended with status %#x", (unsigned)status);
}

static void start_workers(size_t seed, size_t n_workers)
{
    struct block *next = pool;
    for (size_t i = 0; i < N_SHARED; i++)
        atomic_store_explicit(&shared_slots[i], next++, memory_order_relaxed);
    for (size_t i = 0; i < n_workers; i++) {
        workers[i].random.state = seed * 1000 + i;
        for (size_t j = 0; j < N_RECORDS; j++)
            workers[i].records[j] = next++;
        void *(*run)(void *) = i == 0 ? breed : i == 1 ? use_the_library : work;
        stress_check(pthread_create(&workers[i].thread, NULL, run, &workers[i]) == 0);
    }
}

int main(int argc, char **argv)
{
    size_t seed = argument_number(argc, argv, 1, USAGE);
    size_t n_workers = argument_number(argc, argv, 2, USAGE);
    size_t n_children = argument_number(argc, argv, 3, USAGE);
    size_t operations = argument_number(argc, argv, 4, USAGE);
    stress_check(n_workers > 2 && n_workers <= N_WORKERS_MAX);
    my_random.state = seed;
    stress_check(pthread_atfork(step_in_handler, step_in_handler, step_in_handler) == 0);
    stress_check(pthread_atfork(lock_the_library, unlock_the_library, unlock_the_library) == 0);
    if (!UNDER_SANITIZER)
        stress_check(pthread_atfork(NULL, NULL, start_in_child) == 0);
    start_workers(seed, n_workers);
    use_my_blocks(operations);
    for (size_t i = 0; i < n_children; i++)
        fork_and_wait(operations);
    atomic_store_explicit(&is_over, true, memory_order_relaxed);
    for (size_t i = 0; i < n_workers; i++)
        stress_check(pthread_join(workers[i].thread, NULL) == 0);
    for (size_t i = 0; i < COUNT_OF(pool); i++)
        block_release(&pool[i]);
    size_t steps = atomic_load_explicit(&n_steps, memory_order_relaxed);
    stress_check(steps > 0);
    (void)printf("%zu children, meanwhile %zu steps of the other threads\n", n_children, steps);
    return EXIT_SUCCESS;
}
