/* SPDX-License-Identifier: MIT */
/*
 * What the contract tests share: sizes worth asking for, and patterns that show whether a block
 * was kept whole. The tests see the allocator from outside only, so that every one of them can be
 * run against another malloc as well.
 */
#ifndef CONTRACT_H
#define CONTRACT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)
#define TIB ((size_t)1 << 40)

#define BLOCK_ALIGNMENT ((size_t)16)
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* What errno holds before each call: no allocator has a reason to set it to this. */
#define ERRNO_MARK EXDEV

/*
 * Fails the test and tells which size (or count) broke the condition. fail_msg() never returns; its
 * declaration does not say so, abort() does.
 */
#define assert_at(condition, number)                                                               \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fail_msg("%s does not hold at %zu", #condition, (size_t)(number));                     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/*
 * A program's main, with rules an array of struct CMUnitTest. Without arguments: checks them all.
 * -l: lists their names, without "test_". RULE: checks that one.
 */
#define CHECK_RULES(rules, argc, argv) check_rules(rules, COUNT_OF(rules), argc, argv)
int check_rules(const struct CMUnitTest *rules, size_t n, int argc, char **argv);

/* Returns its argument; a compiler that cannot see that neither warns of it nor folds the call. */
size_t opaque(size_t bytes);

bool is_aligned(const void *block, size_t alignment);

/* Writes a pattern that depends on the seed into all the bytes of a block. */
void block_fill(void *block, size_t bytes, uint64_t seed);

/* True while a block holds the first `bytes` bytes of the pattern that block_fill() wrote. */
bool block_holds(const void *block, size_t bytes, uint64_t seed);

bool block_is_zero(const void *block, size_t bytes);

size_t page_bytes(void);

/* What the process occupies of memory. */
size_t resident_bytes(void);

/*
 * Lists the smallest and the largest size of each size class, as malloc_usable_size() shows them,
 * up to and including `last`. Where classes are narrower than an eighth of their size, some are
 * left out. Returns the number of sizes listed.
 */
size_t list_class_sizes(size_t *sizes, size_t capacity, size_t last);

/* Enough for a list up to 1 MiB. */
#define CLASS_SIZES_MAX 512

#endif
