/* SPDX-License-Identifier: MIT */
/*
 * What the arena holds at this moment, after a check that all of it is whole.
 */
#ifndef ARENA_NOW_H
#define ARENA_NOW_H

#include "mem/arena.h"

static inline struct arena_stats arena_now(void)
{
    struct arena_stats stats;
    arena_check();
    arena_get_stats(&stats);
    return stats;
}

#endif
