/* SPDX-License-Identifier: MIT */
/*
 * A dump, or what has changed between two, on a terminal.
 */
#ifndef POOLALLOC_CLI_SHOW_H
#define POOLALLOC_CLI_SHOW_H

#include "cli/dump.h"
#include "cli/screen.h"

struct showing {
    struct screen screen;
    size_t rows_max;           /* of a table; 0: all */
    int rows;                  /* that all of it should fit on; 0: any number */
    const struct dump *before; /* what there was `seconds` ago, or NULL */
    double seconds;
};

void show_dump(struct bytes *out, const struct dump *dump, const struct showing *how);
void show_differences(struct bytes *out, const struct dump *a, const struct dump *b,
                      const struct showing *how);

/* In place of frames, where there are none. */
#define UNKNOWN_SITE "from where is not known"

/* "main+0x12 /usr/bin/sort" */
void add_frame(struct bytes *out, const struct dump *dump, const struct json_value *frame);

/* "sort, process 12: dump 3, at exit" */
void add_title(struct bytes *out, const struct dump *dump);

#endif
