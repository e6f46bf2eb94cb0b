/* SPDX-License-Identifier: MIT */
/*
 * Inbox: where other threads leave blocks for a heap, one a class.
 *
 * State: one word, the head of a chain of sealed blocks and their number; 0 when empty. The chain
 * ends in BLOCK_END.
 *
 *   I1 push, any thread: link my chain's tail to the head just read, then swing the word to my
 *      head and the sum of the numbers                               [release CAS, retried]
 *   I2 take, the holder of the heap's lock: swap in 0, the whole chain is mine
 *                                                                    [acquire exchange]
 *
 * Ownership: before I1 the blocks are the pusher's (a chain of its own, tail included: writing the
 * link of a chain that is not published races with nobody), between I1 and I2 nobody's, after I2
 * the taker's. The release of I1 pairs with the acquire of I2, through other pushers'
 * read-modify-writes too (a release sequence), so that the taker sees every link.
 *
 * No ABA: nobody ever reads a block that is in the inbox. I1 uses the old head as a value only; if
 * it was taken and came back in between, linking to it is right again, because it is the head
 * again.
 *
 * Progress: I2 is wait-free; I1 is lock-free, retried only when another push or take succeeded.
 *
 * The number saturates: a chain of 2^20 - 1 or more is counted when it is taken.
 * A block may belong to a slab that has moved to another heap since: the taker may hand it out all
 * the same; it is sent on when it would go home to a slab (heap/flush.c).
 * Fork: the word is always whole. A chain its pusher had not published is lost in the child, like
 * everything that pusher had.
 *
 * Tests: tests/unit/test_inbox.c, tests/race/race_inbox.c, tests/models/model_inbox.c.
 */
#ifndef POOLALLOC_MEM_INBOX_H
#define POOLALLOC_MEM_INBOX_H

#include "base/atomic.h"
#include "base/bits.h"
#include "mem/block.h"

enum { INBOX_COUNT_BITS = 20, INBOX_COUNT_MAX = (1 << INBOX_COUNT_BITS) - 1 };

struct inbox {
    _Atomic uint64_t word; /* address / 16 above, number below */
};

ALWAYS_INLINE uint64_t inbox_pack(const struct block *head, size_t n)
{
    return (uint64_t)(uintptr_t)head >> 4 << INBOX_COUNT_BITS | min_size(n, INBOX_COUNT_MAX);
}

ALWAYS_INLINE struct block *inbox_head(uint64_t word)
{
    return word == 0 ? BLOCK_END : (struct block *)(uintptr_t)(word >> INBOX_COUNT_BITS << 4);
}

ALWAYS_INLINE bool inbox_is_empty(const struct inbox *inbox)
{
    return atomic_get_relaxed(&inbox->word) == 0;
}

/* As of some moment; it may be more where it saturates. */
ALWAYS_INLINE size_t inbox_n_blocks(const struct inbox *inbox)
{
    return atomic_get_relaxed(&inbox->word) & INBOX_COUNT_MAX;
}

/* I1. The chain's tail need not be linked. */
static inline void inbox_push(struct inbox *inbox, const struct chain *chain)
{
    uint64_t seen = atomic_get_relaxed(&inbox->word);
    uint64_t wanted;
    do {
        block_link(chain->tail, inbox_head(seen), block_secret);
        wanted = inbox_pack(chain->head, chain->n + (seen & INBOX_COUNT_MAX));
    } while (!atomic_try_release(&inbox->word, &seen, wanted));
}

/* I2. The chain's tail is not set: nobody needs it. */
static inline struct chain inbox_take(struct inbox *inbox, size_t class_bytes)
{
    struct chain chain = {BLOCK_END, NULL, 0};
    if (inbox_is_empty(inbox))
        return chain;
    uint64_t word = atomic_swap_acquire(&inbox->word, 0);
    chain.head = inbox_head(word);
    chain.n = word & INBOX_COUNT_MAX;
    if (UNLIKELY(chain.n == INBOX_COUNT_MAX))
        chain.n = block_count(chain.head, class_bytes);
    return chain;
}

#endif
