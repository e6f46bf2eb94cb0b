/* SPDX-License-Identifier: MIT */
/*
 * What the library has to say goes to fd 2 and, if there is one, to the end of a log file. That is
 * opened for each line: a program closes and renames what it likes. Where fd 2 is another file or
 * socket than at start, it gets no more than the program's last words, unless it is open to append
 * to. Takes no memory and no lock.
 */
#ifndef POOLALLOC_OS_LOG_H
#define POOLALLOC_OS_LOG_H

#include "os/text.h"

/* From now on, unless it is "". `pattern` is kept; see os/path.h. */
void log_open(const char *pattern);

/* Once, at start; before that fd 2 is taken for what it was. */
void log_remember_stderr(void);
bool log_is_stderr_of_start(int fd);

/* The program ends: what comes now is told in any case. */
void log_last_words(void);

void log_text(const struct text *text);

/* "poolalloc: <a><b><c>\n". NULL parts are left out. On fd 2 only while that is the file of the
 * start. */
void log_warn(const char *a, const char *b, const char *c);

#endif
