/* SPDX-License-Identifier: MIT */
/*
 * Span: the record of a run of pages, free or in use.
 *
 * Kinds and who may touch the fields: a free span belongs to the arena (arena lock); a slab to the
 * heap that owns it (that heap's lock); a large block to whoever holds the block, its record is
 * read and changed under the arena lock. `base`, `n_pages` and `kind` change under the arena lock
 * only.
 */
#ifndef POOLALLOC_MEM_SPAN_H
#define POOLALLOC_MEM_SPAN_H

#include "mem/group.h"
#include "mem/ledger.h"

enum span_kind {
    SPAN_UNUSED,  /* a spare record, describes nothing */
    SPAN_FREE,    /* in the arena's tree */
    SPAN_PURGING, /* its pages are on their way to the kernel, lock released */
    SPAN_SLAB,
    SPAN_LARGE,  /* a large block in the arena */
    SPAN_DIRECT, /* a large block with a mapping of its own */
};

struct free_part {
    struct span *left; /* the tree by size */
    struct span *right;
    struct span *older; /* spans with touched pages, by the time they became free */
    struct span *newer;
    uint32_t n_touched;
    uint32_t freed_ms; /* low bits of the clock */
};

/* Where a slab is in its heap: the current one of its class is in no list. */
enum slab_list { SLAB_ALONE, SLAB_PARTIAL, SLAB_FULL };

struct slab_part {
    struct span *next; /* in the owner's list */
    struct span *prev;
    uint64_t *bitmap;     /* 1: the block is free, and in no bin, magazine, outbox or inbox */
    uint64_t own_word;    /* the bitmap of slabs of at most 64 blocks */
    uint16_t n_blocks;    /* [const] */
    uint16_t n_carved;    /* blocks from here on were never used */
    uint16_t n_out;       /* carved blocks that are not in the bitmap */
    uint8_t list;         /* enum slab_list */
    uint8_t is_populated; /* all pages are present */
    uint8_t is_zero;      /* pages beyond the carved blocks read as zero */
    uint8_t was_in_use;   /* it is from a heap in use, in whose bins blocks of it may be still */
    uint16_t purged; /* bits of its pages: the kernel has them back, blocks in them read as zero */
    uint8_t is_set_aside; /* a medium block, in a magazine of its owner's */
    uint8_t epoch;        /* idle_epoch, low bits, when it came to the list it is in */
};

/* Of a large block; zeroes when it is taken. */
struct large_part {
    struct group *group; /* [const] while the block lives; NULL: it is in none */
    struct span *next;   /* [lock: arena] in the group's list */
    struct span *prev;   /* [lock: arena] */
    struct entry entry;
    bool is_guarded; /* its last page is a guard, or all of it; it never joins the arena */
};

struct span {
    _Alignas(64) uintptr_t base;
    uint32_t n_pages;
    uint8_t kind;     /* enum span_kind */
    uint8_t class;    /* of a slab */
    uint8_t was_zero; /* set by arena_take: no page of it was touched */
    uint8_t n_dirty;  /* set by arena_take for a slab: pages of it that were touched already */
    union {
        struct free_part free;
        struct slab_part slab;
        struct large_part large;
    };
};

_Static_assert(sizeof(struct span) == 64, "a span record is one cache line");

/* Since it was cleared, this thread has taken memory for a slab or a large block. */
extern THREAD_LOCAL bool span_was_taken;

/* What a span is taken as. */
ALWAYS_INLINE void span_become(struct span *span, enum span_kind kind)
{
    span_was_taken = true;
    span->kind = (uint8_t)kind;
    span->large = (struct large_part){.is_guarded = false};
}

ALWAYS_INLINE uintptr_t span_end(const struct span *span)
{
    return span->base + ((uintptr_t)span->n_pages << PAGE_SHIFT);
}

ALWAYS_INLINE size_t span_bytes(const struct span *span)
{
    return (size_t)span->n_pages << PAGE_SHIFT;
}

#endif
