/* SPDX-License-Identifier: MIT */
/*
 * The fast paths of malloc and free, and the calls below them:
 *
 *   heap_alloc(n)
 *     table: the class's bin -> pop its head, check and clear the seal, count      20 instructions
 *     alloc_slow                       over 4096 bytes, no heap, bin empty, link overwritten
 *       bin_pop                          the first of these, as calloc and aligned blocks at once
 *       emergency_alloc                  in a signal handler, inside already        emergency.c
 *       heap_attach                      gets a heap; or heap_visit, as a guest     thread.c
 *       heap_refill                      magazine, inbox, slab, other's slab, new   refill.c
 *       large_alloc                      over 256 KiB                               mem/large.c
 *
 *   heap_free(p)
 *     map word: mine? class, offset -> a block's start? -> seal and push, count     24 instructions
 *     free_look_at_bin                 the countdown ran out: over the cap?       flush.c
 *     free_slow                        NULL, large, other's, no block, no heap, foreign
 *       emergency_free                   in a signal handler, inside already        emergency.c
 *       heap_free_remote                 a block of another heap                    remote.c
 *       large_free                                                                  mem/large.c
 *
 * The instruction counts are checked by tests/golden.
 */
#ifndef POOLALLOC_HEAP_ALLOC_H
#define POOLALLOC_HEAP_ALLOC_H

#include "heap/heap.h"

void *alloc_slow(size_t bytes);
void free_slow(void *p);

/* The same for C++'s operators, and for calls that say what they think of the block. */
struct freeing;
void *alloc_slow_of(size_t bytes, unsigned family);
void free_slow_as(void *p, const struct freeing *freeing);
void free_look_at_bin(void *p, size_t scaled);

/* As C has calloc and realloc. */
void *heap_calloc(size_t n, size_t each);
void *heap_realloc(void *p, size_t bytes);

/* n bytes that read as zero. */
void *heap_alloc_zeroed(size_t bytes);
void *heap_alloc_aligned(size_t align, size_t bytes);
void *heap_alloc_aligned_of(size_t align, size_t bytes, unsigned family);

/* The same for a call that is not to be sampled for the profile, nor guarded. */
void *heap_alloc_unprofiled(size_t align, size_t bytes);
/* Frees what signal handlers could not. */
void heap_free_put_off(void);

size_t heap_usable_size(void *p);

/* What it would say of a block of so many bytes; 0: there is none. */
size_t heap_good_size(size_t bytes);

/* ---- below all of these: for free.c and checked.c ---- */

extern const char free_of_no_block[];
extern const char free_of_wrong_size[];
extern const char realloc_of_no_block[];
extern const char realloc_of_free[];

/* Into the bin of a heap that the caller has to itself. */
void heap_free_into_bin(struct heap *heap, struct block *block, unsigned class);

/* False, and reported as this fault, unless p can be another allocator's block. */
bool free_is_foreign(const void *p, const char *fault);

/* A block of this class out of the thread's heap, or, as a guest, another's; and back to where it
 * belongs, or into the bins of `heap`, which is the caller's to use. Inside. */
void *heap_take(unsigned class, size_t bytes);
void heap_give(struct block *block, struct place place);
void heap_give_to(struct heap *heap, struct block *block, struct place place);

/* What was tried n times more than once, and found no memory: true: it is worth another try, and
 * the thread is inside again. Every call that would return NULL for want of memory ends here; not
 * inside, with no lock of ours held. */
bool heap_try_again(size_t bytes, unsigned n);

/* The same in a group: what that may not have is not for want of memory. */
bool heap_try_again_in(const struct heap *group, size_t bytes, unsigned n);

/* NULL: no large block begins at p. Inside already, it is not looked for long. */
struct span *heap_large_at(const void *p);

/* Pops the bin's head, or NULL: the bin is empty, or its head's link was written over. */
ALWAYS_INLINE void *bin_pop(struct front *front, struct bin *bin)
{
    struct block *block = bin->head;
    struct block *next = block->next;
    if (UNLIKELY(!block_is_sealed(block, next, front->secret)))
        return NULL;
    bin->head = next; /* first: cut short after it, this loses the block, no more (handler.h) */
    SETTLE(front);
    block->seal = 0;
    counter_increment(&bin->allocs);
    return block;
}

/* The bin `scaled` bytes into the bins. */
ALWAYS_INLINE struct bin *bin_at(struct front *front, size_t scaled)
{
    return (struct bin *)(void *)((char *)front->bins + scaled);
}

/* NULL: alloc_slow has to see to it. */
ALWAYS_INLINE void *heap_alloc_fast(size_t bytes)
{
    struct front *front = atomic_get_relaxed(&front_mine);
    if (UNLIKELY(bytes > CLASS_TABLE_MAX_BYTES))
        return NULL;
    size_t scaled = class_scaled_table[(bytes + BLOCK_ALIGN - 1) / BLOCK_ALIGN];
    return bin_pop(front, bin_at(front, scaled));
}

/* The same for all that has a class. */
ALWAYS_INLINE void *heap_alloc_of_class(size_t bytes)
{
    struct front *front = atomic_get_relaxed(&front_mine);
    return LIKELY(bytes <= CLASS_MAX_BYTES) ? bin_pop(front, &front->bins[class_of(bytes)]) : NULL;
}

ALWAYS_INLINE void *heap_alloc(size_t bytes)
{
    void *p = heap_alloc_fast(bytes);
    return LIKELY(p != NULL) ? p : alloc_slow(bytes);
}

/* False: a slow path has to take over. */
ALWAYS_INLINE bool heap_free_fast(void *p)
{
    struct front *front = atomic_get_relaxed(&front_mine);
    uint64_t x = atomic_get_relaxed(&front->words[map_grain((uintptr_t)p)]);
    x ^= (uintptr_t)p;
    SETTLE(x);
    x ^= front->tag;
    if (UNLIKELY(x >= (uint64_t)N_CLASSES << MAP_CLASS_SHIFT))
        return false;
    uint32_t offset = (uint16_t)x;
    SETTLE(offset);
    size_t scaled = x >> UNIT_SHIFT;
    if (UNLIKELY(!class_is_block_start(bin_at(front, scaled)->reciprocal, offset)))
        return false;
    SETTLE(front);
    struct block *block = p;
    struct block *next = bin_at(front, scaled)->head;
    block->next = next;
    uintptr_t seal = (uintptr_t)next ^ (uintptr_t)block;
    SETTLE(seal);
    block->seal = seal ^ front->secret;
    SETTLE(front);
    bin_at(front, scaled)->head = block;
    SETTLE(front);
    if (UNLIKELY(counter_decrement_below_zero(&bin_at(front, scaled)->left)))
        free_look_at_bin(p, scaled);
    return true;
}

ALWAYS_INLINE void heap_free(void *p)
{
    if (UNLIKELY(!heap_free_fast(p)))
        free_slow(p);
}

#endif
