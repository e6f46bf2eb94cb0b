/* SPDX-License-Identifier: MIT */
/*
 * Large blocks: of more than CLASS_MAX_BYTES; with an alignment that slabs cannot give; and from
 * SMALL_MAX_BYTES on what realloc has made longer and may again, and all in the checked mode.
 *
 * Whole pages of the arena, best fit. Where nothing free fits, blocks from direct_bytes on, and
 * those of a MiB or more that must move to grow, get a mapping of their own, which grows by mremap.
 * Any thread; no lock held.
 */
#ifndef POOLALLOC_MEM_LARGE_H
#define POOLALLOC_MEM_LARGE_H

#include "mem/span.h"

/* What a block of so many bytes has room for; 0: there can be none. */
size_t large_usable(size_t bytes);

/* NULL when there is no memory. align_bytes is a power of two. */
void *large_alloc(size_t bytes, size_t align_bytes);
void *large_alloc_zeroed(size_t bytes);

/* Puts a new block into a group, which has counted it already. */
void large_join_group(void *p, struct group *group);

/* False: no large block begins at p. */
bool large_free(void *p);

/* The block resized, perhaps elsewhere, in the group it was in; NULL: no memory, or better served
 * by a smaller kind of block; the old one is untouched then. */
void *large_realloc(struct span *span, size_t bytes);

/* ---- for the checked mode ---- */

/* From then on there are guarded blocks, so many at once at most: each takes two mappings. */
void large_guards_begin(size_t max);

/* A mapping of its own whose last page is a guard: any access there faults. NULL: none is to be
 * had, but large_alloc may have memory. */
struct span *large_take_guarded(size_t bytes, size_t align_bytes);

/* As large_free, of such a block. */
void large_free_guarded(void *p);

/* What the program may use of it. */
size_t large_bytes(const struct span *span);

/* All of a guarded block becomes a guard, and its memory goes to the kernel; it is still to be
 * freed. */
void large_hide(const struct span *span);

#endif
