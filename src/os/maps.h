/* SPDX-License-Identifier: MIT */
/*
 * What the kernel says of mappings: an address's line of /proc/self/maps, for reports of faults,
 * how many there may be; and of huge pages. Nothing is allocated, any thread, any lock may be held.
 */
#ifndef POOLALLOC_OS_MAPS_H
#define POOLALLOC_OS_MAPS_H

#include "base/compiler.h"

#include <stdbool.h>

/* The line, or as much of it as fits, as a string without its end of line. False: no mapping is
 * there, or /proc is not. */
bool os_maps_line(const void *p, char *line, size_t bytes);

/* Mappings that a process may have: vm.max_map_count, or what that is by default if /proc is not
 * there. */
size_t os_maps_max(void);

/* For whom the system has huge pages. What cannot be read is taken for nobody. */
enum os_huge { OS_HUGE_NEVER, OS_HUGE_IF_ADVISED, OS_HUGE_ALWAYS };
enum os_huge os_huge_system(void);

/* What they hold of this process's memory, ours or not. It takes time: the kernel looks at each
 * page, at some 80,000 in a millisecond. False: it does not say. */
bool os_huge_bytes(uint64_t *bytes);

#endif
