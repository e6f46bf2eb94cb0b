/* SPDX-License-Identifier: MIT */
/*
 * A workload: what bench/compare runs in a fresh process under each allocator.
 *
 * A workload does a fixed amount of work that depends on nothing but its own constants and seeds,
 * checks what it did, and fails by child_fail(). It measures itself:
 *
 *   - set up whatever is no part of the figure (all big arrays static, so that they are not blocks)
 *   - measure_begin(); the work; measure_end();         may be repeated, the times add up
 *   - free everything; measure_freed();                 what stays resident after that
 *
 * It warms up by itself where the first pass would differ from the later ones. Peak memory and page
 * faults are read by the parent. The work takes about half a second under glibc on a 2.5 GHz
 * machine with two cores, so that a whole comparison ends within the hour.
 */
#ifndef POOLALLOC_BENCH_WORKLOAD_H
#define POOLALLOC_BENCH_WORKLOAD_H

#include "child.h"

struct workload {
    const char *name;  /* lower-case words with dashes: the row's name and what --only takes */
    const char *about; /* one line: what it stands for */
    void (*run)(void);
};

/* Each ends with a NULL name. */
extern const struct workload synthetic_workloads[];
extern const struct workload client_workloads[];

/* The figure's clock: wall time between the two, summed up over all such pairs. */
void measure_begin(void);
void measure_end(void);

/* Instead of a time: the figure itself, in seconds, lower is better (a percentile, say). */
void measure_set(double seconds);

/* All blocks are freed by now: takes down resident memory. At most once; without it the memory at
 * the end of the workload counts. */
void measure_freed(void);

/* One more figure, shown under the table and kept in the JSON file; at most 16 bytes of key. */
void measure_detail(const char *key, double value);

/* ---- common tools ---- */

/* n, or a small part of it where only a quick run is asked for: how often the work is repeated. */
uint32_t amount(uint32_t n);

/* malloc that ends the process when it returns NULL. */
void *take(size_t n_bytes);

/* Starts n threads, body(argument i of `stride` bytes each), and joins them. At most 64. */
void run_threads(int n, void *(*body)(void *), void *arguments, size_t stride);

#endif
