/* SPDX-License-Identifier: MIT */
/*
 * Threads that take and return blocks are cancelled, and others go on.
 * A malloc cut short by the asynchronous kind may hold a lock, as POSIX allows: threads let
 * themselves be cancelled so only while they are in none.
 *
 *     cancel deferred|asynchronous
 */
#include "check.h"

#include <pthread.h>
#include <sched.h>

static _Atomic int is_over;
static _Atomic unsigned n_rounds;
static int kind;

static void *go_on(void *unused)
{
    while (!is_over) {
        use_malloc(1);
        n_rounds++;
    }
    return unused;
}

static void give_back(void *block)
{
    free(block);
}

static void *until_cancelled(void *started)
{
    int old;
    for (unsigned i = 0;; i++) {
        void *block = malloc(i * 997 % 40000 + 1);
        pthread_cleanup_push(give_back, block);
        *(_Atomic int *)started = 1;
        CHECK(pthread_setcanceltype(kind, &old) == 0);
        for (volatile int turn = 0; turn < 100; turn++)
            ;
        pthread_testcancel();
        CHECK(pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &old) == 0);
        pthread_cleanup_pop(1);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    CHECK(argc == 2 && is_preloaded());
    kind = strcmp(argv[1], "deferred") == 0 ? PTHREAD_CANCEL_DEFERRED : PTHREAD_CANCEL_ASYNCHRONOUS;
    pthread_t others[2];
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&others[i], NULL, go_on, NULL) == 0);
    for (int i = 0; i < 300; i++) {
        pthread_t thread;
        void *result;
        static _Atomic int started;
        started = 0;
        CHECK(pthread_create(&thread, NULL, until_cancelled, (void *)&started) == 0);
        while (!started)
            (void)sched_yield();
        for (int turn = 0; turn < i % 20; turn++)
            use_malloc(1);
        CHECK(pthread_cancel(thread) == 0);
        CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    }
    unsigned rounds = n_rounds;
    while (n_rounds < rounds + 100)
        use_malloc(1);
    is_over = 1;
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(others[i], NULL) == 0);
    return 0;
}
