/* SPDX-License-Identifier: MIT */
/*
 * File names that options give, with what is after each % in place: %p the process, %e the program,
 * %n a number, such as that of a dump.
 */
#ifndef POOLALLOC_OS_PATH_H
#define POOLALLOC_OS_PATH_H

#include "base/compiler.h"

#include <stdbool.h>

enum { PATH_BYTES = 512 };

struct path {
    char name[PATH_BYTES];
};

/* False: it is too long. */
bool path_expand(struct path *path, const char *pattern, uint64_t number);

#endif
