/* SPDX-License-Identifier: MIT */
/*
 * Slots: places for objects of one size, for one thread at a time.
 *
 * Memory comes in parts, each as large as all before together; a slot is named by its part and its
 * offset in it. What is known of slots lies apart from them, one 32-bit link a slot: objects stay
 * as they are while they are free, and an overflow does not reach the links. A link holds
 *
 *     the offset of the next free slot of the part, or SLOT_END, while the slot is free
 *     SLOT_CACHED                while it is free and in a stack of lanes.h
 *     SLOT_LIVE or above         while it is taken (see lanes.h)
 *
 * so that free(p) knows of any p at all whether it is a slot, and whether it is taken. Slots that
 * were never used come last: n_carved is the most that were ever taken at once.
 *
 * The list of the current part is in struct slots itself, where the fast paths find it; those of
 * the others wait in their parts. Offsets rather than indices: the next slot taken depends on the
 * one freed before by a subtraction and an addition only.
 */
#ifndef POOLALLOC_OBJECTS_SLOTS_H
#define POOLALLOC_OBJECTS_SLOTS_H

#include "base/atomic.h"
#include "base/bits.h"
#include "mem/map.h"

enum {
    SLOTS_PARTS_MAX = 32,
    SLOT_STRIDE_MIN = 8,
    SLOTS_PART_MAX = (1 << 27) - 4, /* so that part and index fit into 32 bits: lanes.c */
};

#define SLOT_END    UINT32_C(0xfffffe00) /* beyond every offset */
#define SLOT_CACHED UINT32_C(0xfffffe01)
#define SLOT_LIVE   UINT32_C(0xffffff00)

#define SLOTS_PART_MAX_BYTES ((size_t)SLOT_END / PAGE_BYTES * PAGE_BYTES)

struct part {
    _Atomic(char *) base;    /* NULL: no such part. Set last, by release: see slot_find */
    _Atomic uint32_t *links; /* n_slots; then, if is_shared, the same number of `returned` */
    _Atomic uint32_t bytes;  /* of its slots. Set first, by release */
    uint32_t n_slots;
    uint32_t n_carved; /* slots from here on were never used */
    uint32_t head;     /* of the free ones; of the current part it is in struct slots */
};

struct slots {
    char *base; /* of the current part */
    _Atomic uint32_t *links;
    uint64_t reciprocal; /* [const] ceil(2^64 / stride) */
    uint32_t head;
    uint32_t bytes;
    _Atomic uint64_t n_out; /* slots that are taken */
    bool is_shared;         /* [const] lanes.h is on top */
    uint32_t stride;        /* [const] */
    uint32_t current;       /* index of the part */
    struct part *missed;    /* by the last free since `current` is; NULL: by none */
    size_t align;           /* [const] */
    size_t first;           /* [const] slots of the first part */
    size_t max;             /* [const] slots in all */
    _Atomic size_t n_slots;
    _Atomic size_t n_carved;
    _Atomic size_t peak; /* the most that n_carved was */
    _Atomic size_t memory_bytes;
    struct part parts[SLOTS_PARTS_MAX];
};

/* Where a slot's records are. */
struct slot {
    struct part *part;
    uint32_t index;
};

/* object_bytes, align, first and max are good: pool.c has seen to it. */
void slots_init(struct slots *slots, size_t object_bytes, size_t align, size_t first, size_t max,
                bool is_shared);

/* A free slot of any part, or a fresh one, which was never used before (or not since its part was
 * new). NULL: all are taken, there is no memory or the maximum is reached. Inside. */
void *slots_take(struct slots *slots, bool *is_fresh);

/* One that was used before, or NULL. */
void *slots_take_used(struct slots *slots);

/* After slots_take has got a fresh slot: how many of those that follow it may be taken with it, as
 * their links lie in the same line of the processor's cache: a page of memory at most, and an
 * eighth of the slots that are left to come. */
size_t slots_n_in_row(struct slots *slots);

/* One of these. */
void *slots_take_next(struct slots *slots);

/* Of any part; it is a slot and taken. */
void slots_give(struct slots *slots, void *p);

/* Of this place, which is not of the current part. Its part becomes that if the current one has no
 * free slot, or if it was this part the last time, too, that a free missed the current one: who
 * frees two of it is likely to free more. */
void slots_give_at(struct slots *slots, const struct slot *slot, void *p);

/* Whether p is the start of a slot, carved or not; fills in where it is. Any thread. */
bool slot_find(struct slots *slots, const void *p, struct slot *slot);

/* Takes a part out all of whose slots are free, or any part if `any`. False: there is none. The
 * part is the caller's then, to be given to slots_free_part. */
bool slots_remove_part(struct slots *slots, bool any, struct part *part);

/* Inside. */
void slots_free_part(struct part *part);

/* Index of the slot that begins at this offset. */
ALWAYS_INLINE uint32_t slot_index(uint32_t offset, uint64_t reciprocal)
{
    return (uint32_t)((__extension__(unsigned __int128) reciprocal * offset) >> 64);
}

/* Whether one begins there, and then its index; by one multiplication. Exact for any 32-bit offset
 * and stride (Lemire, Kaser, Kurz: Faster remainder by direct computation): the fractional part of
 * offset / stride in 64 bits is below the reciprocal exactly for multiples. */
ALWAYS_INLINE bool slot_is_start(uint32_t offset, uint64_t reciprocal, uint32_t *index)
{
    __extension__ unsigned __int128 product = (unsigned __int128)reciprocal * offset;
    *index = (uint32_t)(product >> 64);
    return (uint64_t)product < reciprocal;
}

/* slot_find, of this part. */
ALWAYS_INLINE bool slot_find_in(struct slots *slots, struct part *part, const void *p,
                                struct slot *slot)
{
    const char *base = atomic_get_acquire(&part->base);
    uintptr_t offset = (uintptr_t)p - (uintptr_t)base;
    /* Another thread may be putting a new part in its place: base and bytes of one part only. Who
     * reads the bytes of the new one does not find the base of the old one after that. */
    if (base == NULL || offset >= atomic_get_acquire(&part->bytes) ||
        base != atomic_get_relaxed(&part->base))
        return false;
    slot->part = part;
    return slot_is_start((uint32_t)offset, slots->reciprocal, &slot->index);
}

/* A slot of the current part, or NULL: none of it is free. */
ALWAYS_INLINE void *slots_take_fast(struct slots *slots)
{
    uint32_t offset = slots->head;
    if (UNLIKELY(offset == SLOT_END))
        return NULL;
    _Atomic uint32_t *link = &slots->links[slot_index(offset, slots->reciprocal)];
    slots->head = atomic_get_relaxed(link);
    atomic_put_relaxed(link, SLOT_LIVE);
    counter_increment(&slots->n_out);
    return slots->base + offset;
}

/* False: p is no taken slot of the current part. */
ALWAYS_INLINE bool slots_give_fast(struct slots *slots, void *p)
{
    uint32_t index;
    uintptr_t offset = (uintptr_t)p - (uintptr_t)slots->base;
    if (UNLIKELY(offset >= slots->bytes) ||
        UNLIKELY(!slot_is_start((uint32_t)offset, slots->reciprocal, &index)))
        return false;
    _Atomic uint32_t *link = &slots->links[index];
    if (UNLIKELY(atomic_get_relaxed(link) < SLOT_LIVE))
        return false;
    atomic_put_relaxed(link, slots->head);
    slots->head = (uint32_t)offset;
    counter_decrement(&slots->n_out);
    return true;
}

#endif
