/* SPDX-License-Identifier: MIT */
/*
 * What the kernel says of mappings: an address's line of /proc/self/maps, for reports of faults, and how
 * many there may be. Nothing is allocated, any thread, any lock may be held.
 */
#ifndef POOLALLOC_OS_MAPS_H
#define POOLALLOC_OS_MAPS_H

#include "base/compiler.h"

#include <stdbool.h>

/* The line, or as much of it as fits, as a string without its end of line. False: no mapping is
 * there, or /proc is not. */
bool os_maps_line(const void *p, char *line, size_t bytes);

/* Mappings that a process may have: vm.max_map_count, or what that is by default if /proc is not there. */
size_t os_maps_max(void);

#endif
