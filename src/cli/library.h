/* SPDX-License-Identifier: MIT */
/*
 * Where the library is: beside the command, as it is installed or built.
 */
#ifndef POOLALLOC_CLI_LIBRARY_H
#define POOLALLOC_CLI_LIBRARY_H

#include "cli/bytes.h"

/* Its absolute path; ends the command if there is none. `told`: where the user says it is, or
 * NULL. */
void library_find(const char *told, struct bytes *file);

/* Puts it behind what LD_PRELOAD holds, and `conf` behind what POOLALLOC_CONF holds. If LD_PRELOAD
 * has it already that stays, but gives way to one that the user has named. */
void library_preload(const char *file, bool is_told, const char *conf);

/* What it says at the start of a program with no other options than these: warnings, or help. */
void library_ask(const char *file, bool is_told, const char *conf, struct bytes *words);

#endif
