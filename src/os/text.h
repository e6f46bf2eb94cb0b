/* SPDX-License-Identifier: MIT */
/*
 * Text without allocation: a line buffer on the caller's stack.
 */
#ifndef POOLALLOC_OS_TEXT_H
#define POOLALLOC_OS_TEXT_H

#include "base/compiler.h"

#include <stdbool.h>

struct text {
    char *at;  /* where the next character goes; kept below end */
    char *end; /* one past the last usable character */
    char *begin;
};

/* Text beyond `bytes` is cut. */
void text_init(struct text *text, char *buffer, size_t bytes);
size_t text_bytes(const struct text *text);

void text_add(struct text *text, const char *string);
void text_add_span(struct text *text, const char *string, size_t n);
void text_add_number(struct text *text, uint64_t n);
void text_add_number_wide(struct text *text, uint64_t n, int width); /* right-aligned; <0 left */
void text_add_padded(struct text *text, const char *string, int width);
void text_add_address(struct text *text, const void *p);
void text_add_count(struct text *text, uint64_t n, const char *what); /* "1 block", "2 blocks" */
void text_add_size(struct text *text, uint64_t bytes);                /* "12.3 MiB", rounded */
void text_add_size_wide(struct text *text, uint64_t bytes, int width);
void text_add_time(struct text *text, uint64_t ns); /* "12.3 ms", rounded */
void text_add_time_wide(struct text *text, uint64_t ns, int width);
void text_add_decimals(struct text *text, uint64_t n, unsigned n_decimals); /* 1234, 3: "1.234" */

/* n of `of` in percent, rounded; "100" for 0 of 0. */
void text_add_percent(struct text *text, uint64_t n, uint64_t of);

/* A string of whatever bytes as JSON and Prometheus have them inside of quotes: '?' is for what is
 * not UTF-8 or does not show. */
void text_add_escaped(struct text *text, const char *string);

/* The same outside of quotes, with blanks up to -width bytes after it. */
void text_add_shown(struct text *text, const char *string, int width);

/* Writes all of it, whatever it takes. False: some of it could not be. */
bool text_write(const struct text *text, int fd);

#endif
