/* SPDX-License-Identifier: MIT */
/*
 * Heaps, as poolalloc.h describes them: groups (heap/group.c) with a name and figures. Any thread.
 */
#ifndef POOLALLOC_OBJECTS_HEAPS_H
#define POOLALLOC_OBJECTS_HEAPS_H

#include "heap/heap.h"
#include "objects/registry.h"
#include "poolalloc.h"

struct poolalloc_heap {
    struct heap *heap; /* [const] the group's */
    _Atomic uint64_t n_failures;
    struct object object;
};

poolalloc_heap *heaps_create(const struct poolalloc_heap_options *options);
size_t heaps_destroy(poolalloc_heap *heap);
void *heaps_alloc(poolalloc_heap *heap, size_t bytes);
void *heaps_calloc(poolalloc_heap *heap, size_t n, size_t each);
void *heaps_realloc(poolalloc_heap *heap, void *p, size_t bytes);
void *heaps_alloc_aligned(poolalloc_heap *heap, size_t align, size_t bytes);
size_t heaps_trim(poolalloc_heap *heap);
void heaps_get_stats(const poolalloc_heap *heap, struct poolalloc_heap_stats *stats);

#endif
