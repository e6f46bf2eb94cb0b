/* SPDX-License-Identifier: MIT */
/*
 * A free block, and chains of them.
 *
 * The two words of a free block are a sealed link: where the next one is, and a seal that only
 * this process can make for this block and this next one. A block is sealed whenever it is free,
 * wherever it waits (bin, magazine, outbox, inbox, slab), and its seal is checked and cleared when
 * it is handed out. So a link that somebody wrote over is never followed, and a block that was
 * freed twice is handed out once: the second time its seal is gone.
 *
 * The low bits of the secret are never all zero while those of addresses are: a cleared seal (0) is
 * never valid, and neither is that of block_end, the end of every chain. An empty bin therefore
 * needs no test of its own: its pop fails the check.
 *
 * A seal may have marks, of which secrets know nothing: a block so marked cannot be popped by the
 * fast path either, and whoever takes it learns that it was chosen (heap/sample.h).
 */
#ifndef POOLALLOC_MEM_BLOCK_H
#define POOLALLOC_MEM_BLOCK_H

#include "base/compiler.h"

#include <stdbool.h>

struct block {
    struct block *next;
    uintptr_t seal;
};

/* n blocks of one class, head to tail; the tail's next is block_end. n == 0: no blocks. */
struct chain {
    struct block *head;
    struct block *tail;
    size_t n;
};

/* That for the profile is a number: 1 and the level it was made at (heap/sample.c). Marks are of
 * the bits that addresses do not have, or a link to a neighbour would be as good as one that is
 * marked. */
enum { MARK_PROFILE_ONE = 2, MARK_PROFILE = 6, MARK_GUARD = 8, MARKS = MARK_PROFILE | MARK_GUARD };

extern const struct block block_end; /* zeroes */
#define BLOCK_END ((struct block *)&block_end)

/* [const] after block_secret_init, which the first heap's making calls. */
extern uintptr_t block_secret;

void block_secret_init(uint64_t random_bits);

ALWAYS_INLINE void block_link(struct block *block, struct block *next, uintptr_t secret)
{
    block->next = next;
    block->seal = (uintptr_t)next ^ (uintptr_t)block ^ secret;
}

ALWAYS_INLINE bool block_is_sealed(const struct block *block, const struct block *next,
                                   uintptr_t secret)
{
    return (block->seal ^ (uintptr_t)next ^ (uintptr_t)block) == secret;
}

/* What is wrong with its seal: nothing, or marks, or whatever somebody wrote over it. With a copy
 * of block_secret, for loops whose stores might be to that, for all that the compiler knows. */
ALWAYS_INLINE uintptr_t block_flaw_by(const struct block *block, uintptr_t secret)
{
    return block->seal ^ (uintptr_t)block->next ^ (uintptr_t)block ^ secret;
}

ALWAYS_INLINE uintptr_t block_flaw(const struct block *block)
{
    return block_flaw_by(block, block_secret);
}

/* With marks or without. */
ALWAYS_INLINE bool block_is_free(const struct block *block)
{
    return (block_flaw(block) & ~(uintptr_t)MARKS) == 0;
}

ALWAYS_INLINE void block_mark(struct block *block, unsigned marks)
{
    block->seal ^= marks & ~block_flaw(block);
}

/* The block is free. */
ALWAYS_INLINE unsigned block_marks_take(struct block *block)
{
    unsigned marks = (unsigned)block_flaw(block);
    block->seal ^= marks;
    return marks;
}

/* Ends the process: a free block does not hold what we wrote into it. */
NORETURN COLD void block_corrupted(const struct block *block, size_t class_bytes);

/* The block after `block` in a chain; never returns a link that was written over. */
ALWAYS_INLINE struct block *block_next_by(const struct block *block, uintptr_t secret,
                                          size_t class_bytes)
{
    if (UNLIKELY((block_flaw_by(block, secret) & ~(uintptr_t)MARKS) != 0))
        block_corrupted(block, class_bytes);
    return block->next;
}

ALWAYS_INLINE struct block *block_next_checked(const struct block *block, size_t class_bytes)
{
    return block_next_by(block, block_secret, class_bytes);
}

/* Blocks from this one to the end of its chain. A chain that has no end is corrupted, too: a block
 * that is freed twice can close a ring, every link of which holds. */
size_t block_count(const struct block *block, size_t class_bytes);

/* Appends to a chain that is being built; chain_close ends it. */
ALWAYS_INLINE void chain_append(struct chain *chain, struct block *block)
{
    if (chain->n++ == 0)
        chain->head = block;
    else
        block_link(chain->tail, block, block_secret);
    chain->tail = block;
}

ALWAYS_INLINE void chain_close(struct chain *chain)
{
    if (chain->n > 0)
        block_link(chain->tail, BLOCK_END, block_secret);
}

#endif
