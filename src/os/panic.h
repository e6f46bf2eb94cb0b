/* SPDX-License-Identifier: MIT */
/*
 * The end of a program whose heap can no longer be trusted: one line on fd 2, then abort.
 *
 *     poolalloc: fatal: <fault>: <address>, class <bytes>
 *
 * The words are part of our interface (LD_PRELOAD.md lists them). Nothing here allocates.
 */
#ifndef POOLALLOC_OS_PANIC_H
#define POOLALLOC_OS_PANIC_H

#include "base/atomic.h"

/* class_bytes 0: the address belongs to no size class. */
NORETURN COLD void panic(const char *fault, const void *p, size_t class_bytes);

/* The word of a line that the program's end follows: it is told in any case. */
extern const char panic_fatal[];

/* The line alone, with this word or another. */
void panic_line(const char *word, const char *fault, const void *p, size_t class_bytes);

/* What follows the line: the observer, once, and the end. */
void panic_look(void);
NORETURN COLD void panic_end(void);

/* Says more about the address after the line of panic(); NULL: nothing does. Any lock may be
 * held. */
typedef void panic_describe_call(const void *p);
extern _Atomic(panic_describe_call *) panic_describe;

/* Called between the line and the abort, once; NULL: nobody. This thread may be inside and hold any
 * lock. */
typedef void panic_observer_call(void);
extern _Atomic(panic_observer_call *) panic_observer;

#endif
