/* SPDX-License-Identifier: MIT */
#include "objects/frame.h"

#include "heap/alloc.h"

#include <errno.h>
#include <string.h>

poolalloc_frame *frame_create(unsigned n, const struct poolalloc_arena_options *options)
{
    if (n < 1 || n > FRAME_ARENAS_MAX) {
        errno = EINVAL;
        return NULL;
    }
    poolalloc_frame *frame = heap_alloc(sizeof *frame);
    if (frame == NULL)
        return NULL;
    memset(frame, 0, sizeof *frame);
    for (; frame->n < n; frame->n++) {
        frame->arenas[frame->n] = bump_create(NULL, options);
        if (frame->arenas[frame->n] == NULL) {
            frame_destroy(frame);
            return NULL;
        }
    }
    frame->now = frame->arenas[0];
    return frame;
}

void frame_destroy(poolalloc_frame *frame)
{
    if (frame == NULL)
        return;
    int saved_errno = errno;
    while (frame->n > 0)
        bump_destroy(frame->arenas[--frame->n]);
    heap_free(frame);
    errno = saved_errno;
}

poolalloc_arena *frame_begin(poolalloc_frame *frame)
{
    frame->index = frame->index + 1 < frame->n ? frame->index + 1 : 0;
    frame->now = frame->arenas[frame->index];
    bump_reset(frame->now);
    return frame->now;
}
