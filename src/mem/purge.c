/* SPDX-License-Identifier: MIT */
/*
 * The arena's free memory on its way to the kernel: what is due by age, by amount, or because of a
 * limit. arena.h says when; everything here runs under the arena's lock, which is let go around the
 * system call.
 */
#include "conf/options.h"
#include "mem/arena_state.h"
#include "mem/limit.h"
#include "mem/meta.h"
#include "os/clock.h"
#include "os/pages.h"
#include "os/sys.h"

/* Over what may be held back: a system call is worth so much. */
enum { PURGE_MIN_PAGES = MIB >> PAGE_SHIFT };

/* Of what is left of a limit, held back at most while memory is short. */
enum { LEFT_SHARE = 8 };

/* Left below the limit for the records of what is taken. */
enum { RECORDS_BYTES = 4096 };

_Atomic size_t arena_used_bytes;

static uint32_t now_ms(void)
{
    return (uint32_t)os_clock_ms();
}

/* ---- what is charged ---- */

static size_t in_use_locked(void)
{
    return arena.stats.slab_bytes + arena.stats.large_bytes;
}

static size_t held_back_locked(void)
{
    return (free_spans.dirty_pages + arena.n_purging_pages) << PAGE_SHIFT;
}

ALWAYS_INLINE void note_use(void)
{
    size_t used = in_use_locked();
    arena.stats.used_peak_bytes = max_size(arena.stats.used_peak_bytes, used);
    size_t all = used + held_back_locked();
    atomic_put_relaxed(&arena_used_bytes, used);
    atomic_put_relaxed(&memory_limits.arena_bytes, all);
    limit_charge(all + atomic_get_relaxed(&meta_used_bytes));
}

void used_note(void)
{
    note_use();
}

void used_note_grown(void)
{
    note_use();
    bool is_over = atomic_get_relaxed(&memory_limits.charged_bytes) >
                   atomic_get_relaxed(&memory_limits.soft_bytes);
    if (UNLIKELY(is_over) && free_spans.dirty_pages > 0)
        purge_due_locked(now_ms());
}

/* ---- discarding ---- */

static void purging_remove(const struct span *span)
{
    struct span **link = &arena.purging;
    while (*link != span)
        link = &(*link)->free.newer;
    *link = span->free.newer;
}

/* Discards a free span, or just its end if n_touched_max touched pages are in that: low addresses
 * are the first to be used again. Holds the lock on entry and on return, not in between. */
static bool purge_span(struct span *span, size_t n_touched_max)
{
    uintptr_t base = span->base;
    if (n_touched_max < span->free.n_touched && spares_fill())
        base =
            round_down(map_touched_from_end(base, span->n_pages, n_touched_max), os_page_bytes());
    size_t n_touched = free_cut(span, base, span_end(span));
    span->kind = SPAN_PURGING;
    span->free.n_touched = (uint32_t)n_touched;
    span->free.newer = arena.purging;
    arena.purging = span;
    arena.n_purging_pages += n_touched;
    lock_release(&arena.lock);

    bool done = os_pages_discard((void *)span->base, span_bytes(span));

    lock_take(&arena.lock);
    purging_remove(span);
    arena.n_purging_pages -= n_touched;
    uint32_t now = now_ms();
    if (done) {
        regret_note_purge(&arena.regret, n_touched, now);
        arena.stats.n_purges++;
        arena.stats.purged_bytes += (uint64_t)n_touched << PAGE_SHIFT;
        map_touched_clear(span->base, span->n_pages);
        span->free.n_touched = 0;
    }
    span->free.freed_ms = now; /* if it could not be discarded, it is tried again later */
    free_merge_and_insert(span);
    used_note();
    return done;
}

/* Some slack and, since a program that works on some set frees and takes parts of it in turn, a
 * share of what is in use. */
static size_t dirty_pages_wanted(void)
{
    size_t in_use =
        arena.mapped_pages - free_spans.free_pages + (arena.stats.direct_bytes >> PAGE_SHIFT);
    return (option_get(&options.dirty_bytes) >> PAGE_SHIFT) + in_use * options.dirty_percent / 100;
}

static size_t left_of(size_t all, size_t used)
{
    return used < all ? all - used : 0;
}

/* What is below the soft limit, or a share of what is left in all. */
static size_t dirty_pages_allowed(void)
{
    size_t soft = atomic_get_relaxed(&memory_limits.soft_bytes);
    if (LIKELY(soft == LIMIT_NONE))
        return SIZE_MAX;
    size_t used = in_use_locked() + atomic_get_relaxed(&meta_used_bytes);
    size_t full = atomic_get_relaxed(&memory_limits.full_bytes);
    return max_size(left_of(soft, used), left_of(full, used) / LEFT_SHARE) >> PAGE_SHIFT;
}

size_t dirty_pages_max(void)
{
    size_t wanted =
        dirty_pages_wanted() + (options.dirty_percent > 0 ? arena.regret.needed_pages : 0);
    return min_size(wanted, dirty_pages_allowed());
}

/* It may have become free after `now` was looked up. */
static uint32_t age_of(const struct span *span, uint32_t now)
{
    enum { SINCE_MAX_MS = 60 * 1000 };
    uint32_t age = now - span->free.freed_ms;
    return age < UINT32_MAX - SINCE_MAX_MS ? age : 0;
}

/* How much of the oldest free span is to be discarded now. */
static size_t due_pages(uint32_t now)
{
    const struct span *span = free_spans.oldest;
    if (span == NULL)
        return 0;
    if (age_of(span, now) >= options.purge_ms)
        return span->free.n_touched;
    size_t max = dirty_pages_max();
    return free_spans.dirty_pages > max ? max_size(free_spans.dirty_pages - max, PURGE_MIN_PAGES)
                                        : 0;
}

void purge_due_locked(uint32_t now)
{
    limit_tick(now);
    regret_fade(&arena.regret, now);
    /* A span that could not be discarded is young again: the loop ends. */
    for (size_t n = due_pages(now); n > 0; n = due_pages(now)) {
        if (!purge_span(free_spans.oldest, n))
            break;
    }
}

void arena_purge_due(void)
{
    lock_take(&arena.lock);
    purge_due_locked(now_ms());
    lock_release(&arena.lock);
}

bool arena_is_dirty(void)
{
    lock_take(&arena.lock);
    bool is_dirty = free_spans.dirty_pages > 0;
    lock_release(&arena.lock);
    return is_dirty;
}

/* ---- room below the hard limit ---- */

static size_t limit_of(enum span_kind kind)
{
    return kind == SPAN_SLAB ? limit_of_slabs() : limit_of_large();
}

/* With its records. */
static bool fits(size_t used, size_t bytes, size_t max)
{
    return bytes <= max &&
           used + atomic_get_relaxed(&meta_used_bytes) + RECORDS_BYTES <= max - bytes;
}

bool arena_refuses(enum span_kind kind, size_t bytes)
{
    return !fits(atomic_get_relaxed(&arena_used_bytes), bytes, limit_of(kind));
}

/* What others are giving back at the moment will be gone in a moment, if they get to run. */
static void purging_await(unsigned n)
{
    enum { YIELDS = 10 };
    lock_release(&arena.lock);
    if (n < YIELDS)
        (void)sys_yield();
    else
        os_sleep_ms(1);
    lock_take(&arena.lock);
}

/* For the nth time. False: the kernel refuses to take any (memory that the program has locked). */
static bool give_back_locked(size_t bytes, unsigned n)
{
    if (free_spans.oldest != NULL)
        return purge_span(free_spans.oldest,
                          max_size(div_round_up(bytes, PAGE_BYTES), PURGE_MIN_PAGES));
    purging_await(n);
    return true;
}

/* So much more, in place of the records' room. */
static bool claim_locked(size_t max, size_t bytes)
{
    struct memory_limits *limits = &memory_limits;
    size_t all = in_use_locked() + held_back_locked() + bytes;
    bool is_had =
        limit_claim(&limits->arena_bytes, &limits->record_bytes, all + RECORDS_BYTES, max);
    atomic_put_relaxed(&limits->arena_bytes, is_had ? all : all - bytes);
    return is_had;
}

/* How much is to go for that. */
static size_t excess_locked(size_t max, size_t bytes)
{
    size_t all = in_use_locked() + held_back_locked() + atomic_get_relaxed(&meta_used_bytes) +
                 RECORDS_BYTES + bytes;
    return all > max ? all - max : 0;
}

static bool room_make_below(size_t max, size_t bytes)
{
    bool goes = true;
    for (unsigned n = 0; goes && fits(in_use_locked(), bytes, max); n++) {
        if (claim_locked(max, bytes))
            return true;
        goes = give_back_locked(excess_locked(max, bytes), n);
    }
    return false;
}

static void reserve_close(void)
{
    size_t hard = atomic_get_relaxed(&memory_limits.hard_bytes);
    size_t twice = 2 * atomic_get_relaxed(&memory_limits.reserve_bytes);
    if (fits(in_use_locked(), twice, hard))
        atomic_put_relaxed(&memory_limits.reserve_is_open, false);
}

NOINLINE static bool room_make_in_limit(enum span_kind kind, size_t bytes)
{
    limit_find_for(bytes);
    if (UNLIKELY(atomic_get_relaxed(&memory_limits.reserve_is_open)))
        reserve_close();
    return room_make_below(limit_of(kind), bytes);
}

bool room_make_locked(enum span_kind kind, size_t bytes)
{
    return LIKELY(atomic_get_relaxed(&memory_limits.hard_bytes) == LIMIT_NONE) ||
           room_make_in_limit(kind, bytes);
}

/* ---- for others ---- */

bool arena_purge_down_to(size_t bytes)
{
    bool any = false;
    size_t n_kept = bytes >> PAGE_SHIFT;
    lock_take(&arena.lock);
    while (free_spans.dirty_pages > n_kept &&
           purge_span(free_spans.oldest, free_spans.dirty_pages - n_kept))
        any = true;
    lock_release(&arena.lock);
    return any;
}

uint64_t arena_purged_bytes(void)
{
    lock_take(&arena.lock);
    uint64_t bytes = arena.stats.purged_bytes;
    lock_release(&arena.lock);
    return bytes;
}

void arena_note_purged(size_t n_pages)
{
    lock_take(&arena.lock);
    arena.stats.n_purges++;
    arena.stats.purged_bytes += (uint64_t)n_pages << PAGE_SHIFT;
    lock_release(&arena.lock);
}

bool arena_purge_all(void)
{
    return arena_purge_down_to(0);
}

void purging_end(void)
{
    while (arena.purging != NULL) {
        struct span *span = arena.purging;
        arena.purging = span->free.newer;
        free_merge_and_insert(span);
    }
    arena.n_purging_pages = 0;
}
