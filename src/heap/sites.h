/* SPDX-License-Identifier: MIT */
/*
 * Sites: the stacks that blocks were allocated by, each kept once and known by a number.
 *
 * A hash table of numbers leads to records, which are given out in turn and never change once their
 * number is in the table:
 *
 *   S1 note     find the stack from its place in the table on; at the first empty place write it to
 *               a fresh record and swing the place from 0 to the record's number  [release CAS]
 *               Who loses that race to another stack goes on behind it; to the same stack, has its
 *               number, and the fresh record is wasted: once a stack at most
 *   S2 get      a number that S1 returned, or that came with a block from a thread to which it did,
 *               names a record that is whole                                      [acquire]
 *
 * Any thread, signal handlers included: no lock, wait-free but for the length of the table. Nothing
 * is ever taken out, so a number is good for as long as the process lives. When the records are
 * used up, new stacks get number 0, as do all while there is no memory: unknown. In a child of fork
 * the table is what it was; a record that another thread was writing is wasted.
 *
 * Tests: tests/unit/test_sites.c.
 */
#ifndef POOLALLOC_HEAP_SITES_H
#define POOLALLOC_HEAP_SITES_H

#include "base/compiler.h"
#include "os/stack.h"

enum {
    SITE_BITS = 14,
    SITES_MAX = (1 << SITE_BITS) - 1, /* numbers are 1 to this */
    SITE_FRAMES_MAX = STACK_FRAMES_MAX,
};

/* Maps the table, once, however often it is called. False: there is no memory. */
bool sites_init(void);

/* The number of a stack, n <= SITE_FRAMES_MAX; 0: it is empty, or there is no room for it. */
uint32_t sites_note(const uintptr_t *frames, size_t n);

/* That of the stack that called us. Not to be called with a lock held. */
uint32_t sites_here(void);

/* Its frames, innermost first; n is 0 for number 0. */
struct site {
    const uintptr_t *frames;
    size_t n;
};
struct site sites_get(uint32_t number);

/* Numbers run from 1 to this. */
uint32_t sites_count(void);

/* Calls of sites_note that found no room. */
uint64_t sites_lost(void);

#endif
