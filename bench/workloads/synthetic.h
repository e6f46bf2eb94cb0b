/* SPDX-License-Identifier: MIT */
/*
 * The synthetic workloads: what a malloc library is known to be good or bad at, one pattern each.
 * Their table is in synthetic.c; here is what they share, which is blocks that notice when
 * something else was written over them.
 */
#ifndef POOLALLOC_BENCH_SYNTHETIC_H
#define POOLALLOC_BENCH_SYNTHETIC_H

#include "../workload.h"

#include <stdlib.h>

/* synthetic_single.c */
void run_pairs(void);
void run_batches(void);
void run_mixed_sizes(void);
void run_random_replacement(void);

/* synthetic_passing.c */
void run_passing_one_way(void);
void run_passing_all_to_all(void);

/* synthetic_threads.c */
void run_server_handover(void);
void run_short_threads(void);
void run_idle_threads(void);

/* synthetic_large.c */
void run_growing_arrays(void);
void run_large_blocks(void);

/* synthetic_burst.c */
void run_burst_then_idle(void);
void run_burst_then_idle_working(void);

/* synthetic_memory.c */
void run_phases(void);
void run_fragmentation(void);
void run_thread_turns(void);

/* synthetic_sharing.c */
void run_false_sharing_active(void);
void run_false_sharing_passive(void);

/* synthetic_latency.c */
void run_latency(void);

/* ---- stamped blocks ---- */

enum {
    CACHE_LINE_BYTES = 64,
    PAGE_BYTES = 4096,
    BLOCK_BYTES_MIN = 16,
};

/*
 * First in each block. The low byte of the key is repeated in the last byte, and in one byte of
 * each page between, which a block in use would have touched. Two blocks that overlap, or one that
 * is given out twice, lose one or the other, as long as their keys differ.
 */
struct block {
    uint32_t n_bytes;
    uint32_t key;
};

_Static_assert(sizeof(struct block) < BLOCK_BYTES_MIN, "the last byte is not part of the header");

static inline struct block *block_stamp(void *memory, uint32_t n_bytes, uint32_t key)
{
    struct block *block = memory;
    unsigned char *bytes = memory;
    for (size_t at = PAGE_BYTES; at < n_bytes; at += PAGE_BYTES) {
        bytes[at] = (unsigned char)key;
    }
    bytes[n_bytes - 1] = (unsigned char)key;
    *block = (struct block){.n_bytes = n_bytes, .key = key};
    return block;
}

static inline struct block *block_make(uint32_t n_bytes, uint32_t key)
{
    return block_stamp(take(n_bytes), n_bytes, key);
}

static inline void block_check(const struct block *block, uint32_t key)
{
    const unsigned char *bytes = (const unsigned char *)block;
    bool is_whole = block->key == key && bytes[block->n_bytes - 1] == (unsigned char)key;
    for (size_t at = PAGE_BYTES; is_whole && at < block->n_bytes; at += PAGE_BYTES) {
        is_whole = bytes[at] == (unsigned char)key;
    }
    if (!is_whole) {
        child_fail("synthetic: a block's bytes changed");
    }
}

static inline void block_free(struct block *block, uint32_t key)
{
    block_check(block, key);
    free(block);
}

/* Of 20 blocks 16 are of least..128 bytes, 3 of 129..1024, 1 of 1025..4096. */
static inline uint32_t draw_small_size(uint64_t *random, uint32_t least)
{
    uint32_t kind = random_below(random, 20);
    if (kind < 16) {
        return random_between(random, least, 128);
    }
    if (kind < 19) {
        return random_between(random, 129, 1024);
    }
    return random_between(random, 1025, 4096);
}

#endif
