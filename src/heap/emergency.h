/* SPDX-License-Identifier: MIT */
/*
 * malloc and free for a signal handler that interrupted this very thread inside (heap.h), where
 * every lock may be held by the thread itself.
 *
 * Blocks come from a small static area, one after the other; their sizes are kept apart from them.
 * The state is one word: bytes used and blocks that live; the free of the last of these empties the
 * area. Whatever a handler frees that is not from there is put off, on a stack that the next free
 * outside of one takes whole: nobody follows its links before, so there is no ABA. They are sealed,
 * as all links are.
 *
 * Both by compare-and-swap, lock-free; any thread, any number of them.
 * Tests: tests/unit/test_emergency.c, tests/loader/signals.c, tests/models/model_emergency.c.
 */
#ifndef POOLALLOC_HEAP_EMERGENCY_H
#define POOLALLOC_HEAP_EMERGENCY_H

#include "base/atomic.h"
#include "mem/block.h"

/* NULL: the area is used up. */
void *emergency_alloc(size_t bytes, size_t align);

bool emergency_owns(const void *p);

/* 0: p is not of the area. */
size_t emergency_usable_size(const void *p);

/* False: p is not of the area. */
bool emergency_free_own(void *p);

/* Of the area or not; p is not NULL. */
void emergency_free(void *p);

extern _Atomic(struct block *) emergency_put_off;

ALWAYS_INLINE bool emergency_has_put_off(void)
{
    return atomic_get_relaxed(&emergency_put_off) != NULL;
}

/* All that was put off: the first; NULL: none. And the one after a block, which is no longer put
 * off then; NULL: it was the last. */
struct block *emergency_put_off_take(void);
struct block *emergency_put_off_next(struct block *block);

#endif
