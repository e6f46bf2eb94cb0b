/* SPDX-License-Identifier: MIT */
/*
 * Threads that hand the work to each other: one works, the others sleep, so that a run depends on
 * its input alone while each thread has its own heap, bins, lanes and outboxes.
 */
#include "fuzz.h"

#include <pthread.h>

enum turn { TURN_MASTER, TURN_WORKER, TURN_END };

static struct worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum turn turn; /* [lock] */
    operation *work;
    bool is_there;
} workers[N_WORKERS];

static void wait_while(struct worker *worker, enum turn turn)
{
    while (worker->turn == turn)
        check(pthread_cond_wait(&worker->changed, &worker->lock) == 0);
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    check(pthread_mutex_lock(&worker->lock) == 0);
    for (;;) {
        wait_while(worker, TURN_MASTER);
        if (worker->turn == TURN_END)
            break;
        worker->work();
        worker->turn = TURN_MASTER;
        check(pthread_cond_broadcast(&worker->changed) == 0);
    }
    check(pthread_mutex_unlock(&worker->lock) == 0);
    return NULL;
}

static void worker_start(struct worker *worker)
{
    check(pthread_mutex_init(&worker->lock, NULL) == 0);
    check(pthread_cond_init(&worker->changed, NULL) == 0);
    worker->turn = TURN_MASTER;
    worker->is_there = true;
    check(pthread_create(&worker->thread, NULL, worker_run, worker) == 0);
}

static void turn_give(struct worker *worker, enum turn turn)
{
    check(pthread_mutex_lock(&worker->lock) == 0);
    worker->turn = turn;
    check(pthread_cond_broadcast(&worker->changed) == 0);
    if (turn == TURN_WORKER)
        wait_while(worker, TURN_WORKER);
    check(pthread_mutex_unlock(&worker->lock) == 0);
}

void worker_do(size_t number, operation *work)
{
    struct worker *worker = &workers[number];
    if (number == 0) {
        work();
        return;
    }
    if (!worker->is_there)
        worker_start(worker);
    worker->work = work;
    turn_give(worker, TURN_WORKER);
}

void worker_end(size_t number)
{
    struct worker *worker = &workers[number];
    if (!worker->is_there)
        return;
    turn_give(worker, TURN_END);
    check(pthread_join(worker->thread, NULL) == 0);
    check(pthread_mutex_destroy(&worker->lock) == 0);
    check(pthread_cond_destroy(&worker->changed) == 0);
    worker->is_there = false;
}

void workers_end(void)
{
    for (size_t i = 1; i < N_WORKERS; i++)
        worker_end(i);
}
