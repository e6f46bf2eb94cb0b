/* SPDX-License-Identifier: MIT */
/*
 * Real programs as workloads: what bench/compare runs as they are, under each allocator.
 *
 * `prepare` and `run` are shell scripts. prepare runs once, without any preload, in a scratch
 * directory that is empty at first, and makes the inputs. run is what is timed, in that directory;
 * it starts the program as `$PRELOADED program arguments...`, where PRELOADED is an `env` command
 * that sets LD_PRELOAD for that program alone, and writes something to stdout that depends on all
 * the program computed (a checksum, say). Whatever differs from what it wrote under libc's own
 * malloc is a failure, and so is a status other than 0.
 */
#ifndef POOLALLOC_BENCH_PROGRAMS_H
#define POOLALLOC_BENCH_PROGRAMS_H

#include <stdbool.h>

struct program {
    const char *name;
    const char *about;
    const char *needs;   /* commands that must be there, separated by blanks; else it is left out */
    const char *package; /* Debian packages that have them */
    const char *preloaded; /* names of processes that the preload must reach, likewise separated */
    bool has_own_malloc;   /* linked in, and not libc's: the run without a preload takes libc's */
    bool is_server;        /* its peak is the one that run reports as peak_kib, see programs.c */
    const char *prepare;
    const char *run;
};

/* Ends with a NULL name. */
extern const struct program programs[];

#endif
