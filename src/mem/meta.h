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

#include "base/compiler.h"

enum { META_ALIGN = 64, META_REUSE_MAX_BYTES = 4096 };

/* NULL when the kernel has no memory. What was given back comes back as it was, not zeroed. */
void *meta_take(size_t bytes);

/* bytes <= META_REUSE_MAX_BYTES. */
void meta_give(void *p, size_t bytes);

/* All that was taken from the kernel for records. */
size_t meta_bytes(void);

void meta_fork_prepare(void);
void meta_fork_parent(void);
void meta_fork_child(void);

/* In a child of a fork that ran no handlers: whoever holds the lock is not here. */
void meta_fork_unnoticed(void);

#endif
