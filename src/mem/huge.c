/* SPDX-License-Identifier: MIT */
#include "mem/huge.h"

#include "conf/options.h"
#include "mem/arena.h"
#include "mem/map.h"
#include "os/clock.h"
#include "os/maps.h"
#include "os/pages.h"

enum {
    EXTENT_BYTES = 1 << EXTENT_SHIFT,
    NEW_UNITS = EXTENT_UNITS / 4, /* since it was put together last: it is worth doing so again */
    THERE_SHARE = 8,              /* a part that may be lacking */
    HOLD_OFF_MS = 1000,           /* after the kernel had no huge page */
    ADVISED_MAX = 4096, /* extents: at most 8192 mappings of the 65,530 that there may be */
};

enum huge_way huge_way;

static size_t n_advised; /* [lock: arena] */
static _Atomic uint64_t resume_ms;

static struct extent *extent_of(const struct span *slab)
{
    struct leaf *leaf = atomic_get_acquire(&map_root[slab->base >> LEAF_SHIFT]);
    return &leaf->extents[(slab->base >> EXTENT_SHIFT) % LEAF_EXTENTS];
}

static void *start_of(const struct span *slab)
{
    return (void *)round_down(slab->base, EXTENT_BYTES);
}

/* ---- asking ---- */

static bool is_there(void *start)
{
    size_t n = os_pages_count_present(start, EXTENT_BYTES) * os_page_bytes();
    return n >= EXTENT_BYTES - EXTENT_BYTES / THERE_SHARE;
}

/* False: it was not asked for, and may be later. */
static bool ask(void *start)
{
    if (os_clock_ms() < atomic_get_relaxed(&resume_ms) || !is_there(start))
        return false;
    if (huge_way == HUGE_BY_ADVICE)
        os_pages_huge_on(start, EXTENT_BYTES);
    else if (!os_pages_huge_now(start, EXTENT_BYTES))
        atomic_put_relaxed(&resume_ms, os_clock_ms() + HOLD_OFF_MS);
    return true;
}

/* The last that it lacked has been added: is it to be asked for? [lock: arena] */
static bool is_due(const struct extent *extent)
{
    if (extent->n_full < EXTENT_UNITS)
        return false;
    if (huge_way == HUGE_BY_ADVICE)
        return !extent->is_asked && n_advised < ADVISED_MAX;
    return !extent->is_asked || extent->n_new >= NEW_UNITS;
}

/* Unless a slab of it has gone meanwhile. */
static void note_asked(struct extent *extent, void *start)
{
    bool is_advice = huge_way == HUGE_BY_ADVICE;
    arena_lock();
    bool is_whole = extent->n_full == EXTENT_UNITS;
    extent->is_asked = true;
    extent->is_advised = is_advice && is_whole;
    extent->n_new = 0;
    n_advised += is_advice;
    arena_unlock();
    if (is_advice && !is_whole)
        os_pages_huge_off(start, EXTENT_BYTES);
}

void huge_note_full(const struct span *slab)
{
    struct extent *extent = extent_of(slab);
    bool was_kept = slab->n_dirty == slab->n_pages; /* as small pages, or as a huge one's part */
    arena_lock();
    extent->n_full++;
    extent->n_new += !was_kept && extent->n_new < NEW_UNITS;
    bool is_to_be_asked = is_due(extent);
    arena_unlock();
    if (is_to_be_asked && ask(start_of(slab)))
        note_asked(extent, start_of(slab));
}

/* ---- taking back ---- */

void huge_note_gone(const struct span *slab)
{
    struct extent *extent = extent_of(slab);
    arena_lock();
    bool was_advised = extent->is_advised;
    extent->is_advised = false;
    extent->n_full -= extent->n_full > 0; /* some slabs are older than the option */
    arena_unlock();
    if (was_advised)
        os_pages_huge_off(start_of(slab), EXTENT_BYTES);
}

/* ---- start ---- */

/* The extents are the kernel's huge pages where its pages are of 4 KiB. */
static enum huge_way way_of(enum os_huge system)
{
    if (os_page_bytes() != PAGE_BYTES || system == OS_HUGE_NEVER)
        return HUGE_NOT;
    if (os_pages_knows_huge_now())
        return HUGE_AT_ONCE;
    return system == OS_HUGE_IF_ADVISED ? HUGE_BY_ADVICE : HUGE_NOT; /* else it does so by itself */
}

void huge_init(void)
{
    huge_way = options.huge == HUGE_ON ? way_of(os_huge_system()) : HUGE_NOT;
}
