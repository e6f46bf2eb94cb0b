/* SPDX-License-Identifier: MIT */
/*
 * Text on its way to a file descriptor, through a buffer of its own: a few calls of write(2) for a
 * whole dump, and no allocation.
 */
#ifndef POOLALLOC_OBS_OUT_H
#define POOLALLOC_OBS_OUT_H

#include "os/text.h"

enum { OUT_BYTES = 2048, OUT_LINE_BYTES = 512 };

struct out {
    struct text text;
    int fd;
    bool failed; /* something could not be written, and nothing is from then on */
    char buffer[OUT_BYTES];
};

void out_init(struct out *out, int fd);

/* Where up to OUT_LINE_BYTES may be added until the next call. */
struct text *out_line(struct out *out);

/* out_line and text_add in one. */
void out_add(struct out *out, const char *string);

/* Any number of bytes. */
void out_add_span(struct out *out, const char *bytes, size_t n);

/* Writes what there is. False: something was lost. */
bool out_flush(struct out *out);

#endif
