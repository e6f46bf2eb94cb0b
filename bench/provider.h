/* SPDX-License-Identifier: MIT */
/*
 * Which library a process has its malloc from. Used by our own children and, in programs that know
 * nothing of us, by the witness; allocates nothing.
 */
#ifndef POOLALLOC_BENCH_PROVIDER_H
#define POOLALLOC_BENCH_PROVIDER_H

#include <limits.h>
#include <stdbool.h>

#define PROVIDER_LIBC "-" /* stands for libc's own malloc where a library's path is expected */

/*
 * Whether malloc, as seen by the libraries loaded after the caller's, comes from this file. Its
 * resolved path goes to `actual`, which is empty when there is none.
 */
bool provider_is(const char *library, char actual[PATH_MAX]);

#endif
