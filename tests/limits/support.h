/* SPDX-License-Identifier: MIT */
/*
 * What the programs of this folder share: blocks that know what they hold, work at random, and how
 * a program ends. Nothing here needs memory of its own, or a file.
 */
#ifndef LIMITS_SUPPORT_H
#define LIMITS_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define KIB             ((size_t)1 << 10)
#define MIB             ((size_t)1 << 20)
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { SKIPPED = 77 }; /* the status of a program that is refused what it needs */

#define limits_fail(format, ...)                                                                   \
    do {                                                                                           \
        (void)fprintf(stderr, "FAILED: " format "\n", __VA_ARGS__);                                \
        exit(EXIT_FAILURE);                                                                        \
    } while (0)

#define limits_check(condition)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            limits_fail("%s:%d: does not hold: %s", __FILE__, __LINE__, #condition);               \
    } while (0)

#define limits_skip(reason)                                                                        \
    do {                                                                                           \
        (void)fprintf(stderr, "skipped: %s\n", reason);                                            \
        exit(SKIPPED);                                                                             \
    } while (0)

/* A number that was given on the command line. */
size_t argument_number(const char *text);

/* Replaces this program by another, itself for instance, that inherits its limits. */
_Noreturn void run_instead(char **argv);

/* The status of a child that was forked; one that was killed ends this program. */
int child_status(int child);

size_t random_below(uint64_t *state, size_t limit);

void block_fill(void *block, size_t bytes, uint64_t seed);
bool block_holds(const void *block, size_t bytes, uint64_t seed);
bool block_is_zero(const void *block, size_t bytes);

/* Blocks of many sizes that were written to, freed and given back are zero when calloc has them. */
void check_calloc_is_zero(void);

/* Of the calling process, in bytes; 0 without /proc. */
size_t mapped_bytes(void);
size_t resident_bytes(void);

struct work {
    uint64_t seed;
    size_t n_steps;
    size_t bytes_max;
    bool may_fail; /* NULL with ENOMEM is no fault */
};

/* Allocates, resizes and frees at random; ends the program when a block does not hold what was
 * written to it, or calloc's is not zero. How many calls were refused. */
size_t work_at_random(const struct work *work);

/* The same with blocks of some 40 MB that have mappings of their own, and much of it untouched. */
size_t work_with_large(const struct work *work);

#endif
