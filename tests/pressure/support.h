/* SPDX-License-Identifier: MIT */
/*
 * What the programs of this folder share. The library's functions are weak here: the programs are
 * not linked with it, and find them when it is preloaded.
 */
#ifndef PRESSURE_SUPPORT_H
#define PRESSURE_SUPPORT_H

#include <poolalloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

enum { SKIPPED = 77 }; /* the status of a program that is refused what it needs */

extern __typeof__(poolalloc_pressure_get) poolalloc_pressure_get __attribute__((weak));
extern __typeof__(poolalloc_pressure_subscribe) poolalloc_pressure_subscribe __attribute__((weak));
extern __typeof__(poolalloc_pressure_unsubscribe) poolalloc_pressure_unsubscribe
    __attribute__((weak));
extern __typeof__(poolalloc_set_limit) poolalloc_set_limit __attribute__((weak));
extern __typeof__(poolalloc_purge) poolalloc_purge __attribute__((weak));

#define fail(...)                                                                                  \
    do {                                                                                           \
        (void)fprintf(stderr, "FAILED: " __VA_ARGS__);                                             \
        (void)fputc('\n', stderr);                                                                 \
        exit(EXIT_FAILURE);                                                                        \
    } while (0)

#define check(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail("%s:%d: does not hold: %s", __FILE__, __LINE__, #condition);                      \
    } while (0)

/* Says why. */
_Noreturn void skip(const char *reason);

/* A number that was given on the command line, or what it is without one. */
size_t argument(int argc, char **argv, int i, size_t otherwise);

/* SplitMix64. */
uint64_t random_next(uint64_t *state);
size_t random_below(uint64_t *state, size_t bound);

/* Of this process; the second is the most there ever was. 0: unknown. */
size_t resident_bytes(void);
size_t resident_peak_bytes(void);

/* How things are; the library must be there. */
struct poolalloc_pressure pressure_now(void);

void sleep_ms(unsigned ms);

#endif
