/* SPDX-License-Identifier: MIT */
/*
 * Group: blocks that end together. Here is what the arena knows of one, its large blocks; and how
 * much all of its blocks hold. The small ones are in the slabs of a heap of its own: heap/group.c.
 *
 * Who takes a block counts it first, who frees it counts it off last, so that never more is counted
 * than max_bytes and never less than what is live.
 */
#ifndef POOLALLOC_MEM_GROUP_H
#define POOLALLOC_MEM_GROUP_H

#include "base/atomic.h"

struct span;

struct group {
    struct span *large;         /* [lock: arena] the newest */
    _Atomic size_t large_bytes; /* changes under the lock: arena */
    size_t max_bytes;           /* [const] while the group lives */
    _Atomic size_t live_bytes;
    _Atomic size_t peak_bytes; /* the most that live_bytes was */
    _Atomic size_t n_live;
};

/* Puts a new large block into a group, which has counted it already. */
void group_join(struct span *span, struct group *group);

/* One block takes another's place in its group, if it is in one. */
void group_pass(struct span *from, struct span *to);

/* Frees all large blocks of a group. Returns how many. */
size_t group_free_large(struct group *group);

/* For the arena: a large block, of a group or not, has got another size; it is about to be freed.
 * [lock: arena] */
void group_resized_locked(const struct span *span, size_t bytes_before);
void group_leave_locked(struct span *span);

/* False: it would be more than the maximum. */
ALWAYS_INLINE bool group_take(struct group *group, size_t bytes, size_t n_blocks)
{
    size_t live = atomic_get_relaxed(&group->live_bytes);
    do {
        if (bytes > group->max_bytes - live)
            return false;
    } while (!atomic_try_acquire(&group->live_bytes, &live, live + bytes));
    live += bytes;
    size_t peak = atomic_get_relaxed(&group->peak_bytes);
    while (live > peak && !atomic_try_acquire(&group->peak_bytes, &peak, live))
        continue;
    atomic_add_relaxed(&group->n_live, n_blocks);
    return true;
}

ALWAYS_INLINE void group_give(struct group *group, size_t bytes, size_t n_blocks)
{
    atomic_sub_relaxed(&group->n_live, n_blocks);
    atomic_sub_relaxed(&group->live_bytes, bytes);
}

#endif
