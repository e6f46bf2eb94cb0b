/* SPDX-License-Identifier: MIT */
/*
 * Heap blocks and what is known of them, for the tests of heap/: whoever has a block checks on
 * every step that it still holds what was written.
 */
#ifndef MODEL_H
#define MODEL_H

#include "heap/alloc.h"
#include "unit.h"

struct model_block {
    char *p; /* NULL: none */
    size_t bytes;
    uint64_t seed;
};

/* A random step with one block: if there is none it is made, else it is resized or freed. Sizes are
 * at most `limit`. False: there was no memory, the block is as it was. */
bool model_step(struct model_block *block, struct random *random, size_t limit);

void model_free(struct model_block *block);

/* This thread's heap. */
struct heap *my_heap(void);

/* Gives this thread a heap. */
void attach(void);

/* The heap of that number is parked, and whole. */
void check_parked(uint32_t number);

/* Blocks in its inbox. */
size_t inbox_count(uint32_t number, unsigned class);

uint32_t owner_of(const void *p);

/* Slabs and large blocks: what the arena has given out and not got back. */
size_t arena_bytes_in_use(void);

/* Allocations less frees of all heaps, of this class. */
uint64_t live_blocks(unsigned class);

#endif
