/* SPDX-License-Identifier: MIT */
/*
 * Memory given to the kernel and needed again within seconds, as it happens to programs that free
 * much and allocate it anew, costs more than it is worth: the arena holds it back for longer.
 *
 * Everything here runs under the arena's lock.
 */
#ifndef POOLALLOC_MEM_REGRET_H
#define POOLALLOC_MEM_REGRET_H

#include "base/compiler.h"

struct regret {
    size_t purged_pages; /* lately, and not needed again yet */
    size_t needed_pages; /* lately purged and needed again: room on top of what may be dirty */
    uint32_t halved_ms;  /* both fade: when they last did */
};

/* Pages have gone to the kernel. */
void regret_note_purge(struct regret *regret, size_t n_pages, uint32_t now_ms);

/* Pages were taken that are not in memory: returns how many of them are among those. needed_pages
 * gets no larger than `max`. */
size_t regret_note_need(struct regret *regret, size_t n_pages, size_t max);

void regret_fade(struct regret *regret, uint32_t now_ms);

#endif
