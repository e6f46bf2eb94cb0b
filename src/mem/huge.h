/* SPDX-License-Identifier: MIT */
/*
 * Huge pages, by option (huge=on): an extent, 2 MiB that begin at a multiple of that, becomes one
 * when it is dense: all of it slabs of which every block has been handed out, and the kernel says
 * that most of its pages are there. So no memory is asked for that the program does not use anyway.
 *
 * Linux 6.1 and later puts the pages together at once, when it is asked to, and promises nothing
 * for later: what is given back of them comes back as small pages, and no mapping is cut. Kernels
 * before that have only an advice that stays with the mapping, and a thread that follows it when it
 * comes by, which also fills in what was given back. There the advice is taken back with the first
 * slab that goes, and not given a second time; and it is for so many extents only, for each may cut
 * two mappings more out of the one that it lies in.
 *
 * Where the system has huge pages for nobody, it is left at that. What `huge=off` does is at the
 * mappings (arena.c).
 *
 * Called by the holder of the heap's lock; takes the arena's. Tests: tests/unit/test_heap_huge.c.
 */
#ifndef POOLALLOC_MEM_HUGE_H
#define POOLALLOC_MEM_HUGE_H

#include "mem/span.h"
#include "os/fixed.h"

enum huge_way { HUGE_NOT, HUGE_AT_ONCE, HUGE_BY_ADVICE };

/* [const] after start */
extern enum huge_way huge_way FIXED;

/* Looks at the option and the system. At start, when FIXED data can be written to. */
void huge_init(void);

/* The last block of the slab has been handed out; a slab of which that is true goes. */
void huge_note_full(const struct span *slab);
void huge_note_gone(const struct span *slab);

#endif
