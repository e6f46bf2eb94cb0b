/* SPDX-License-Identifier: MIT */
/*
 * What the two sides of bench/compare agree on.
 */
#ifndef POOLALLOC_BENCH_MEASURE_H
#define POOLALLOC_BENCH_MEASURE_H

#include "workload.h"

#define KEY_SECONDS   "seconds"
#define KEY_PEAK      "peak_mib"
#define KEY_FREED     "freed_mib"
#define DETAIL_PREFIX "detail."

#define WORKLOAD_QUICK "--quick" /* after the workload's name: a tenth of the work */

/* The child's main: runs the workload that the first argument names. */
int measure_child(char **arguments);

#endif
