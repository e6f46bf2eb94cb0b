/* SPDX-License-Identifier: MIT */
/*
 * Bump allocation: the public arena. ("Arena" in mem/ is the supply of spans.)
 *
 * Chunks are blocks of the heap, in a list in the order they are filled. Those after the current
 * one are empty, kept from before a reset. What is to be done when memory ends is a list of
 * clean-ups, newest first; a child arena is one of them in its parent, so that one order holds for
 * both. Each has a serial number that rises along the list, and a mark remembers which was the last
 * given out.
 *
 * Ending a tree of arenas never recurses: end_until goes down to a child by its clean-up, up by
 * `parent`.
 *
 * An arena is one thread's at a time; only the figures marked [atomic] are read by others, and are
 * as of the last change of chunk.
 */
#ifndef POOLALLOC_OBJECTS_BUMP_H
#define POOLALLOC_OBJECTS_BUMP_H

#include "base/bits.h"
#include "objects/registry.h"
#include "poolalloc.h"

enum { BUMP_ALIGN = 16, BUMP_FIRST_BYTES = 4096, BUMP_CHUNK_MAX_BYTES = 1 << 20 };

struct bump_chunk {
    struct bump_chunk *next;
    size_t bytes; /* with this head, a multiple of BUMP_ALIGN */
};

_Static_assert(sizeof(struct bump_chunk) % BUMP_ALIGN == 0, "what follows it is aligned");

/* Of a clean-up in the arena's own memory, or of a child in the child's record. */
struct bump_ending {
    struct bump_ending *older;
    struct bump_ending *newer;
    uint64_t serial;
    void (*run)(void *); /* NULL: it is a child's */
    void *argument;
};

struct poolalloc_arena {
    char *at; /* the next free byte of the current chunk */
    char *end;
    struct bump_chunk *current;
    struct bump_chunk *first;
    size_t full_bytes; /* in pieces of the chunks before the current one */
    size_t peak_bytes; /* without what the current chunk has now */
    size_t next_bytes; /* of the next chunk */
    size_t max_bytes;
    struct bump_ending *newest;
    uint64_t serial; /* of the last ending registered */
    struct poolalloc_arena *parent;
    struct bump_ending as_child; /* in the parent's list */
    _Atomic size_t bytes;        /* [atomic] in chunks */
    _Atomic size_t noted_bytes;  /* [atomic] in pieces */
    _Atomic size_t noted_peak;   /* [atomic] */
    _Atomic uint64_t n_failures; /* [atomic] */
    struct object object;
};

void *bump_alloc_slow(poolalloc_arena *arena, size_t align, size_t bytes);

poolalloc_arena *bump_create(poolalloc_arena *parent,
                             const struct poolalloc_arena_options *options);
void bump_destroy(poolalloc_arena *arena);
void bump_reset(poolalloc_arena *arena);
size_t bump_trim(poolalloc_arena *arena);
void *bump_calloc(poolalloc_arena *arena, size_t n, size_t each);
void *bump_memdup(poolalloc_arena *arena, size_t align, const void *from, size_t bytes);
char *bump_printf(poolalloc_arena *arena, const char *format, va_list arguments)
    POOLALLOC_PRINTF(2, 0);
poolalloc_mark bump_mark(const poolalloc_arena *arena);
int bump_release(poolalloc_arena *arena, poolalloc_mark mark);
int bump_on_end(poolalloc_arena *arena, void (*run)(void *), void *argument);
void bump_get_stats(const poolalloc_arena *arena, struct poolalloc_arena_stats *stats);

/* align is a power of two. */
ALWAYS_INLINE void *bump_alloc_aligned(poolalloc_arena *arena, size_t align, size_t bytes)
{
    uintptr_t start = round_up((uintptr_t)arena->at, align);
    uintptr_t end = (uintptr_t)arena->end;
    if (UNLIKELY(start > end || bytes > end - start))
        return bump_alloc_slow(arena, align, bytes);
    arena->at = (char *)start + bytes;
    return (void *)start;
}

/* The same for any align at all. */
ALWAYS_INLINE void *bump_alloc_checked(poolalloc_arena *arena, size_t align, size_t bytes)
{
    if (UNLIKELY(!is_power_of_two(align)))
        return bump_alloc_slow(arena, align, bytes); /* says what is wrong */
    return bump_alloc_aligned(arena, align, bytes);
}

/* The ends of chunks are aligned: rounding up never goes beyond. */
ALWAYS_INLINE void *bump_alloc(poolalloc_arena *arena, size_t bytes)
{
    uintptr_t start = round_up((uintptr_t)arena->at, BUMP_ALIGN);
    if (UNLIKELY(bytes > (uintptr_t)arena->end - start))
        return bump_alloc_slow(arena, BUMP_ALIGN, bytes);
    arena->at = (char *)start + bytes;
    return (void *)start;
}

#endif
