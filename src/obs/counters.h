/* SPDX-License-Identifier: MIT */
/*
 * Every figure there is: field, kind, unit, meaning. From these tables come the structs of
 * obs/stats.h, the sums over heaps, all formats of the dump, and the check that LD_PRELOAD.md
 * describes each (tests/lint/figures.sh). To add one: a row here, a line where it is filled in
 * (obs/stats.c), a row there. Those of objects are in objects/registry.h.
 *
 * COUNTER only rises; GAUGE is of now; PEAK is the most that a gauge has been.
 */
#ifndef POOLALLOC_OBS_COUNTERS_H
#define POOLALLOC_OBS_COUNTERS_H

#include "objects/registry.h"

enum figure_kind { FIGURE_COUNTER, FIGURE_GAUGE, FIGURE_PEAK };
enum figure_unit {
    UNIT_OF_BYTES,
    UNIT_OF_BLOCKS,
    UNIT_OF_SLABS,
    UNIT_OF_SPANS,
    UNIT_OF_PAGES,
    UNIT_OF_HEAPS,
    UNIT_OF_PIECES,
    UNIT_OF_CALLS,
    UNIT_OF_NS,
    UNIT_OF_LEVELS,
    UNIT_OF_EVENTS,
    N_FIGURE_UNITS
};

/* Of the whole process. */
/* clang-format off */
#define TOTALS(X) \
    X(live_bytes, GAUGE, BYTES, "in live blocks: what the program holds") \
    X(active_bytes, GAUGE, BYTES, "in large blocks and in pages of slabs up to the last block ever used, but those given back") \
    X(resident_bytes, GAUGE, BYTES, "active, other touched pages of slabs, dirty and record_used") \
    X(mapped_bytes, GAUGE, BYTES, "address space that is ours: regions, direct blocks, records") \
    X(live_peak_bytes, PEAK, BYTES, "most live_bytes in any reading; with a dump= there is one whenever used has grown by 1/32") \
    X(resident_peak_bytes, PEAK, BYTES, "most resident_bytes in any reading") \
    X(used_peak_bytes, PEAK, BYTES, "most used_bytes, exactly") \
    X(mapped_peak_bytes, PEAK, BYTES, "most that regions and direct blocks have been, and records now") \
    X(used_bytes, GAUGE, BYTES, "in slabs and large blocks, whole") \
    X(live_blocks, GAUGE, BLOCKS, "blocks that the program holds") \
    X(allocs, COUNTER, BLOCKS, "blocks handed out") \
    X(frees, COUNTER, BLOCKS, "blocks taken back") \
    X(small_live_bytes, GAUGE, BYTES, "in live blocks of size classes") \
    X(slack_bytes, GAUGE, BYTES, "of these, more than was asked for; estimated from the calls that refill a bin") \
    X(slabs, GAUGE, SLABS, "slabs") \
    X(slab_free_bytes, GAUGE, BYTES, "in free blocks of slabs that are partly used") \
    X(at_hand_bytes, GAUGE, BYTES, "in free blocks that threads keep at hand, or have freed for others") \
    X(refills, COUNTER, CALLS, "calls that found no block in the bin") \
    X(remote_frees, COUNTER, BLOCKS, "blocks freed by another heap than their own") \
    X(large_live_bytes, GAUGE, BYTES, "in large blocks") \
    X(large_allocs, COUNTER, BLOCKS, "large blocks handed out") \
    X(large_frees, COUNTER, BLOCKS, "large blocks taken back") \
    X(direct_bytes, GAUGE, BYTES, "in large blocks with a mapping of their own") \
    X(direct_blocks, GAUGE, BLOCKS, "such blocks") \
    X(free_bytes, GAUGE, BYTES, "in free spans") \
    X(dirty_bytes, GAUGE, BYTES, "of these, not given back to the kernel") \
    X(free_spans, GAUGE, SPANS, "free spans") \
    X(free_largest_bytes, GAUGE, BYTES, "in the largest of them") \
    X(purges, COUNTER, CALLS, "free spans given back to the kernel") \
    X(purged_bytes, COUNTER, BYTES, "memory given back to the kernel") \
    X(page_ins_avoided, COUNTER, PAGES, "pages used again that were still in memory") \
    X(page_ins_caused, COUNTER, PAGES, "pages used again within seconds after they were given back") \
    X(record_bytes, GAUGE, BYTES, "mapped for our own records, guards included") \
    X(record_used_bytes, GAUGE, BYTES, "of these, in use at least once") \
    X(heaps_live, GAUGE, HEAPS, "heaps that threads have") \
    X(heaps_parked, GAUGE, HEAPS, "heaps without a thread") \
    X(heaps_orphaned, GAUGE, HEAPS, "heaps of threads that were not forked with this process") \
    X(heaps_adopted, COUNTER, HEAPS, "parked heaps that a new thread has got") \
    X(heaps_abandoned, COUNTER, HEAPS, "heaps parked because their thread has ended") \
    X(heaps_busy, GAUGE, HEAPS, "heaps whose slabs this reading left out: they were locked, in a signal handler's way") \
    X(system_calls, COUNTER, CALLS, "system calls for memory and locks") \
    X(system_call_ns, COUNTER, NS, "time in them") \
    X(limit_bytes, GAUGE, BYTES, "limit on memory that is known; 0: none") \
    X(limit_used_bytes, GAUGE, BYTES, "used of it when that was looked at last") \
    X(charged_bytes, GAUGE, BYTES, "used_bytes, dirty and record_used, a moment later: what a limit of ours counts") \
    X(charged_peak_bytes, PEAK, BYTES, "most charged_bytes, exactly") \
    X(pressure_level, GAUGE, LEVELS, "0: normal, 1: elevated, 2: critical") \
    X(pressure_events, COUNTER, EVENTS, "times that the kernel or systemd said that memory is short") \
    X(clean_ups, COUNTER, CALLS, "times that all caches were given up because it is") \
    X(clean_up_bytes, COUNTER, BYTES, "what went back to the kernel then") \
    X(refused_calls, COUNTER, CALLS, "calls that got no memory")

/* Of a size class. */
#define CLASS_FIGURES(X) \
    X(allocs, COUNTER, BLOCKS, "blocks handed out") \
    X(frees, COUNTER, BLOCKS, "blocks taken back") \
    X(live, GAUGE, BLOCKS, "blocks that the program holds") \
    X(at_hand, GAUGE, BLOCKS, "free blocks that threads keep at hand, or have freed for others") \
    X(slab_free, GAUGE, BLOCKS, "free blocks in slabs that are partly used") \
    X(refills, COUNTER, CALLS, "calls that found no block in the bin") \
    X(asked_bytes, COUNTER, BYTES, "what these calls asked for") \
    X(remote_frees, COUNTER, BLOCKS, "blocks freed by another heap than their own") \
    X(slabs, GAUGE, SLABS, "slabs") \
    X(slabs_to_25, GAUGE, SLABS, "slabs of which less than a quarter is out: live or at hand") \
    X(slabs_to_50, GAUGE, SLABS, "a quarter and more") \
    X(slabs_to_75, GAUGE, SLABS, "half and more") \
    X(slabs_to_99, GAUGE, SLABS, "three quarters and more") \
    X(slabs_full, GAUGE, SLABS, "all of it")

/* Of the whole process, whoever the memory belongs to: asked of the kernel for each dump, and in
 * dumps alone. What it does not say is not there. */
#define PROCESS_FIGURES(X) \
    X(huge_bytes, GAUGE, BYTES, "in huge pages, ours and others")
/* clang-format on */

/* A row of either as data. */
struct figure {
    const char *name;
    uint16_t kind; /* enum figure_kind */
    uint16_t unit; /* enum figure_unit */
    const char *meaning;
};

#define FIGURE_ROW(name, kind, unit, meaning) {#name, FIGURE_##kind, UNIT_OF_##unit, meaning},

#define FIGURE_FIELD(name, kind, unit, meaning)        uint64_t name;
#define FIGURE_ENUM(name, kind, unit, meaning)         TOTAL_##name,
#define CLASS_FIGURE_ENUM(name, kind, unit, meaning)   CLASS_##name,
#define OBJECT_FIGURE_ENUM(name, kind, unit, meaning)  OBJECT_##name,
#define PROCESS_FIGURE_ENUM(name, kind, unit, meaning) PROCESS_##name,

enum { TOTALS(FIGURE_ENUM) N_TOTALS };
enum { CLASS_FIGURES(CLASS_FIGURE_ENUM) N_CLASS_FIGURES };
enum { OBJECT_FIGURES(OBJECT_FIGURE_ENUM) N_OBJECT_FIGURES };
enum { PROCESS_FIGURES(PROCESS_FIGURE_ENUM) N_PROCESS_FIGURES };

extern const struct figure total_figures[N_TOTALS];
extern const struct figure class_figures[N_CLASS_FIGURES];
extern const struct figure object_figures[N_OBJECT_FIGURES];
extern const struct figure process_figures[N_PROCESS_FIGURES];

#endif
