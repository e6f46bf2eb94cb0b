/* SPDX-License-Identifier: MIT */
/*
 * What glibc offers to look at its heap and to tune it, of our heap: programs call these to give
 * memory back, to log and to plot. Figures are those of obs/stats.h.
 */
#include "api/next.h"
#include "conf/options.h"
#include "heap/heap.h"
#include "mem/arena.h"
#include "objects/registry.h"
#include "obs/dump.h"
#include "obs/stats.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* mallinfo */

EXPORT int malloc_trim(size_t pad)
{
    NEXT_IF_BYPASSED(malloc_trim, pad);
    uint64_t before = arena_purged_bytes();
    bool released = registry_trim() > 0;
    if (!heap_enter())
        return released;
    int saved_errno = errno;
    heap_flush_all(pad == 0);
    (void)arena_purge_down_to(pad);
    errno = saved_errno;
    heap_leave();
    return released || arena_purged_bytes() != before;
}

/* 0: a value that glibc refuses, too. What has no meaning here is accepted: the program has said
 * what it wants of glibc, and can do nothing about us. */
EXPORT int mallopt(int parameter, int value)
{
    NEXT_IF_BYPASSED(mallopt, parameter, value);
    enum { MMAP_THRESHOLD_MIN = 1 << 20 };
    switch (parameter) {
    case M_TRIM_THRESHOLD: /* negative: never */
        option_put(&options.dirty_bytes, value >= 0 ? (uint64_t)value : SIZE_MAX / 4);
        return 1;
    case M_MMAP_THRESHOLD: /* negative: never */
        option_put(&options.direct_bytes,
                   value >= 0 ? max_size((size_t)value, MMAP_THRESHOLD_MIN) : SIZE_MAX / 4);
        return 1;
    case M_ARENA_MAX: /* so many threads' worth of caches; 0: the default, which is ours already */
        if (value > 0)
            option_put(&options.cache_bytes, (uint64_t)value * options.cache_thread_bytes);
        return 1;
    case M_MXFAST:
        return value >= 0 && value <= (int)(80 * sizeof(size_t) / 4);
    default:
        return 1;
    }
}

/* What glibc calls its heap are our regions and records: without the direct blocks, which glibc,
 * too, counts apart. */
static size_t region_bytes(const struct stats *stats)
{
    return stats->mapped_bytes - stats->direct_bytes - stats->record_bytes;
}

EXPORT struct mallinfo2 mallinfo2(void)
{
    NEXT_IF_BYPASSED(mallinfo2);
    struct stats stats;
    (void)stats_read(&stats);
    size_t in_regions = stats.live_bytes - stats.direct_bytes;
    return (struct mallinfo2){
        .arena = region_bytes(&stats),
        .ordblks = stats.free_spans,
        .hblks = stats.direct_blocks,
        .hblkhd = stats.direct_bytes,
        .uordblks = in_regions,
        .fordblks = region_bytes(&stats) - in_regions,
        .keepcost = stats.dirty_bytes,
    };
}

static int saturated(size_t n)
{
    return n < INT_MAX ? (int)n : INT_MAX;
}

EXPORT struct mallinfo mallinfo(void)
{
    NEXT_IF_BYPASSED(mallinfo);
    struct mallinfo2 info = mallinfo2();
    return (struct mallinfo){
        .arena = saturated(info.arena),
        .ordblks = saturated(info.ordblks),
        .hblks = saturated(info.hblks),
        .hblkhd = saturated(info.hblkhd),
        .uordblks = saturated(info.uordblks),
        .fordblks = saturated(info.fordblks),
        .keepcost = saturated(info.keepcost),
    };
}

/* Text on fd 2, as the dump. */
EXPORT void malloc_stats(void)
{
    NEXT_IF_BYPASSED(malloc_stats);
    int saved_errno = errno;
    (void)dump_to(2, DUMP_TEXT);
    errno = saved_errno;
}

/* ---- malloc_info ---- */

struct total {
    size_t n;
    size_t bytes;
};

/* Free blocks of each class, where there are any. */
static struct total info_sizes(FILE *file, const struct stats *stats)
{
    struct total all = {0, 0};
    fputs("<sizes>\n", file);
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        const struct class_stats *s = &stats->classes[class];
        size_t n = s->at_hand + s->slab_free;
        size_t bytes = class_bytes(class);
        if (n == 0)
            continue;
        fprintf(file, "  <size from=\"%zu\" to=\"%zu\" total=\"%zu\" count=\"%zu\"/>\n",
                class > 0 ? class_bytes(class - 1) + 1 : 1, bytes, n * bytes, n);
        all.n += n;
        all.bytes += n * bytes;
    }
    fputs("</sizes>\n", file);
    return all;
}

/* What the single heap and the whole have in common. */
static void info_totals(FILE *file, const struct stats *stats, struct total blocks)
{
    fprintf(file, "<total type=\"fast\" count=\"%zu\" size=\"%zu\"/>\n", blocks.n, blocks.bytes);
    fprintf(file, "<total type=\"rest\" count=\"%" PRIu64 "\" size=\"%" PRIu64 "\"/>\n",
            stats->free_spans, stats->free_bytes);
}

static void info_system(FILE *file, const struct stats *stats)
{
    size_t now = region_bytes(stats);
    size_t most = stats->mapped_peak_bytes - stats->record_bytes; /* with direct blocks */
    fprintf(file,
            "<system type=\"current\" size=\"%zu\"/>\n"
            "<system type=\"max\" size=\"%zu\"/>\n"
            "<aspace type=\"total\" size=\"%zu\"/>\n"
            "<aspace type=\"mprotect\" size=\"%zu\"/>\n",
            now, most, now, now);
}

/* In glibc's form. What it calls heaps are several arenas; we have one. "fast" are free blocks of
 * size classes, "rest" free spans. */
EXPORT int malloc_info(int flags, FILE *file)
{
    NEXT_IF_BYPASSED(malloc_info, flags, file);
    if (flags != 0)
        return EINVAL;
    struct stats stats;
    (void)stats_read(&stats);
    fputs("<malloc version=\"1\">\n<heap nr=\"0\">\n", file);
    struct total blocks = info_sizes(file, &stats);
    info_totals(file, &stats, blocks);
    info_system(file, &stats);
    fputs("</heap>\n", file);
    info_totals(file, &stats, blocks);
    fprintf(file, "<total type=\"mmap\" count=\"%" PRIu64 "\" size=\"%" PRIu64 "\"/>\n",
            stats.direct_blocks, stats.direct_bytes);
    info_system(file, &stats);
    fputs("</malloc>\n", file);
    return 0;
}
