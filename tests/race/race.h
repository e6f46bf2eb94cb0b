/* SPDX-License-Identifier: MIT */
/*
 * What the race programs share. They use the allocator's functions under their internal names; the
 * process's own malloc is the sanitizer's.
 */
#ifndef RACE_H
#define RACE_H

#include "base/compiler.h"

#include <stdbool.h>

/* Ends the program with a line that tells what did not hold. */
#define race_check(condition) ((condition) ? (void)0 : race_failed(__FILE__, __LINE__, #condition))

NORETURN void race_failed(const char *file, int line, const char *what);

struct random {
    uint64_t state;
};

uint64_t random_next(struct random *random);
size_t random_below(struct random *random, size_t limit);

/* A pattern that depends on the seed. */
void pattern_fill(void *p, size_t bytes, uint64_t seed);
bool pattern_holds(const void *p, size_t bytes, uint64_t seed);

enum { RACE_THREADS_MAX = 16 };

/* Runs body(number) in n threads at once, numbers from 0; returns when all have ended. */
void race_run(size_t n_threads, void (*body)(size_t number));

#endif
