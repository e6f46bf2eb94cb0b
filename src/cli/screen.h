/* SPDX-License-Identifier: MIT */
/*
 * What stdout is: a terminal of some size that takes colours, or a file, for which lines are 80
 * long.
 */
#ifndef POOLALLOC_CLI_SCREEN_H
#define POOLALLOC_CLI_SCREEN_H

#include "cli/bytes.h"

#include <stdint.h>

struct screen {
    int columns;      /* that lines are made for, 80 at least */
    int width;        /* that there are; 0: any number */
    int rows;         /* 0: as many as it takes */
    bool is_terminal; /* colours are fine */
    bool is_utf8;
};

void screen_look(struct screen *screen);

void add_heading(struct bytes *out, const struct screen *screen, const char *text);

/* A bar of `width` columns, filled to part / whole. */
void add_bar(struct bytes *out, const struct screen *screen, uint64_t part, uint64_t whole,
             int width);

/* As much of a name as fits, and blanks up to `width` columns. */
void add_fitted(struct bytes *out, const char *name, int width);

/* The first rows of a text, each as far as the screen is wide; all but its last row is used. */
void add_cut(struct bytes *out, const struct screen *screen, const char *text);

/* A new line, after no blanks. */
void end_line(struct bytes *out);

#endif
