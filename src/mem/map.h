/* SPDX-License-Identifier: MIT */
/*
 * The address map: from any address to what we know about it.
 *
 * A root indexed by the address's 4 GiB window leads to a leaf; a leaf has, for each grain of 32
 * KiB, one word that answers free() (the slab word), and for each 4 KiB page what the arena needs.
 *
 * Slab word of a grain, in which there is a slab of `class` at `base` that heap number `owner`
 * owns:
 *
 *     base ^ class << 21 ^ tag,  tag = 1 << 63 | owner << 48
 *
 * so that for a block address p and my heap's tag, word ^ p ^ tag is below N_CLASSES << 21 if and
 * only if the grain has one of my slabs, and then is class << 21 | offset in the slab: one load,
 * two exclusive ors and one compare answer "mine? which class? where?" for any 64-bit p at all. 0
 * means that there is no slab; bit 63 keeps it from ever passing.
 *
 * A small class's slab is two whole grains. A medium block begins with any page, and no other
 * begins in its grain, as it is longer; only that grain has its word. Of the rest of the grain the
 * word says nothing: there the "offset" is not 0, and only 0 is the start of a medium block.
 *
 * Protocol of the slab words (relaxed in the fast path and under the owner's lock, release/acquire
 * elsewhere):
 *   M1 the owner of a slab stores its words before it hands out any block of it      [release]
 *   M2 free(p) of a block that p's thread got from the owner sees M1, or a later M3
 *   M3 a heap that takes a slab over from a parked heap stores its own words, under the parked
 *      heap's lock [release]: a free that still reads the old word pushes to the parked heap's
 *      inbox, whose drain sends the block on by reading the word again
 *   M4 the owner stores 0 before it gives an empty slab back: no block of it is live, so no valid
 *      free can be reading
 *   M5 readers that go on to use the owner's heap load [acquire], pairing with M1 and M3: the
 *      heap's making happened before
 *
 * Tests: tests/unit/test_map.c, tests/race/race_map.c, tests/models/model_heaps.c.
 */
#ifndef POOLALLOC_MEM_MAP_H
#define POOLALLOC_MEM_MAP_H

#include "base/atomic.h"
#include "base/bits.h"
#include "conf/classes.h"

struct entry;
struct span;

enum {
    PAGE_SHIFT = 12, /* our page: the arena's grain, at most the kernel's page */
    PAGE_BYTES = 1 << PAGE_SHIFT,
    GRAIN_SHIFT = 15,
    UNIT_SHIFT = 16, /* of a small class's slab */
    UNIT_BYTES = 1 << UNIT_SHIFT,
    UNIT_PAGES = UNIT_BYTES / PAGE_BYTES,
    LEAF_SHIFT = 32, /* a leaf covers 4 GiB */
    LEAF_GRAINS = 1 << (LEAF_SHIFT - GRAIN_SHIFT),
    LEAF_PAGES = 1 << (LEAF_SHIFT - PAGE_SHIFT),
    EXTENT_SHIFT = 21, /* a huge page */
    EXTENT_UNITS = 1 << (EXTENT_SHIFT - UNIT_SHIFT),
    LEAF_EXTENTS = 1 << (LEAF_SHIFT - EXTENT_SHIFT),
    ADDRESS_BITS = 48,
    MAP_CLASS_SHIFT = 21,
    MAP_OWNER_SHIFT = 48,
};

_Static_assert(sizeof(uintptr_t) == sizeof(uint64_t), "slab words are made of addresses");

#define MAP_TAG_BIT (UINT64_C(1) << 63)

/* What huge.c knows of an extent. [lock: arena] */
struct extent {
    uint8_t n_full; /* slabs in it of which every block has been handed out */
    uint8_t
        n_new; /* of those that became so since it was asked for, with pages that were not there */
    bool is_asked;
    bool is_advised; /* and that was not taken back */
};

struct leaf {
    _Atomic uint64_t slab_words[LEAF_GRAINS];
    /* [lock: arena] The span whose first or last page this is, or was: check its base. The entry of
     * a slab's first page does not change while the slab lives, and its owner reads it without. */
    struct span *spans[LEAF_PAGES];
    /* [lock: arena] One bit a page: it may hold something else than zeroes. */
    uint64_t touched[LEAF_PAGES / 64];
    /* What the checked mode knows of each slab's blocks (ledger.h), or NULL. Set before M1 and
     * cleared after M4, by the owner. */
    _Atomic(struct entry *) ledgers[LEAF_GRAINS];
    struct extent extents[LEAF_EXTENTS];
};

extern struct leaf map_first_leaf;
extern _Atomic(struct leaf *) map_root[1 << (ADDRESS_BITS - LEAF_SHIFT)];

/* Makes the leaves for [base, base + bytes). False: no memory for them. [lock: arena] */
bool map_cover(uintptr_t base, size_t bytes);

/* Where the first region should lie: some way below the libraries, so that mappings of the program
 * do not cut into our growth; at a random distance; and not just above a 4 GiB border, because a
 * heap's fast path knows the slabs of one 4 GiB window. */
uintptr_t map_first_region_end(void);

ALWAYS_INLINE uint64_t map_tag(uint32_t owner)
{
    return MAP_TAG_BIT | (uint64_t)owner << MAP_OWNER_SHIFT;
}

/* NULL: nothing of ours is within 4 GiB of it. */
ALWAYS_INLINE struct leaf *map_leaf(uintptr_t address)
{
    if (UNLIKELY(address >> ADDRESS_BITS != 0))
        return NULL;
    return atomic_get_acquire(&map_root[address >> LEAF_SHIFT]);
}

/* Of the grain, in its leaf. */
ALWAYS_INLINE size_t map_grain(uintptr_t address)
{
    return (uint32_t)address >> GRAIN_SHIFT;
}

ALWAYS_INLINE _Atomic uint64_t *map_slab_word(uintptr_t address)
{
    struct leaf *leaf = map_leaf(address);
    return leaf != NULL ? &leaf->slab_words[map_grain(address)] : NULL;
}

/* What the map says of an address. */
struct place {
    bool is_slab;
    uint8_t class;
    uint16_t offset; /* in the slab; of a medium block 0 */
    uint32_t owner;  /* heap number */
};

ALWAYS_INLINE struct place map_place(uintptr_t address)
{
    _Atomic uint64_t *word = map_slab_word(address);
    uint64_t found = word != NULL ? atomic_get_acquire(word) : 0;
    uint64_t x = found ^ address;
    uint8_t class = (uint8_t)(x >> MAP_CLASS_SHIFT);
    uint16_t offset = (uint16_t)x;
    return (struct place){
        .is_slab = found != 0 && (LIKELY(class_is_small(class)) || offset == 0),
        .class = class,
        .offset = offset,
        .owner = (uint32_t)(x >> MAP_OWNER_SHIFT) & 0x7fff,
    };
}

/* Whether a block can begin there, in a slab. Whether it is live, only its seal can tell. */
ALWAYS_INLINE bool place_is_block(struct place place)
{
    return class_is_block_start(class_reciprocal_table[place.class], place.offset) &&
           place.offset + class_bytes(place.class) <= class_slab_bytes(place.class);
}

/* For addresses in what map_cover covered, as the two below. */
ALWAYS_INLINE struct span **map_span_entry(uintptr_t address)
{
    struct leaf *leaf = atomic_get_acquire(&map_root[address >> LEAF_SHIFT]);
    return &leaf->spans[(address >> PAGE_SHIFT) % LEAF_PAGES];
}

/* The span of a slab, from any block in it; for whoever owns the slab. */
ALWAYS_INLINE struct span *map_slab_span(unsigned class, uintptr_t block)
{
    return *map_span_entry(class_is_small(class) ? round_down(block, UNIT_BYTES) : block);
}

/* The same from any address: NULL unless a slab of this class is there whose owner has this tag.
 * [lock] of the owner: slabs become his, and cease to be, under it. */
ALWAYS_INLINE struct span *map_slab_of(uintptr_t block, unsigned class, uint64_t tag)
{
    struct leaf *leaf = map_leaf(block);
    if (UNLIKELY(leaf == NULL))
        return NULL;
    uint64_t word = atomic_get_relaxed(&leaf->slab_words[map_grain(block)]);
    uint64_t offset = word ^ block ^ tag ^ (uint64_t) class << MAP_CLASS_SHIFT;
    if (UNLIKELY(offset > (class_is_small(class) ? UINT16_MAX : 0)))
        return NULL;
    return map_slab_span(class, block);
}

/* Where the slab begins that the word of this grain of the leaf at `leaf_base` tells of. */
ALWAYS_INLINE uintptr_t map_base_of(uint64_t word, uintptr_t leaf_base, size_t grain)
{
    return leaf_base | round_down(grain << GRAIN_SHIFT, UNIT_BYTES) | (uint16_t)word;
}

/* In all grains of a slab that are its alone, or in which it begins. */
ALWAYS_INLINE void map_put_word(uintptr_t base, unsigned class, uint64_t word)
{
    struct leaf *leaf = atomic_get_acquire(&map_root[base >> LEAF_SHIFT]);
    atomic_put_release(&leaf->slab_words[map_grain(base)], word);
    if (class_is_small(class))
        atomic_put_release(&leaf->slab_words[map_grain(base) + 1], word);
}

ALWAYS_INLINE void map_set_slab(uintptr_t base, unsigned class, uint64_t tag)
{
    map_put_word(base, class, base ^ (uint64_t) class << MAP_CLASS_SHIFT ^ tag);
}

ALWAYS_INLINE void map_clear_slab(uintptr_t base, unsigned class)
{
    map_put_word(base, class, 0);
}

/* Touched bits of a run of pages. [lock: arena] */
size_t map_touched_count(uintptr_t base, size_t n_pages);
void map_touched_set(uintptr_t base, size_t n_pages);
void map_touched_clear(uintptr_t base, size_t n_pages);

/* So many of these pages, the first on, are touched, or none of them is. n_pages is not 0. */
size_t map_touched_run(uintptr_t base, size_t n_pages, bool *is_touched);

/* The page from which on n of these pages are touched; n is from 1 to their number.
 * [lock: arena] */
uintptr_t map_touched_from_end(uintptr_t base, size_t n_pages, size_t n);

#endif
