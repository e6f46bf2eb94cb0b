/* SPDX-License-Identifier: MIT */
/*
 * A program run to its end with the library preloaded, and what it left behind.
 */
#ifndef CHILD_H
#define CHILD_H

#include <sys/types.h>

enum { CHILD_TEXT_MAX = 16 * 1024 };

struct child {
    pid_t pid;
    int status;               /* as waitpid() tells */
    char out[CHILD_TEXT_MAX]; /* what it wrote to stdout, and below to stderr; cut if longer */
    char err[CHILD_TEXT_MAX];
};

/* Runs argv with LD_PRELOAD=library and POOLALLOC_CONF=conf (NULL: unset), and waits for its end.
 * Leaves no core file. Ends the caller with a message if the program cannot be run. */
void child_run(struct child *child, const char *library, const char *conf,
               const char *const argv[]);

#endif
