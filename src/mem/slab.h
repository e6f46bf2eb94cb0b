/* SPDX-License-Identifier: MIT */
/*
 * Slab: one 64 KiB unit cut into small blocks of one class, or one medium block; its record and
 * bitmap are kept elsewhere.
 *
 * Blocks [0, n_carved) have been used; of these the ones whose bit is set are free and at home
 * here, the other n_out are live or in some bin, magazine, outbox or inbox. Blocks from n_carved on
 * were never written. A slab is touched by the holder of its owner heap's lock only.
 *
 * Of a slab that nobody draws from, pages whose blocks are all at home can go back to the kernel
 * (`purged`). The links in them are gone with it; they are written anew, when the first block of
 * such a page is wanted: until then they must read as zero.
 */
#ifndef POOLALLOC_MEM_SLAB_H
#define POOLALLOC_MEM_SLAB_H

#include "conf/classes.h"
#include "mem/block.h"
#include "mem/span.h"
#include "os/panic.h"

/* A slab of this class, in no list and not in the map yet: the caller sets the map word (map.h:
 * M1). NULL when there is no memory. */
struct span *slab_new(unsigned class);

/* Gets all pages of a new slab from the kernel at once. */
void slab_populate(struct span *slab);

/* Gives an empty slab back to the arena. The caller has cleared the map word. */
void slab_delete(struct span *slab);

/* Takes up to `max` free blocks, lowest address first. */
struct chain slab_take_free(struct span *slab, size_t max);

/* The same with blocks that were never used. */
struct chain slab_carve(struct span *slab, size_t max);

/* One never used block that reads as zero, or NULL. */
void *slab_carve_zeroed(struct span *slab);

/* Gives the kernel those pages of the slab in which there are only blocks that are at home. Returns
 * how many these were. */
size_t slab_purge(struct span *slab);

/* Pages up to the last block that was ever carved, but those that were given back; and further
 * pages that were touched since the kernel gave them: as many at least. */
size_t slab_active_pages(const struct span *slab);
size_t slab_dirty_pages(const struct span *slab);

/* Verifies the record against the bitmap; traps if they disagree. */
void slab_check(const struct span *slab);

/* What is the same for all blocks of a class that go home. Loaded once: for all that the compiler
 * knows a bitmap's words might be where it is kept. */
struct way_home {
    unsigned class;
    uint32_t reciprocal;
    size_t slab_bytes;
    uintptr_t secret;
};

ALWAYS_INLINE struct way_home way_home(unsigned class)
{
    return (struct way_home){class, class_reciprocal_table[class], class_slab_bytes(class),
                             block_secret};
}

/* Takes blocks home from the head of the chain, the first one and those after it that are of this
 * slab, too, and returns the last of them. Ends the process if one is home already or never was
 * out. */
ALWAYS_INLINE const struct block *slab_put_run(struct span *slab, const struct way_home *way,
                                               struct chain *chain)
{
    const uintptr_t base = slab->base;
    const uint32_t n_carved = slab->slab.n_carved;
    uint64_t *const bitmap = slab->slab.bitmap;
    const struct block *last;
    size_t n = chain->n;
    do {
        last = chain->head;
        chain->head = block_next_by(last, way->secret, class_bytes(way->class));
        __builtin_prefetch(chain->head);
        unsigned index = class_index_by(way->reciprocal, (uint32_t)((uintptr_t)last - base));
        if (UNLIKELY(index >= n_carved))
            panic("free of a pointer that is no block", last, class_bytes(way->class));
        uint64_t *word = &bitmap[index / 64];
        uint64_t bit = UINT64_C(1) << index % 64;
        if (UNLIKELY((*word & bit) != 0))
            panic("double free", last, class_bytes(way->class));
        *word |= bit;
        n--;
    } while (n > 0 && (uintptr_t)chain->head - base < way->slab_bytes);
    slab->slab.n_out -= (uint16_t)(chain->n - n);
    chain->n = n;
    return last;
}

ALWAYS_INLINE bool slab_is_empty(const struct span *slab)
{
    return slab->slab.n_out == 0;
}

/* Whether every carved block is out. */
ALWAYS_INLINE bool slab_has_free(const struct span *slab)
{
    return slab->slab.n_out < slab->slab.n_carved;
}

ALWAYS_INLINE bool slab_has_fresh(const struct span *slab)
{
    return slab->slab.n_carved < slab->slab.n_blocks;
}

ALWAYS_INLINE bool slab_has_blocks(const struct span *slab)
{
    return slab_has_free(slab) || slab_has_fresh(slab);
}

#endif
