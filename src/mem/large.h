/* SPDX-License-Identifier: MIT */
/*
 * Large blocks: more than CLASS_MAX_BYTES, or an alignment that slabs cannot give.
 *
 * Whole pages of the arena, best fit. Where nothing free fits, blocks from direct_bytes on, and
 * those of a MiB or more that must move to grow, get a mapping of their own, which grows by mremap. Any thread; no lock held.
 */
#ifndef POOLALLOC_MEM_LARGE_H
#define POOLALLOC_MEM_LARGE_H

#include "mem/span.h"

/* NULL when there is no memory. align_bytes is a power of two. */
void *large_alloc(size_t bytes, size_t align_bytes);
void *large_alloc_zeroed(size_t bytes);

/* False: no large block begins at p. */
bool large_free(void *p);

/* The block resized, perhaps elsewhere; NULL: no memory, or better served by a smaller kind of
 * block; the old one is untouched then. */
void *large_realloc(struct span *span, size_t bytes);

#endif
