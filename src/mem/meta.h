/* SPDX-License-Identifier: MIT */
/*
 * Memory for our own records: heaps, spans, bitmaps. Far from the program's blocks: the first
 * 32 KiB in our own data, the rest between guard pages. Zeroed when new; a multiple of 64 bytes,
 * aligned to 64. Never returned to the kernel, so a stale pointer to a record still points to some
 * record.
 * Callable from any thread; takes the meta lock.
 */
#ifndef POOLALLOC_MEM_META_H
#define POOLALLOC_MEM_META_H

#include "os/lock.h"

enum { META_ALIGN = 64, META_REUSE_MAX_BYTES = 64 * 1024 };

/* Given out at least once, for who wants to know without the lock. Changes under it. */
extern _Atomic size_t meta_used_bytes;

/* NULL when the kernel has no memory, or the limit no room. What was given back comes back as it
 * was, not zeroed. */
void *meta_take(size_t bytes);

/* bytes <= META_REUSE_MAX_BYTES. */
void meta_give(void *p, size_t bytes);

struct meta_stats {
    size_t mapped_bytes; /* taken from the kernel for records */
    size_t used_bytes;   /* of them, given out at least once: the rest was never touched */
};

/* False: the lock was not had. */
bool meta_get_stats(struct meta_stats *stats, lock_taker *taker);

void meta_fork_prepare(void);
void meta_fork_parent(void);
void meta_fork_child(void);

/* In a child of a fork that ran no handlers: whoever holds the lock is not here. */
void meta_fork_unnoticed(void);

#endif
