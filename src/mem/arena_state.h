/* SPDX-License-Identifier: MIT */
/*
 * What the arena's files share: its state, and what purge.c does for arena.c. Nobody else includes
 * this.
 *
 * All functions are called with the arena's lock held.
 */
#ifndef POOLALLOC_MEM_ARENA_STATE_H
#define POOLALLOC_MEM_ARENA_STATE_H

#include "mem/arena.h"
#include "mem/regret.h"

/* All fields: [lock]. */
struct arena_state {
    struct lock lock;
    struct span *purging;   /* linked by .newer */
    size_t n_purging_pages; /* touched pages of these, and of direct blocks that are unmapped */
    uintptr_t lowest;       /* base of the region mapped last; the next is asked for below */
    size_t mapped_pages;
    size_t mapped_peak_pages;
    struct regret regret;
    struct arena_stats stats;
};

extern struct arena_state arena;

/* Free memory that may be held back. */
size_t dirty_pages_max(void);

/* Gives back what is due. Lets the lock go for the time of system calls. */
void purge_due_locked(uint32_t now_ms);

/* Free memory is given back until so much more may be in use. False: it does not fit. Lets the lock
 * go meanwhile. */
bool room_make_locked(enum span_kind kind, size_t bytes);

/* After every change of what is in use or held back. */
void used_note(void);

/* After what is in use has grown. */
void used_note_grown(void);

/* In a child of fork, where nobody is discarding. */
void purging_end(void);

#endif
