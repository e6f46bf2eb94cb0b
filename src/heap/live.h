/* SPDX-License-Identifier: MIT */
/*
 * Live blocks by the site that allocated them, where they are tracked (checked.h): looked up in all
 * ledgers and large blocks, each slab under its heap's lock.
 *
 * Any thread, signal handlers included; one reading at a time in a process.
 */
#ifndef POOLALLOC_HEAP_LIVE_H
#define POOLALLOC_HEAP_LIVE_H

#include "heap/sites.h"

struct live_site {
    uint32_t number; /* 0: unknown */
    uint64_t n_blocks;
    uint64_t n_bytes; /* asked for */
};

/* Once, when tracking starts. False: there is no memory. */
bool live_init(void);

/* The sites that have live blocks, most bytes first. NULL: nothing is tracked, or another reading
 * is not over. */
const struct live_site *live_begin(size_t *n);
void live_end(void);

#endif
