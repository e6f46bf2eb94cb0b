/* SPDX-License-Identifier: MIT */
/*
 * Figures as people read them: 12.3 MiB, 4.5 ms, 1,234,567. The end of a figure's name tells its
 * unit: _bytes, _ns, or none.
 */
#ifndef POOLALLOC_CLI_FIGURE_H
#define POOLALLOC_CLI_FIGURE_H

#include "cli/bytes.h"

#include <stdint.h>

enum { FIGURE_TEXT_MAX = 40 };

/* The next lower count, or the largest there is. */
uint64_t count_from(double n);

/* A figure's text, to be used within the expression that it is made in. */
struct figure_text {
    char at[FIGURE_TEXT_MAX];
};

struct figure_text as_bytes(uint64_t n);
struct figure_text as_bytes_brief(uint64_t n); /* "64 KiB", not "64.0 KiB" */
struct figure_text as_time(uint64_t ns);
struct figure_text as_number(uint64_t n);
/* "1 block", "2 blocks" */
struct figure_text as_count(uint64_t n, const char *what);
struct figure_text as_percent(uint64_t part, uint64_t whole);
struct figure_text as_named(const char *name, uint64_t n);
/* With its sign. */
struct figure_text as_growth(const char *name, uint64_t before, uint64_t after);

#endif
