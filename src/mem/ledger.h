/* SPDX-License-Identifier: MIT */
/*
 * Ledger: what the checked mode (heap/checked.h) knows of each block of a slab, an entry a block,
 * out of the program's reach. A large block has its entry in its span.
 *
 * An entry's first word is what the block is; it changes by compare-and-swap, so of two calls that
 * free a block one wins, and the other knows that it was second:
 *
 *   FRESH  was never handed out; a large block that the mode has nothing to do with
 *   OLD    was perhaps handed out before the mode began, or is a group's: it may be freed once, and
 *          is not checked otherwise until it is next handed out
 *   LIVE   handed out
 *   HELD   freed, and kept from being used again for a while
 *   FREE   freed, on its way to be handed out
 *   LOST   found damaged: never handed out again
 *
 * The second word says which alignment a live block was asked for with. And who freed it and which
 * threads were concerned, where that is recorded: this is for people to read, and may be of another
 * moment than the first word.
 */
#ifndef POOLALLOC_MEM_LEDGER_H
#define POOLALLOC_MEM_LEDGER_H

#include "conf/classes.h"
#include "mem/map.h"

enum entry_state { ENTRY_FRESH, ENTRY_OLD, ENTRY_LIVE, ENTRY_HELD, ENTRY_FREE, ENTRY_LOST };

struct entry {
    _Atomic uint64_t what; /* entry_word() */
    _Atomic uint64_t who;  /* entry_people_word() */
};

enum {
    ENTRY_STATE_BITS = 3,
    ENTRY_FAMILY_BITS = 3,
    ENTRY_SITE_BITS = 14,
    ENTRY_FAMILY_SHIFT = ENTRY_STATE_BITS,
    ENTRY_SITE_SHIFT = ENTRY_FAMILY_SHIFT + ENTRY_FAMILY_BITS,
    ENTRY_BYTES_SHIFT = ENTRY_SITE_SHIFT + ENTRY_SITE_BITS,
    ENTRY_THREAD_BITS = 22, /* the kernel's thread numbers are below 2^22 */
    ENTRY_ALLOCATED_SHIFT = ENTRY_SITE_BITS,
    ENTRY_FREED_SHIFT = ENTRY_ALLOCATED_SHIFT + ENTRY_THREAD_BITS,
    ENTRY_ALIGN_SHIFT = ENTRY_FREED_SHIFT + ENTRY_THREAD_BITS, /* 6 bits */
};

/* What the words say. */
struct entry_view {
    enum entry_state state;
    unsigned family; /* of functions that it was allocated by: heap/checked.h */
    uint32_t site;   /* that allocated it, or 0 */
    size_t bytes;    /* that were asked for */
};

ALWAYS_INLINE uint64_t entry_word(struct entry_view view)
{
    return (uint64_t)view.state | (uint64_t)view.family << ENTRY_FAMILY_SHIFT |
           (uint64_t)view.site << ENTRY_SITE_SHIFT | (uint64_t)view.bytes << ENTRY_BYTES_SHIFT;
}

ALWAYS_INLINE struct entry_view entry_view(uint64_t word)
{
    return (struct entry_view){
        .state = (enum entry_state)(word & ((1u << ENTRY_STATE_BITS) - 1)),
        .family = (unsigned)(word >> ENTRY_FAMILY_SHIFT) & ((1u << ENTRY_FAMILY_BITS) - 1),
        .site = (uint32_t)(word >> ENTRY_SITE_SHIFT) & ((1u << ENTRY_SITE_BITS) - 1),
        .bytes = word >> ENTRY_BYTES_SHIFT,
    };
}

/* The same but for the state. */
ALWAYS_INLINE uint64_t entry_word_in(uint64_t word, enum entry_state state)
{
    return (word & ~(uint64_t)((1u << ENTRY_STATE_BITS) - 1)) | (uint64_t)state;
}

struct entry_people {
    uint32_t freed_at; /* site, or 0 */
    uint32_t allocated_by;
    uint32_t freed_by;   /* threads, or 0 */
    uint32_t align_log2; /* 0: none was asked for */
};

ALWAYS_INLINE uint64_t entry_people_word(struct entry_people people)
{
    return people.freed_at | (uint64_t)people.allocated_by << ENTRY_ALLOCATED_SHIFT |
           (uint64_t)people.freed_by << ENTRY_FREED_SHIFT |
           (uint64_t)people.align_log2 << ENTRY_ALIGN_SHIFT;
}

ALWAYS_INLINE struct entry_people entry_people(uint64_t word)
{
    return (struct entry_people){
        .freed_at = (uint32_t)word & ((1u << ENTRY_SITE_BITS) - 1),
        .allocated_by = (uint32_t)(word >> ENTRY_ALLOCATED_SHIFT) & ((1u << ENTRY_THREAD_BITS) - 1),
        .freed_by = (uint32_t)(word >> ENTRY_FREED_SHIFT) & ((1u << ENTRY_THREAD_BITS) - 1),
        .align_log2 = (uint32_t)(word >> ENTRY_ALIGN_SHIFT),
    };
}

/* For the slab of this class at base: the first n_old entries are OLD, all others FRESH. False:
 * there is no memory. */
bool ledger_make(uintptr_t base, unsigned class, unsigned n_old);

/* If there is one. No block of the slab is live. */
void ledger_drop(uintptr_t base, unsigned class);

/* Of the block that begins at p, where the map has said that one may. NULL: the slab has no
 * ledger. */
ALWAYS_INLINE struct entry *ledger_entry(uintptr_t p, struct place place)
{
    struct leaf *leaf = map_leaf(p);
    struct entry *entries = atomic_get_acquire(&leaf->ledgers[map_grain(p - place.offset)]);
    return entries != NULL ? &entries[class_index_of_offset(place.class, place.offset)] : NULL;
}

#endif
