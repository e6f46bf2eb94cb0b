/* SPDX-License-Identifier: MIT */
/*
 * Frames: arenas (bump.h) in turn. One thread's at a time.
 */
#ifndef POOLALLOC_OBJECTS_FRAME_H
#define POOLALLOC_OBJECTS_FRAME_H

#include "objects/bump.h"

enum { FRAME_ARENAS_MAX = 16 };

struct poolalloc_frame {
    poolalloc_arena *now;
    unsigned n;
    unsigned index; /* of the current arena */
    poolalloc_arena *arenas[FRAME_ARENAS_MAX];
};

poolalloc_frame *frame_create(unsigned n, const struct poolalloc_arena_options *options);
void frame_destroy(poolalloc_frame *frame);
poolalloc_arena *frame_begin(poolalloc_frame *frame);

#endif
