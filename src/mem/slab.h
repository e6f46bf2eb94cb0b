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

/* Moves up to `max` free blocks, lowest address first, to the end of `chain`. */
void slab_take_free(struct span *slab, struct chain *chain, size_t max);

/* The same with blocks that were never used. */
void slab_carve(struct span *slab, struct chain *chain, size_t max);

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

ALWAYS_INLINE void slab_put(struct span *slab, unsigned class, const struct block *block,
                            uintptr_t offset)
{
    unsigned index = class_index_of_offset(class, (uint32_t)offset);
    if (UNLIKELY(index >= slab->slab.n_carved))
        panic("free of a pointer that is no block", block, class_bytes(class));
    uint64_t *word = &slab->slab.bitmap[index / 64];
    uint64_t bit = UINT64_C(1) << index % 64;
    if (UNLIKELY((*word & bit) != 0))
        panic("double free", block, class_bytes(class));
    *word |= bit;
    slab->slab.n_out--;
}

/* Takes blocks home from the head of the chain, the first one and those after it that are of this
 * slab, too, and returns the last of them. Ends the process if one is home already or never was
 * out. */
ALWAYS_INLINE const struct block *slab_put_run(struct span *slab, unsigned class,
                                               struct chain *chain)
{
    uintptr_t offset = (uintptr_t)chain->head - slab->base;
    const struct block *last;
    do {
        last = chain->head;
        struct block *next = block_next_checked(last, class_bytes(class));
        __builtin_prefetch(next);
        slab_put(slab, class, last, offset);
        offset = (uintptr_t)next - slab->base;
        chain->head = next;
        chain->n--;
    } while (chain->n > 0 && offset < class_slab_bytes(class));
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
