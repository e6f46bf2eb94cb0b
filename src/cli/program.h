/* SPDX-License-Identifier: MIT */
/*
 * Can the library be preloaded into a program? Scripts are followed to their interpreters.
 */
#ifndef POOLALLOC_CLI_PROGRAM_H
#define POOLALLOC_CLI_PROGRAM_H

#include "cli/bytes.h"

enum verdict {
    VERDICT_FINE,
    VERDICT_REMARK, /* it starts, but something is to be said */
    VERDICT_USELESS /* the library would not be loaded, or the program would not start */
};

/* Where a name without a slash is in PATH, or the name; false and errno: it can't be run. */
bool program_find(const char *name, struct bytes *file);

/* `words` says what there is to say, with the file's name. */
enum verdict program_judge(const char *file, struct bytes *words);

/* The file defines a symbol that only programs with the library inside have. */
bool program_has_library(const char *file);

#endif
