/* SPDX-License-Identifier: MIT */
/*
 * The page of `poolalloc report`.
 */
#ifndef POOLALLOC_CLI_PAGE_H
#define POOLALLOC_CLI_PAGE_H

#include "cli/dump.h"

/* Of one dump or more, the earliest first. */
void page_write(struct bytes *out, const struct dump *dumps, size_t n);

#endif
