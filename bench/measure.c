/* SPDX-License-Identifier: MIT */
/*
 * The child's side of bench/compare: runs one workload and reports what it measured.
 */
#include "measure.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_THREADS_MAX = 64,
    QUICK_PART = 10, /* divides the amounts of work */
};

static struct {
    double begin_ns;
    double total_ns;
    double freed_mib; /* 0: not taken down yet */
} measured;

static bool is_quick;

uint32_t amount(uint32_t n)
{
    return is_quick ? (n + QUICK_PART - 1) / QUICK_PART : n;
}

void measure_begin(void)
{
    measured.begin_ns = child_now_ns();
}

void measure_end(void)
{
    measured.total_ns += child_now_ns() - measured.begin_ns;
}

void measure_set(double seconds)
{
    measured.total_ns = seconds * 1e9;
}

void measure_freed(void)
{
    measured.freed_mib = child_rss_mib();
}

void measure_detail(const char *key, double value)
{
    char name[32];
    (void)snprintf(name, sizeof name, DETAIL_PREFIX "%s", key);
    child_report(name, value);
}

void *take(size_t n_bytes)
{
    void *block = child_opaque(malloc(n_bytes));
    if (block == NULL) {
        child_fail("malloc returned NULL");
    }
    return block;
}

void run_threads(int n, void *(*body)(void *), void *arguments, size_t stride)
{
    pthread_t threads[N_THREADS_MAX];
    if (n > N_THREADS_MAX) {
        child_fail("too many threads");
    }
    for (int i = 0; i < n; i++) {
        void *argument = (char *)arguments + (size_t)i * stride;
        if (pthread_create(&threads[i], NULL, body, argument) != 0) {
            child_fail("a thread does not start");
        }
    }
    for (int i = 0; i < n; i++) {
        (void)pthread_join(threads[i], NULL);
    }
}

static const struct workload *find_in(const struct workload *table, const char *name)
{
    for (; table->name != NULL; table++) {
        if (strcmp(table->name, name) == 0) {
            return table;
        }
    }
    return NULL;
}

int measure_child(char **arguments)
{
    const char *name = arguments[0] == NULL ? "" : arguments[0];
    const struct workload *workload = find_in(synthetic_workloads, name);
    if (workload == NULL) {
        workload = find_in(client_workloads, name);
    }
    if (workload == NULL) {
        child_fail("no such workload");
    }
    is_quick = arguments[1] != NULL && strcmp(arguments[1], WORKLOAD_QUICK) == 0;
    workload->run();
    if (measured.freed_mib == 0) {
        measure_freed();
    }
    child_report(KEY_PEAK, child_peak_mib());
    child_report(KEY_SECONDS, measured.total_ns / 1e9);
    child_report(KEY_FREED, measured.freed_mib);
    return 0;
}
