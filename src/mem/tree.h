/* SPDX-License-Identifier: MIT */
/*
 * The free spans ordered by (size, address), for best fit with the lowest address first.
 *
 * A treap: a search tree by key and a heap by a pseudo-random rank of the address, so that its
 * shape depends on its contents alone and it is balanced in expectation. The caller holds the arena
 * lock.
 */
#ifndef POOLALLOC_MEM_TREE_H
#define POOLALLOC_MEM_TREE_H

#include "mem/span.h"

struct tree {
    struct span *root;
};

void tree_insert(struct tree *tree, struct span *span);
void tree_remove(struct tree *tree, struct span *span);

/* The least span with (size, address) at least (n_pages, base), or NULL. */
struct span *tree_at_least(const struct tree *tree, uint32_t n_pages, uintptr_t base);

/* The greatest of all, or NULL. */
struct span *tree_last(const struct tree *tree);

#endif
