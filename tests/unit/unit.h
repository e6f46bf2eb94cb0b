/* SPDX-License-Identifier: MIT */
/*
 * What the unit tests share: a check that works in threads and forked children as well as in
 * cmocka's own thread, children with a fresh copy of all state, a random generator and patterns.
 *
 * The tests use the allocator's functions under their internal names; malloc and free of the test
 * programs are libc's.
 */
#ifndef UNIT_H
#define UNIT_H

#include "base/compiler.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* In the thread that runs the tests it fails the test; elsewhere it ends the process. */
#define check(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))

/* Both are unsigned numbers. */
#define check_equal(a, b) check_equal_at(__FILE__, __LINE__, #a " == " #b, (a), (b))

NORETURN void check_failed(const char *file, int line, const char *what);
void check_equal_at(const char *file, int line, const char *what, uint64_t a, uint64_t b);

/*
 * Runs body(argument) in a child process. fork() copies the state that the test program has at that
 * moment: a test program that does nothing itself gives each child an allocator that was never
 * used. What the child writes to fd 2 is shown when it ends in another way than expected.
 */
void child_passes(void (*body)(void *), void *argument);

/* The same in two steps; the parent goes on in between. */
struct child {
    int process;
    int fd; /* from where to read what the child writes to its fd 2 */
};
struct child child_start(void (*body)(void *), void *argument);
void child_join(struct child child);

/* body(argument) must end by abort() and leave exactly this on fd 2. */
void child_aborts(void (*body)(void *), void *argument, const char *expected);

/* body(argument) must end by one of two signals (an alternative, because a trap is another signal
 * on another machine). */
void child_dies(void (*body)(void *), void *argument, int signal, int or_signal);

/* A thread that runs to its end. */
void thread_run(void *(*body)(void *), void *argument);
pthread_t thread_start(void *(*body)(void *), void *argument);
void thread_join(pthread_t thread);

/* An address at a border between two leaves of the map (mem/map.h) with unused address space of a
 * GiB and more on both sides. */
uintptr_t unused_border(void);

struct random {
    uint64_t state;
};

uint64_t random_next(struct random *random);
size_t random_below(struct random *random, size_t limit);

/* Small mostly, up to `limit`: each power of two below it is as likely as the others. */
size_t random_bytes(struct random *random, size_t limit);

/* A pattern that depends on the seed; no stretch of it is zero. */
void pattern_fill(void *p, size_t bytes, uint64_t seed);
bool pattern_holds(const void *p, size_t bytes, uint64_t seed);
bool is_zero(const void *p, size_t bytes);

#endif
