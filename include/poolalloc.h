/* SPDX-License-Identifier: MIT */
/*
 * poolalloc: the public interface.
 *
 * The library replaces malloc and its family; programs need no header for that. All names declared
 * here begin with poolalloc_.
 */
#ifndef POOLALLOC_H
#define POOLALLOC_H

#define POOLALLOC_VERSION_MAJOR 0
#define POOLALLOC_VERSION_MINOR 1
#define POOLALLOC_VERSION_PATCH 0

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0": the version of the library that is running, which may be newer than the header. */
const char *poolalloc_version(void);

/* What the heap consists of; LD_PRELOAD.md says what each figure means. Later versions add fields at
 * the end. */
struct poolalloc_stats {
    uint64_t live_bytes;
    uint64_t active_bytes;
    uint64_t resident_bytes;
    uint64_t mapped_bytes;
    uint64_t live_peak_bytes;
    uint64_t resident_peak_bytes;
    uint64_t used_peak_bytes;
    uint64_t mapped_peak_bytes;
    uint64_t used_bytes;
    uint64_t live_blocks;
    uint64_t allocs;
    uint64_t frees;
    uint64_t small_live_bytes;
    uint64_t slack_bytes;
    uint64_t slabs;
    uint64_t slab_free_bytes;
    uint64_t at_hand_bytes;
    uint64_t refills;
    uint64_t remote_frees;
    uint64_t large_live_bytes;
    uint64_t large_allocs;
    uint64_t large_frees;
    uint64_t direct_bytes;
    uint64_t direct_blocks;
    uint64_t free_bytes;
    uint64_t dirty_bytes;
    uint64_t free_spans;
    uint64_t free_largest_bytes;
    uint64_t purges;
    uint64_t purged_bytes;
    uint64_t page_ins_avoided;
    uint64_t page_ins_caused;
    uint64_t record_bytes;
    uint64_t record_used_bytes;
    uint64_t heaps_live;
    uint64_t heaps_parked;
    uint64_t heaps_orphaned;
    uint64_t heaps_adopted;
    uint64_t heaps_abandoned;
    uint64_t heaps_busy;
    uint64_t system_calls;
    uint64_t system_call_ns;
};

/* Fills in the figures of now: pass sizeof(struct poolalloc_stats). A library that knows fewer than
 * the caller leaves the rest zero. Returns how many bytes it knows; 0 in a signal handler that has
 * interrupted malloc, or in a program with a malloc of its own: then all figures are 0. */
size_t poolalloc_stats_get(struct poolalloc_stats *stats, size_t bytes);

enum poolalloc_format { POOLALLOC_TEXT, POOLALLOC_JSON, POOLALLOC_PROMETHEUS };

/* Writes a dump of the heap to a file descriptor, without allocating. 0; or -1: not all of it could
 * be written, the format is none of these, or as above. */
int poolalloc_dump(int fd, enum poolalloc_format format);

#ifdef __cplusplus
}
#endif

#endif
