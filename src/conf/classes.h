/* SPDX-License-Identifier: MIT */
/*
 * Size classes: the sizes that blocks come in.
 *
 * 16 to 128 bytes in steps of 16, then eight classes for each doubling up to 256 KiB: at most 12.5%
 * of a block above 128 bytes is slack. All sizes are multiples of 16, and so are all block
 * addresses. Small blocks, up to 32 KiB, share slabs of 64 KiB; a medium block has a slab of its
 * own, of its size. Everything above is a large block (mem/large.h).
 */
#ifndef POOLALLOC_CONF_CLASSES_H
#define POOLALLOC_CONF_CLASSES_H

#include "base/bits.h"

enum {
    BLOCK_ALIGN = 16,
    N_CLASSES = 96,
    N_SMALL_CLASSES = 72,
    SMALL_MAX_BYTES = 32 * 1024,
    CLASS_MAX_BYTES = 256 * 1024,
    SMALL_SLAB_BYTES = 64 * 1024,
    CLASS_TABLE_MAX_BYTES = 4096, /* up to here a table answers, above a computation */
    CLASS_SCALE = 32, /* what the fast paths index by a class is 32 bytes wide: store them scaled */
};

/* Bytes of a block of this class. */
extern const uint32_t class_bytes_table[N_CLASSES];

/* ceil(2^32 / bytes): (offset * this) >> 32 is offset / bytes for every offset in a slab's first 64
 * KiB. Of medium classes 2^16, by which no block but the slab's first has a start there: what
 * follows a slab that is shorter is none of its. */
extern const uint32_t class_reciprocal_table[N_CLASSES];

/* The class of n <= CLASS_TABLE_MAX_BYTES, times CLASS_SCALE, is at [(n + 15) / 16]. */
extern const uint16_t class_scaled_table[CLASS_TABLE_MAX_BYTES / BLOCK_ALIGN + 1];

ALWAYS_INLINE size_t class_bytes(unsigned class)
{
    return class_bytes_table[class];
}

/* 128 < n <= CLASS_MAX_BYTES. The doubling above 2^7 that n - 1 lies in, and the eighth of it. */
ALWAYS_INLINE unsigned class_of_computed(size_t n)
{
    unsigned log = log2_floor(n - 1);
    return (log - 6) * 8 + (unsigned)(((n - 1) >> (log - 3)) & 7);
}

/* n <= CLASS_MAX_BYTES. */
ALWAYS_INLINE unsigned class_of(size_t n)
{
    if (n > CLASS_TABLE_MAX_BYTES)
        return class_of_computed(n);
    return class_scaled_table[(n + BLOCK_ALIGN - 1) / BLOCK_ALIGN] / CLASS_SCALE;
}

ALWAYS_INLINE bool class_is_small(unsigned class)
{
    return class < N_SMALL_CLASSES;
}

ALWAYS_INLINE size_t class_slab_bytes(unsigned class)
{
    return class_is_small(class) ? SMALL_SLAB_BYTES : class_bytes(class);
}

ALWAYS_INLINE size_t class_blocks_a_slab(unsigned class)
{
    return class_is_small(class) ? SMALL_SLAB_BYTES / class_bytes(class) : 1;
}

/* offset < 64 KiB: which block of the slab the offset lies in. */
ALWAYS_INLINE unsigned class_index_by(uint32_t reciprocal, uint32_t offset)
{
    return (unsigned)(((uint64_t)offset * reciprocal) >> 32);
}

ALWAYS_INLINE unsigned class_index_of_offset(unsigned class, uint32_t offset)
{
    return class_index_by(class_reciprocal_table[class], offset);
}

/* Whether a block begins at this offset. The fractional part of offset / bytes, in 32 bits, is
 * below 2^16 exactly for multiples: the reciprocal's error, times an offset below 2^16, stays below
 * it. */
ALWAYS_INLINE bool class_is_block_start(uint32_t reciprocal, uint32_t offset)
{
    return offset * reciprocal <= 0xffff;
}

#endif
