/* SPDX-License-Identifier: MIT */
/*
 * How much memory we may use, and how much we do.
 *
 * What is charged: slabs and large blocks, whole, however much of them was ever touched; free
 * memory that was not given back; records. That is never less than what is resident of ours.
 *
 * The hard limit is kept by the arena: what is charged never exceeds it. To make room it first
 * gives back free memory; what does not fit even then is refused. The last part of it, the reserve,
 * is for slabs alone, and opened when a call has been refused, for what the program does about
 * that. It is closed when something is taken and twice as much is free again.
 *
 * Above the soft limit no more free memory is held back from the kernel than a share of what is
 * left of the limit that is watched.
 *
 * All is atomic, for any thread to read. The limits are set by the layer above (pressure/); what is
 * charged changes under the arena's lock.
 *
 * The arena and the records are under locks of their own. Who is about to take more puts what it
 * will have then, before it looks at what the other has: of two at once, one sees the other, and
 * both together stay below the limit.
 */
#ifndef POOLALLOC_MEM_LIMIT_H
#define POOLALLOC_MEM_LIMIT_H

#include "base/atomic.h"
#include "base/bits.h"

#define LIMIT_NONE  SIZE_MAX
#define LIMIT_LATER (SIZE_MAX - 1)

/* May be charged before a limit put off is found: it is more, without its reserve. */
enum { LIMIT_LATER_BYTES = MIB / 4 * 3 };

struct memory_limits {
    _Atomic size_t hard_bytes; /* or LIMIT_NONE; LIMIT_LATER: it is found when it matters */
    void (*find)(void);        /* does that, under any lock. Set before hard_bytes says so */
    _Atomic size_t reserve_bytes;
    _Atomic bool reserve_is_open;
    _Atomic size_t soft_bytes; /* or LIMIT_NONE */
    _Atomic size_t full_bytes; /* the charge that uses up the limit that is watched; 0: unknown */

    _Atomic size_t charged_bytes;
    _Atomic size_t charged_peak_bytes;
    _Atomic size_t arena_bytes;  /* of what is charged, or about to be; changes under its lock */
    _Atomic size_t record_bytes; /* the same of records, under theirs */
    _Atomic uint64_t n_given;    /* spans that the arena was given back */

    /* When the layer above wants to be called at the end of a slow path: when so much is charged
     * (LIMIT_NONE: never), and so often (0: never). */
    _Atomic size_t look_bytes;
    _Atomic uint32_t look_every_ms;
    _Atomic uint32_t looked_ms; /* when it was called last */
    _Atomic bool is_look_due;
};

extern struct memory_limits memory_limits;

/* Before it is looked whether so much more may be charged. */
ALWAYS_INLINE void limit_find_for(size_t bytes)
{
    if (UNLIKELY(atomic_get_relaxed(&memory_limits.hard_bytes) == LIMIT_LATER) &&
        (bytes > LIMIT_LATER_BYTES ||
         atomic_get_relaxed(&memory_limits.charged_bytes) + bytes > LIMIT_LATER_BYTES))
        memory_limits.find();
}

/* What may be charged once a slab, or a large block, has been added. */
ALWAYS_INLINE size_t limit_of_slabs(void)
{
    size_t hard = atomic_get_relaxed(&memory_limits.hard_bytes);
    if (LIKELY(hard == LIMIT_NONE) || atomic_get_relaxed(&memory_limits.reserve_is_open))
        return hard;
    return hard - min_size(hard, atomic_get_relaxed(&memory_limits.reserve_bytes));
}

ALWAYS_INLINE size_t limit_of_large(void)
{
    size_t hard = atomic_get_relaxed(&memory_limits.hard_bytes);
    if (LIKELY(hard == LIMIT_NONE))
        return hard;
    return hard - min_size(hard, atomic_get_relaxed(&memory_limits.reserve_bytes));
}

/* One puts that it will have `bytes`: false, if with what the other has that is more than `max`. */
ALWAYS_INLINE bool limit_claim(_Atomic size_t *one, const _Atomic size_t *other, size_t bytes,
                               size_t max)
{
    atomic_put_in_order(one, bytes);
    size_t others = atomic_get_in_order(other);
    return others <= max && bytes <= max - others;
}

/* Records may have so much in all, in the reserve once that is open. */
ALWAYS_INLINE bool limit_records(size_t before, size_t bytes)
{
    struct memory_limits *limits = &memory_limits;
    limit_find_for(bytes - before);
    if (limit_claim(&limits->record_bytes, &limits->arena_bytes, bytes, limit_of_slabs()))
        return true;
    atomic_put_relaxed(&limits->record_bytes, before);
    return false;
}

/* So much is charged now. */
ALWAYS_INLINE void limit_charge(size_t bytes)
{
    atomic_put_relaxed(&memory_limits.charged_bytes, bytes);
    if (bytes > atomic_get_relaxed(&memory_limits.charged_peak_bytes))
        atomic_put_relaxed(&memory_limits.charged_peak_bytes, bytes);
    if (UNLIKELY(bytes >= atomic_get_relaxed(&memory_limits.look_bytes)))
        atomic_put_relaxed(&memory_limits.is_look_due, true);
}

/* The clock says so. */
ALWAYS_INLINE void limit_tick(uint32_t now_ms)
{
    uint32_t every = atomic_get_relaxed(&memory_limits.look_every_ms);
    if (UNLIKELY(every > 0) && now_ms - atomic_get_relaxed(&memory_limits.looked_ms) >= every)
        atomic_put_relaxed(&memory_limits.is_look_due, true);
}

#endif
