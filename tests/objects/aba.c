/* SPDX-License-Identifier: MIT */
/*
 * What breaks textbook pools: a thread is stopped between reading the head's next link and swapping
 * the head, while others take the head, take the next one, and give the head back (ABA).
 *
 *     aba naive SECONDS    a list with that pop must be caught within so many seconds
 *     aba pool SECONDS     a shared pool must hold for so many
 *
 * 8 threads take and give objects of which there are few. One more thread interrupts them over and
 * over, wherever they are, and its signal's handler lets another thread run. Whoever takes an
 * object marks it as taken: one that is marked already was handed out twice.
 */
#include <poolalloc.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { N_THREADS = 8, N_OBJECTS = 24, N_HELD = 4 };

struct object {
    _Atomic(struct object *) next; /* of the naive list */
    _Atomic int is_taken;
};

struct subject {
    struct object *(*take)(void);
    void (*give)(struct object *object);
};

/* ---- the textbook ---- */

static struct object objects[N_OBJECTS];
static _Atomic(struct object *) head;

/* Now and then, so that it does not take long until the gap is hit. */
static void be_preempted(void)
{
    static _Thread_local unsigned n;
    if (++n % 64 == 0)
        (void)sched_yield();
}

static struct object *naive_take(void)
{
    struct object *first = atomic_load(&head);
    struct object *next;
    do {
        if (first == NULL)
            return NULL;
        next = atomic_load(&first->next);
        be_preempted(); /* the textbook's gap */
    } while (!atomic_compare_exchange_weak(&head, &first, next));
    return first;
}

static void naive_give(struct object *object)
{
    struct object *first = atomic_load(&head);
    do
        atomic_store(&object->next, first);
    while (!atomic_compare_exchange_weak(&head, &first, object));
}

/* ---- ours ---- */

static poolalloc_pool *pool;

static struct object *pool_take(void)
{
    return poolalloc_pool_alloc(pool);
}

static void pool_give(struct object *object)
{
    if (poolalloc_pool_free(pool, object) != 0)
        abort();
}

static void clear(void *object, void *context)
{
    (void)context;
    memset(object, 0, sizeof(struct object));
}

/* ---- what is done with either ---- */

static struct subject subject;
static atomic_bool is_over;
static atomic_bool is_broken;
static atomic_ulong n_taken;
static pthread_t threads[N_THREADS];

static void note_broken(void)
{
    atomic_store(&is_broken, true);
    atomic_store(&is_over, true);
}

static size_t take_some(struct object **held, size_t n)
{
    size_t n_held = 0;
    while (n_held < n) {
        struct object *object = subject.take();
        if (object == NULL)
            break;
        if (atomic_exchange(&object->is_taken, 1) != 0)
            note_broken();
        held[n_held++] = object;
    }
    return n_held;
}

static void *work(void *argument)
{
    unsigned long n = 0;
    unsigned seed = (unsigned)(size_t)argument;
    while (!atomic_load(&is_over)) {
        struct object *held[N_HELD];
        size_t n_held = take_some(held, 1 + (size_t)rand_r(&seed) % N_HELD);
        n += n_held;
        for (size_t i = 0; i < n_held; i++) { /* the first taken first */
            atomic_store(&held[i]->is_taken, 0);
            subject.give(held[i]);
        }
    }
    atomic_fetch_add(&n_taken, n);
    return NULL;
}

static void be_interrupted(int signal)
{
    (void)signal;
    (void)sched_yield();
}

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Interrupts threads until the time is over or something broke. */
static void interrupt_all(double seconds)
{
    double end = now_s() + seconds;
    for (size_t i = 0; now_s() < end && !atomic_load(&is_over); i++) {
        (void)pthread_kill(threads[i % N_THREADS], SIGUSR1);
        if (i % 16 == 0)
            (void)sched_yield();
    }
    atomic_store(&is_over, true);
}

static void run(double seconds)
{
    struct sigaction action = {.sa_handler = be_interrupted, .sa_flags = SA_RESTART};
    (void)sigaction(SIGUSR1, &action, NULL);
    for (size_t i = 0; i < N_THREADS; i++) {
        if (pthread_create(&threads[i], NULL, work, (void *)(i + 1)) != 0)
            abort();
    }
    interrupt_all(seconds);
    for (size_t i = 0; i < N_THREADS; i++)
        (void)pthread_join(threads[i], NULL);
}

static size_t n_left(void)
{
    size_t n = 0;
    while (n <= N_OBJECTS && subject.take() != NULL)
        n++;
    return n;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    bool is_naive = strcmp(argv[1], "naive") == 0;
    subject = is_naive ? (struct subject){naive_take, naive_give}
                       : (struct subject){pool_take, pool_give};
    pool = poolalloc_pool_create(
        &(struct poolalloc_pool_options){.object_bytes = sizeof(struct object),
                                         .max = N_OBJECTS,
                                         .flags = POOLALLOC_POOL_SHARED,
                                         .construct = clear});
    for (size_t i = 0; i < N_OBJECTS; i++)
        naive_give(&objects[i]);
    run(atof(argv[2]));
    bool is_whole = !atomic_load(&is_broken) && n_left() == N_OBJECTS;
    (void)printf("%lu objects taken: %s\n", atomic_load(&n_taken), is_whole ? "whole" : "broken");
    return is_whole == is_naive;
}
