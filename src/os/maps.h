/* SPDX-License-Identifier: MIT */
/*
 * The kernel's words about an address: its line of /proc/self/maps. For reports of faults: nothing is
 * allocated, any thread, any lock may be held.
 */
#ifndef POOLALLOC_OS_MAPS_H
#define POOLALLOC_OS_MAPS_H

#include "base/compiler.h"

#include <stdbool.h>

/* The line, or as much of it as fits, as a string without its end of line. False: no mapping is
 * there, or /proc is not. */
bool os_maps_line(const void *p, char *line, size_t bytes);

#endif
