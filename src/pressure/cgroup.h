/* SPDX-License-Identifier: MIT */
/*
 * What the process's control groups and the machine have for it, read from where they are mounted
 * as a rule: version 2 in /sys/fs/cgroup (or unified/ there), version 1's memory in
 * /sys/fs/cgroup/memory.
 *
 * One thread at a time calls; texts are read into static memory, as a thread's stack may be small.
 */
#ifndef POOLALLOC_PRESSURE_CGROUP_H
#define POOLALLOC_PRESSURE_CGROUP_H

#include "base/compiler.h"

#include <stdbool.h>

#define CGROUP_NO_LIMIT UINT64_MAX

/* The smallest limit of the process's group and all above it: memory.max and memory.high, or
 * version 1's. CGROUP_NO_LIMIT: there is none. */
uint64_t cgroup_limit(void);

/* Of these groups' limits, the one that the least is left of, and how much of it is used: what
 * cannot be reclaimed of the group's memory; 0: unknown. */
struct cgroup_use {
    uint64_t limit_bytes; /* CGROUP_NO_LIMIT: there is none */
    uint64_t used_bytes;
};
struct cgroup_use cgroup_nearest(void);

/* Whether the last of these could read all there is. It may not, from some day on: all descriptors
 * are in use, or the process has locked itself up. */
bool cgroup_is_read(void);

/* Of this process alone; 0: unknown. */
uint64_t process_resident(void);

/* Opens the group's memory.pressure, else the machine's. A descriptor, or a negative errno. */
long cgroup_open_pressure(void);

#endif
