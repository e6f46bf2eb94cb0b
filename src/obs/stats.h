/* SPDX-License-Identifier: MIT */
/*
 * Exact figures about the heap, summed when asked for. Any thread; the fast paths pay nothing.
 *
 * A figure read while other threads run is what it was at some moment during the reading; n_frees
 * is read before n_allocs and never above it.
 */
#ifndef POOLALLOC_OBS_STATS_H
#define POOLALLOC_OBS_STATS_H

#include "conf/classes.h"
#include "mem/arena.h"

struct class_stats {
    uint64_t n_allocs;
    uint64_t n_frees;
    uint64_t n_blocks; /* in slabs, live or not */
};

struct stats {
    struct class_stats classes[N_CLASSES];
    struct arena_stats arena;
    uint64_t small_bytes; /* in live blocks of size classes */
    size_t meta_bytes;
    uint32_t n_heaps;
};

bool stats_read(struct stats *stats);

#endif
