/* SPDX-License-Identifier: MIT */
#include "mem/tree.h"

#include "base/check.h"

static bool key_less(const struct span *span, uint32_t n_pages, uintptr_t base)
{
    return span->n_pages != n_pages ? span->n_pages < n_pages : span->base < base;
}

static uint64_t rank(const struct span *span)
{
    return mix_bits(span->base);
}

void tree_insert(struct tree *tree, struct span *span)
{
    struct span **link = &tree->root;
    while (*link != NULL && rank(*link) >= rank(span))
        link =
            key_less(*link, span->n_pages, span->base) ? &(*link)->free.right : &(*link)->free.left;
    struct span *below = *link;
    *link = span;
    /* Unzip what was here: its smaller keys to our left, its larger ones to our right. */
    struct span **smaller = &span->free.left;
    struct span **larger = &span->free.right;
    while (below != NULL) {
        if (key_less(below, span->n_pages, span->base)) {
            *smaller = below;
            smaller = &below->free.right;
            below = *smaller;
        } else {
            *larger = below;
            larger = &below->free.left;
            below = *larger;
        }
    }
    *smaller = NULL;
    *larger = NULL;
}

void tree_remove(struct tree *tree, struct span *span)
{
    struct span **link = &tree->root;
    while (*link != span) {
        ASSERT(*link != NULL);
        link =
            key_less(*link, span->n_pages, span->base) ? &(*link)->free.right : &(*link)->free.left;
    }
    /* Zip the two sides into one: the higher rank goes first. */
    struct span *smaller = span->free.left;
    struct span *larger = span->free.right;
    while (smaller != NULL && larger != NULL) {
        if (rank(smaller) >= rank(larger)) {
            *link = smaller;
            link = &smaller->free.right;
            smaller = *link;
        } else {
            *link = larger;
            link = &larger->free.left;
            larger = *link;
        }
    }
    *link = smaller != NULL ? smaller : larger;
}

struct span *tree_at_least(const struct tree *tree, uint32_t n_pages, uintptr_t base)
{
    struct span *found = NULL;
    for (struct span *at = tree->root; at != NULL;) {
        if (key_less(at, n_pages, base)) {
            at = at->free.right;
        } else {
            found = at;
            at = at->free.left;
        }
    }
    return found;
}

struct span *tree_last(const struct tree *tree)
{
    struct span *at = tree->root;
    while (at != NULL && at->free.right != NULL)
        at = at->free.right;
    return at;
}
