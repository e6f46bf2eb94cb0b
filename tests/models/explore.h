/* SPDX-License-Identifier: MIT */
/*
 * Carries out a small program of some threads in every order in which their atomic operations can
 * come: depth first, with a bound on how often a thread is interrupted that could have gone on.
 * README.md says how, and what that proves.
 *
 * The allocator's sources are compiled with the headers of seam/ in front of their own. Each
 * modelled thread is a context of its own stack and thread-local variables; the process has one
 * thread.
 */
#ifndef EXPLORE_H
#define EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct model {
    const char *name;
    size_t n_threads;
    size_t n_before; /* threads that are prepared after these and do no more: for what they leave */
    unsigned preemptions; /* bound, unless the command line has another */
    unsigned delays;      /* the same for how often a store waits in an empty store buffer */

    /* Once, before any order is tried; what it leaves is what every order begins with. */
    void (*setup)(void);
    void (*prepare)(size_t number); /* the same, as that thread; or NULL */

    void (*thread)(size_t number); /* number: from 0 */
    void (*end)(void);             /* all threads have ended: does all hold? */
};

/* Of both kinds. */
enum { EXPLORE_THREADS_MAX = 4 };

/*
 *     PROGRAM [-p PREEMPTIONS] [-d DELAYS] [-m] MODEL
 *
 * 0: all orders within the bounds were tried, and all held; with -m (a mutant): one did not.
 */
int explore_main(int argc, char **argv, const struct model *models, size_t n_models);

/* For threads and ends: what must hold. */
#define holds(condition) ((condition) ? (void)0 : explore_failed(__FILE__, __LINE__, #condition))
__attribute__((noreturn)) void explore_failed(const char *file, int line, const char *what);

/* The thread that runs; EXPLORE_THREADS_MAX in setup and end. */
size_t explore_thread(void);

/* Another thread may go on here: in critical sections of models' own. */
void explore_pause(void);

/* ---- system.c ---- */

/* For setup and prepare: time goes by. */
void system_clock_add(uint64_t ms);

/* What libc does at the end of this thread for whoever has asked it to. */
void system_thread_end(void);

/* ---- for seam/ and system.c ---- */

enum explore_access { EXPLORE_READ, EXPLORE_STORE, EXPLORE_CHANGE };

/* Before an atomic access. */
void explore_step(const volatile void *p, enum explore_access access, const char *file, int line);

/* What this thread stored to p and is in its store buffer still is what it reads. */
void explore_own_store(const volatile void *p, void *value, size_t bytes);

/* True: the store waits in the buffer. */
bool explore_delay(volatile void *p, const void *value, size_t bytes);

/* All stores of all threads have been made: what membarrier(2) does. */
void explore_barrier(void);

/* Until another thread has stored something: what a loop that spins waits for. */
void explore_relax(void);

/* As futex(2). A timed wait ends when nobody else can go on. */
long explore_wait(const void *word, uint32_t expected, bool is_timed);
long explore_wake(const void *word, int n);

#endif
