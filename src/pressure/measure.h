/* SPDX-License-Identifier: MIT */
/*
 * What the limit on memory is, where it comes from, and how much of it is used.
 *
 * There is one limit: what the option or the program says; else that of the process's control
 * groups which has the least left; else the machine's memory. How much of it is used:
 *
 *   limit of ours    what is charged (mem/limit.h). It is never exceeded: the arena refuses
 *   control group    what cannot be reclaimed of the group's memory, other processes' included
 *   machine          what of this process is resident
 *
 * The last two are what was read last, and what has been charged since.
 *
 * Who has the turn (subscribers.h) calls; any thread where it is said.
 */
#ifndef POOLALLOC_PRESSURE_MEASURE_H
#define POOLALLOC_PRESSURE_MEASURE_H

#include "base/compiler.h"

#include <stdbool.h>

enum pressure_source {
    PRESSURE_OF_NOTHING,
    PRESSURE_OF_OPTION,
    PRESSURE_OF_PROGRAM,
    PRESSURE_OF_CGROUP,
    PRESSURE_OF_MACHINE
};

/* Once, from the constructor: the option's limit is in force from there on. */
void measure_init(void);

/* In a child of fork. */
void measure_forked(void);

/* Any thread; as of the last reading. 0: unknown. */
uint64_t measure_limit(void);
enum pressure_source measure_source(void);

/* Any thread. It is a limit of ours: what counts is what is charged. */
bool measure_is_charge(void);

/* Any thread. Where memory begins to be short. */
uint64_t measure_threshold_of(uint64_t limit_bytes);

/* Any thread. A program with more rights than its caller opens no file that it was not made to. */
bool measure_may_read(void);

/* The program's own limit, in place of any other; 0: none. */
void measure_set_limit(size_t bytes);

void measure_read(uint64_t now);
uint64_t measure_age_ms(uint64_t now); /* since then; UINT64_MAX: there was no reading */

uint64_t measure_used(void);

/* How much may be charged for `bytes` of the limit to be used; 0 at least. */
uint64_t measure_charge_for(uint64_t bytes);

#endif
