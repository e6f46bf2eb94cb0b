/* SPDX-License-Identifier: MIT */
/*
 * The checked mode: every call takes the slow path, and finds misuse there. Options decide at start
 * (check=1 to 3, track=on); off, it costs the fast paths nothing and each slow path a test.
 *
 * No thread gets a front then: heap_leave() leaves it the empty one, so every fast path fails and
 * alloc_slow, free_slow and friends come here. Heaps, bins and slabs work as ever below.
 *
 *   from check=1   each block has an entry in its slab's ledger or its span (mem/ledger.h): whether
 *                  it is live, the size asked for, the functions it came from. A second free, a
 *                  free of what was never handed out, of a wrong size or by the wrong function are
 *                  found at once. malloc_usable_size is the size asked for
 *   from check=2   what is between the size asked for and the block's end, 8 bytes at least, is
 *                  filled and looked at when the block is freed; freed blocks are filled, held back
 *                  (held.h) and looked at when they leave and when they are handed out again
 *   from check=3   blocks of a slab are handed out in random order; large blocks end in a guard
 *                  page, and are inaccessible while they are held back after their free
 *   track=on       entries also say which stack allocated the block, which freed it, which threads
 *
 * Blocks from before the start are OLD: ledgers are made for the slabs that there are, and such a
 * block is checked from the next time on that it is handed out. Blocks of groups (group.c) are OLD
 * as well, and never held back. Large blocks from before, and those that objects take (objects/),
 * are FRESH and are let pass.
 *
 * From check=2 on what is held back, or free in the heap of the thread that ends the program, is
 * looked at then, but for slabs that came from the heap of another thread.
 *
 * What is found damaged is not handed out again where on_fault lets the program go on.
 *
 * Any thread, no lock held; inside for most of the time, like every slow path.
 * Tests: tests/checked/misuse.cpp, tests/checked/leaks.c, tests/unit/test_checked.c.
 */
#ifndef POOLALLOC_HEAP_CHECKED_H
#define POOLALLOC_HEAP_CHECKED_H

#include "conf/options.h"
#include "heap/fault.h"

/* Once, after the options are read. Switches the mode off again if it cannot be had. */
void checked_start(void);

/* What a call that frees says of the block. */
struct freeing {
    unsigned family; /* enum block_family; FAMILY_UNKNOWN: any */
    size_t bytes;    /* SIZE_MAX: not said */
    size_t align;    /* 1: not said */
};

/* As those without checked_. NULL: no memory, or inside already; errno is the caller's affair. */
void *checked_alloc(size_t bytes, size_t align, unsigned family);
void *checked_alloc_zeroed(size_t bytes);

/* Before the free of a block that was put off (emergency.h): the link lay where the block may have
 * its filling. Not inside. */
void checked_put_off(void *p);

/* The number of this call's stack, or 0. Not inside. */
uint32_t checked_call_site(void);

/* Inside. False: no block of a slab nor a large one begins there. */
bool checked_free(void *p, struct place place, const struct freeing *freeing, uint32_t site);

/* A block that is checked begins there, or did. The two below are for such. */
bool checked_knows(void *p);
void *checked_realloc(void *p, size_t bytes);
size_t checked_usable_size(void *p);

struct heap;
struct chain;

/* Blocks of so many bytes that were never handed out, on their way to a bin. */
void checked_carved(const struct chain *chain, size_t bytes);

/* Nothing of what this heap holds back stays. [owner] */
void checked_release(struct heap *heap);

/* For the end (checked_start.c). A block that is held back; one of a slab that may be free: the
 * first byte that was written to since, or 0; then what is told of it. */
void checked_look_at_held(void *p);
size_t checked_find_damage(void *p);
void checked_tell_damage(void *p, size_t at);

#endif
