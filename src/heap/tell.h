/* SPDX-License-Identifier: MIT */
/*
 * The lines of a report after its first. Any thread, with any lock held, in a broken heap: takes no
 * memory and no lock, not even libc's.
 */
#ifndef POOLALLOC_HEAP_TELL_H
#define POOLALLOC_HEAP_TELL_H

#include "os/text.h"

#include <stddef.h>

struct told {
    struct text text;
    char buffer[512];
};

/* What is added to the text in between is in the line, after the words. */
struct text *tell_begin(struct told *line, const char *words);
void tell_end(struct told *line);

void tell(const char *words);
void tell_frames(const uintptr_t *frames, size_t n);

/* The stack of a site, after the words; 0: it is not known, and nothing is said without a
 * thread. */
void tell_site(const char *words, uint32_t thread, uint32_t site);

#endif
