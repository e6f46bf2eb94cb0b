/* SPDX-License-Identifier: MIT */
/*
 * Quarantine: freed blocks that a heap holds back for a while, when blocks are checked (checked.h),
 * so that a write through a stale pointer hits no new owner and is found. They leave in random
 * order, when they are more than the options say; of large ones 1,024 are held at most. A block's
 * record takes 16 bytes.
 *
 * A heap's own: [owner], like its bins. Blocks of other heaps may be in it.
 */
#ifndef POOLALLOC_HEAP_HELD_H
#define POOLALLOC_HEAP_HELD_H

#include "base/compiler.h"

#include <stdbool.h>

struct heap;
struct held;

enum { HELD_OUT_MAX = 8 };

/* Blocks that leave. What is over the limit leaves a few at a time. */
struct held_out {
    size_t n;
    void *blocks[HELD_OUT_MAX];
};

/* Takes in a block of a class, or a large one, of so many bytes; and says which leave instead. */
void held_put(struct heap *heap, void *block, size_t bytes, struct held_out *out);
void held_put_large(struct heap *heap, void *block, size_t bytes, struct held_out *out);

/* Some that leave in any case, large ones or others; n is 0 when there are no more. */
void held_take(struct heap *heap, struct held_out *out);

/* Each block that is held, but for large ones. */
typedef void held_call(void *block);
void held_see(const struct heap *heap, held_call *see);

/* A number that nobody can guess. */
uint64_t held_random(struct heap *heap);

#endif
