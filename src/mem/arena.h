/* SPDX-License-Identifier: MIT */
/*
 * The arena: supplies runs of pages for slabs and large blocks, and gives memory back to the
 * kernel.
 *
 * Regions are mapped in growing steps, unmapped only when address space is short, and cut into
 * spans. Direct blocks have mappings of their own, and join the arena when they are freed, if they
 * fit. A free span merges with free neighbours; the smallest that fits is taken, lowest address
 * first. Which pages may hold something else than zeroes is known page by page (map.h), so fresh
 * memory is never cleared again and what is held back from the kernel is known exactly.
 *
 * Giving back: free spans with touched pages wait in the order they became free. The oldest are
 * discarded (MADV_DONTNEED) when they are older than purge_ms, or when together they hold more than
 * dirty_bytes, dirty_percent of what is in use, and what was discarded and needed again lately.
 * Below a soft limit at most what fits is held back, and a hard limit refuses spans (limit.h).
 * That happens in whatever thread gives a span, or looks at its bins often enough, with the lock
 * released around the system call: the span is SPAN_PURGING then, and neighbours leave it alone.
 *
 * All functions may be called from any thread and take the arena lock themselves.
 * Deliberately not here: what the pages are used for (slab.h, large.h), caching (heap/).
 */
#ifndef POOLALLOC_MEM_ARENA_H
#define POOLALLOC_MEM_ARENA_H

#include "mem/free_spans.h"
#include "os/lock.h"

struct arena_stats {
    size_t mapped_bytes; /* regions */
    size_t mapped_peak_bytes;
    size_t space_peak_bytes; /* the same, of regions and direct blocks */
    size_t n_free_spans;
    size_t n_free_spans_of_size[N_SPAN_SIZES]; /* as in free_spans.h */
    size_t free_bytes;                         /* of them, in no slab and no large block */
    size_t free_largest_bytes;
    size_t dirty_bytes; /* of the free ones, not given back to the kernel */
    size_t slab_bytes;
    size_t large_bytes;  /* in large blocks, direct ones included */
    size_t direct_bytes; /* in direct blocks */
    size_t n_direct;
    size_t used_peak_bytes; /* in slabs and large blocks */
    uint64_t n_large_allocs;
    uint64_t n_large_frees;
    uint64_t n_purges;
    uint64_t purged_bytes;
    uint64_t n_pages_kept;   /* touched pages that were used again: what holding them back saved */
    uint64_t n_pages_missed; /* pages needed again soon after they were given back */
};

/* With so many bytes more in use there would be more than the hard limit (limit.h) allows. A look
 * without the lock: a guess, where others come and go. */
bool arena_refuses(enum span_kind kind, size_t bytes);

/* In slabs and large blocks, for who wants to know without the lock. Changes under it. */
extern _Atomic size_t arena_used_bytes;

/* A run of n_pages, its base a multiple of align_pages pages; NULL when there is no memory. The
 * kind is SPAN_SLAB or SPAN_LARGE. was_zero tells whether all of it reads as zero. */
struct span *arena_take(enum span_kind kind, size_t n_pages, size_t align_pages);

/* The same out of what is free already, or NULL. */
struct span *arena_take_free(enum span_kind kind, size_t n_pages, size_t align_pages);

/* Back to the arena; pages beyond the first n_touched are as they were when taken. */
void arena_give(struct span *span, size_t n_touched);

/* Makes a large block longer or shorter where it is. False: what follows is in use. */
bool arena_resize(struct span *span, size_t n_pages);

/* The span of the large block that begins at p, or NULL when none does. */
struct span *arena_large_at(const void *p);

/* The same for a caller that may hold the lock itself: NULL also when it is not had soon. */
struct span *arena_large_at_soon(const void *p);

/* What a large block's entry says (ledger.h), and how long the block is. False: none begins there,
 * or the lock was not had. */
struct large_view {
    uint64_t what;
    uint64_t who;
    size_t bytes;
};
bool arena_large_word(const void *p, lock_taker *taker, struct large_view *view);

/* From the one word to the other. False: there is no such block any more, or it says something
 * else. */
bool arena_large_change(const void *p, uint64_t from, uint64_t to);

/* A large block with a mapping of its own; zeroed, of course. */
struct span *arena_take_direct(size_t bytes, size_t align_bytes);

/* Makes it longer or shorter, moving its pages elsewhere if need be, never copying. False: nothing
 * changed. */
bool arena_resize_direct(struct span *span, size_t bytes);

/* Frees the large block that begins at p, of either kind. False: none does. */
bool arena_free_large(void *p);

/* Lets go of free address space too. For when no more can be had. */
void arena_unmap_free(void);

/* Makes the pages of a new large block read as zero without writing to them. False: they do not. */
bool arena_zero(struct span *span);

/* The same by writing, to those that were touched before. */
void arena_clear(struct span *span);

uint64_t arena_purged_bytes(void);

/* So many pages went back that are not free: of slabs. */
void arena_note_purged(size_t n_pages);

/* Discards all free pages now, or those whose time has come. True: some memory went back. */
bool arena_purge_all(void);

/* All but `bytes` of them. */
bool arena_purge_down_to(size_t bytes);
void arena_purge_due(void);

/* Free pages are held back from the kernel. */
bool arena_is_dirty(void);

void arena_get_stats(struct arena_stats *stats);

/* False: the lock was not had. */
bool arena_try_stats(struct arena_stats *stats, lock_taker *taker);

/* Verifies every invariant; traps on the first that does not hold. For tests and debug builds. */
void arena_check(void);

/* For what other modules of mem/ keep under the lock, and around forks. */
void arena_lock(void);
void arena_unlock(void);

void arena_fork_child(void);

/* In a child of a fork that ran no handlers. If the lock is held, its holder is not here and free
 * spans may be half linked: they are given up. */
void arena_fork_unnoticed(void);

#endif
