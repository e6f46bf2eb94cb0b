/* SPDX-License-Identifier: MIT */
/*
 * Text of any length, and the three ways in which the command speaks: to stdout, a note to stderr,
 * and a failure, which ends it. Memory that can't be had ends it as well.
 */
#ifndef POOLALLOC_CLI_BYTES_H
#define POOLALLOC_CLI_BYTES_H

#include <stdbool.h>
#include <stddef.h>

/* As env(1) and nohup(1) have it: the command itself failed; it can't be run; it is not there. */
enum { STATUS_USAGE = 2, STATUS_REFUSED = 125, STATUS_NOT_RUN = 126, STATUS_NOT_FOUND = 127 };

#define CLI_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))

/* One line to stderr, "poolalloc: ...", as bytes_add_shown has it. */
void note(const char *format, ...) CLI_PRINTF(1, 2);
_Noreturn void fail(int status, const char *format, ...) CLI_PRINTF(2, 3);

/* p may be NULL: then it fails. */
void *need(void *p);

/* All 0 is an empty one. */
struct bytes {
    char *at; /* ends in a zero byte beyond n; NULL if there was never anything in it */
    size_t n;
    size_t room;
};

void bytes_add(struct bytes *bytes, const void *from, size_t n);
void bytes_add_text(struct bytes *bytes, const char *text);
void bytes_printf(struct bytes *bytes, const char *format, ...) CLI_PRINTF(2, 3);
/* What terminals take for commands becomes '?'; a new line, too. */
void bytes_add_shown(struct bytes *bytes, const char *text);
void bytes_clear(struct bytes *bytes);
void bytes_free(struct bytes *bytes);

/* "" rather than NULL. */
const char *bytes_text(const struct bytes *bytes);

/* Reads to the end; false and errno: it can't be read, or there is more than `most` (EFBIG). */
bool bytes_read(struct bytes *bytes, int fd, size_t most);
bool bytes_read_file(struct bytes *bytes, const char *file, size_t most);

/* False and errno. */
bool bytes_write(const struct bytes *bytes, int fd);

/* To stdout; a reader that has gone ends the command quietly. */
void bytes_show(const struct bytes *bytes);

#endif
