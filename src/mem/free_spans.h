/* SPDX-License-Identifier: MIT */
/*
 * The arena's free spans: found by size, by neighbourhood and by age; merged and cut. And the spare
 * records that describe spans.
 *
 * Everything here runs under the arena's lock.
 */
#ifndef POOLALLOC_MEM_FREE_SPANS_H
#define POOLALLOC_MEM_FREE_SPANS_H

#include "mem/span.h"
#include "mem/tree.h"

enum { SPAN_PAGES_MAX = INT32_MAX, N_SPAN_SIZES = 20 };

struct free_spans {
    struct tree tree;
    struct span *oldest; /* those with touched pages, by the time they became free */
    struct span *newest;
    struct span *spares; /* linked by .newer */
    size_t n_spares;
    size_t n_spans; /* in the tree */
    size_t free_pages;
    size_t dirty_pages;             /* of them, touched */
    size_t n_by_size[N_SPAN_SIZES]; /* of 1, 2 to 3, 4 to 7 pages and so on; the last: and more */
    bool no_merging;
};

extern struct free_spans free_spans;

/* Records at hand for a cut, or for a span made out of nothing. False: there is no memory. */
bool spares_fill(void);
struct span *spare_get(void);
void spare_put(struct span *span);

/* The map finds a span by its first and its last page. What is found may be a record that is used
 * for something else by now. */
void span_register(struct span *span);
struct span *span_registered(uintptr_t address);

/* Makes it a free span, joined with its free neighbours. base, n_pages, n_touched and freed_ms are
 * set. */
void free_merge_and_insert(struct span *span);

/* Cuts [base, end) out of a free span, which becomes the record of just that; the rest stays free.
 * Returns how many of the pages cut out are touched. */
size_t free_cut(struct span *span, uintptr_t base, uintptr_t end);

/* Pages of the largest of them; 0: there is none. */
size_t free_largest(void);

/* The free span that begins there, or NULL. */
struct span *free_neighbour_after(uintptr_t end);

/* Forgets all free spans and spares. They cannot be told from new ones in the map, so none is
 * merged from then on. */
void free_spans_give_up(void);

/* Traps unless everything agrees with everything. */
void free_spans_check(void);

#endif
