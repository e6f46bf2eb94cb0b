/* SPDX-License-Identifier: MIT */
/*
 * Data that is set at start and read-only from then on. The loader makes it so with all that it has
 * relocated (relro): a program without options pays nothing for it. With options, the constructor
 * opens it, writes, and closes it again, while there is one thread.
 */
#ifndef POOLALLOC_OS_FIXED_H
#define POOLALLOC_OS_FIXED_H

#include "base/compiler.h"

#include <stdbool.h>

/* The unit tests, which set options as they like, define it as nothing. */
#ifndef FIXED
#define FIXED __attribute__((section(".data.rel.ro.fixed")))
#endif

/* From then on what is FIXED can be written to. True also where nothing had made it read-only. */
bool os_fixed_open(void);

/* Read-only again, if it was. */
void os_fixed_close(void);

#endif
