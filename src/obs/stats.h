/* SPDX-License-Identifier: MIT */
/*
 * Figures about the heap, summed when asked for. Any thread; the fast paths pay nothing.
 *
 * A reading holds the locks of all heaps at once: slabs neither come, go nor change hands, and so
 *
 *     live_bytes <= active_bytes <= resident_bytes <= mapped_bytes
 *
 * holds by how the figures are made, but for the fast paths, which take no lock: blocks may come
 * and go between the reading of a class's frees and that of its allocs. Its live blocks are what is
 * between the two, at most what is out of its slabs. While nobody calls, all counts are exact.
 */
#ifndef POOLALLOC_OBS_STATS_H
#define POOLALLOC_OBS_STATS_H

#include "conf/classes.h"
#include "mem/free_spans.h"
#include "obs/counters.h"
#include "os/calls.h"

struct class_stats {
    CLASS_FIGURES(FIGURE_FIELD)
};

/* One kind of system call. */
struct call_stats {
    uint64_t n;
    uint64_t ns;
};

struct stats {
    TOTALS(FIGURE_FIELD)
    struct class_stats classes[N_CLASSES];
    struct call_stats calls[N_OS_CALLS];
    uint64_t gaps[N_SPAN_SIZES]; /* free spans by size: of 1, 2 to 3, 4 to 7 pages and so on */
};

/* Waits for locks. False: the thread is inside; *stats is all zero then. */
bool stats_read(struct stats *stats);

/* From anywhere, signal handlers and the end of a broken program included: locks that are not had
 * soon are passed over (heaps_busy). False: not even the arena's was. */
bool stats_read_soon(struct stats *stats);

/* The figures by number, as the tables list them. */
ALWAYS_INLINE uint64_t stats_total(const struct stats *stats, unsigned figure)
{
    return ((const uint64_t *)(const void *)stats)[figure];
}

ALWAYS_INLINE uint64_t stats_of_class(const struct class_stats *stats, unsigned figure)
{
    return ((const uint64_t *)(const void *)stats)[figure];
}

#endif
