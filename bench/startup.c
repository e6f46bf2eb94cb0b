/* SPDX-License-Identifier: MIT */
/*
 * What a preloaded allocator costs programs that hardly allocate:
 *
 *   spawn   microseconds from the spawn of /bin/true to the end of the wait for it
 *   memory  peak resident memory of ls /usr/bin
 *   loop    a shell that runs /bin/true 1,000 times, the shell being preloaded as well
 *
 * A process's peak as the kernel reports it begins at that of the memory it was spawned from, ours:
 * the output names this floor. The peak after a shell loop is the biggest process of the loop.
 */
#include "child.h"
#include "harness.h"

#include <stdlib.h>
#include <string.h>

static long n_spawns = 500;
static long n_lists = 21;
static long n_loops = 5;

static const struct number_option options[] = {
    {"--spawns", "runs of /bin/true under each allocator", &n_spawns},
    {"--lists", "runs of ls /usr/bin under each allocator", &n_lists},
    {"--loops", "shell loops under each allocator; the best counts", &n_loops},
    {NULL, NULL, NULL},
};

static const struct bench_info info = {
    "startup", "what the allocator costs programs that hardly allocate", options, NULL, NULL};

#define BASELINE "glibc"

/* argv wants pointers to char that can be written, so each word is an array of its own. */
static char true_path[] = "/bin/true";
static char *const true_argv[] = {true_path, NULL};

static char ls_path[] = "/bin/ls";
static char ls_directory[] = "/usr/bin";
static char *const ls_argv[] = {ls_path, ls_directory, NULL};

static char shell_path[] = "/bin/sh";
static char shell_option[] = "-c";
static char shell_loop[] = "i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done";
static char *const shell_argv[] = {shell_path, shell_option, shell_loop, NULL};

static bool run_or_fail(struct results *results, int allocator, char *const argv[],
                        struct outcome *outcome)
{
    const struct bench *bench = results->bench;
    run_program(bench, &bench->allocators.items[allocator], argv, outcome);
    if (outcome->failure[0] != '\0') {
        results_fail(results, allocator, outcome->failure);
        return false;
    }
    return true;
}

/* ---- spawn ---- */

static const struct figure spawn_figures[] = {{"spawn", "us", 1, LOWER_IS_BETTER}};

static void spawn_step(struct results *results, int allocator, int rep)
{
    struct outcome outcome;
    if (run_or_fail(results, allocator, true_argv, &outcome)) {
        results_set(results, allocator, 0, rep, outcome.wall_us);
    }
}

static void measure_spawn(const struct bench *bench)
{
    struct results results;
    struct summary summary;
    results_init(&results, bench, spawn_figures, 1, n_spawns);
    bench_interleave(&results, spawn_step);
    summary_init(&summary, bench);
    int min = summary_add_figure(&summary, &results, 0, "min", stats_min);
    int median = summary_add_figure(&summary, &results, 0, "median", stats_median);
    summary_add_difference(&summary, min, BASELINE, "min - glibc");
    summary_add_difference(&summary, median, BASELINE, "median - glibc");
    summary_print(&summary, "spawn: /bin/true, microseconds");
    summary_print_against_best(&summary);
    results_free(&results);
}

/* ---- memory ---- */

static const struct figure memory_figures[] = {{"peak", "KiB", 0, LOWER_IS_BETTER}};

static void memory_step(struct results *results, int allocator, int rep)
{
    struct outcome outcome;
    if (run_or_fail(results, allocator, ls_argv, &outcome)) {
        results_set(results, allocator, 0, rep, (double)outcome.peak_rss_kib);
    }
}

/* Our own peak so far, or 0 when the kernel does not say. */
static long own_peak_kib(void)
{
    char line[256];
    long peak = 0;
    FILE *status = fopen("/proc/self/status", "re");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            peak = strtol(line + 6, NULL, 10);
        }
    }
    if (status != NULL) {
        (void)fclose(status);
    }
    return peak;
}

static void print_floor(void)
{
    printf("(a peak begins at this program's own, now about %ld KiB)\n\n", own_peak_kib());
}

static void measure_memory(const struct bench *bench)
{
    struct results results;
    struct summary summary;
    results_init(&results, bench, memory_figures, 1, n_lists);
    bench_interleave(&results, memory_step);
    summary_init(&summary, bench);
    int min = summary_add_figure(&summary, &results, 0, "min", stats_min);
    int median = summary_add_figure(&summary, &results, 0, "median", stats_median);
    summary_add_ratio(&summary, min, BASELINE, "min / glibc");
    summary_add_ratio(&summary, median, BASELINE, "median / glibc");
    summary_print(&summary, "memory: ls /usr/bin, peak resident KiB");
    print_floor();
    summary_print_against_best(&summary);
    results_free(&results);
}

/* ---- loop ---- */

enum { LOOP_SECONDS, LOOP_CPU_SECONDS, LOOP_PEAK, N_LOOP_FIGURES };

static const struct figure loop_figures[N_LOOP_FIGURES] = {
    [LOOP_SECONDS] = {"seconds", "seconds", 3, LOWER_IS_BETTER},
    [LOOP_CPU_SECONDS] = {"cpu", "CPU seconds", 3, LOWER_IS_BETTER},
    [LOOP_PEAK] = {"peak", "peak KiB", 0, LOWER_IS_BETTER},
};

static void loop_step(struct results *results, int allocator, int rep)
{
    struct outcome outcome;
    if (run_or_fail(results, allocator, shell_argv, &outcome)) {
        results_set(results, allocator, LOOP_SECONDS, rep, outcome.wall_us / 1e6);
        results_set(results, allocator, LOOP_CPU_SECONDS, rep, outcome.cpu_us / 1e6);
        results_set(results, allocator, LOOP_PEAK, rep, (double)outcome.peak_rss_kib);
    }
}

static void measure_loop(const struct bench *bench)
{
    struct results results;
    struct summary summary;
    results_init(&results, bench, loop_figures, N_LOOP_FIGURES, n_loops);
    bench_interleave(&results, loop_step);
    summary_init(&summary, bench);
    int seconds = summary_add_figure(&summary, &results, LOOP_SECONDS, "min s", stats_min);
    int cpu = summary_add_figure(&summary, &results, LOOP_CPU_SECONDS, "min CPU s", stats_min);
    int peak = summary_add_figure(&summary, &results, LOOP_PEAK, "peak KiB", stats_min);
    summary_add_ratio(&summary, seconds, BASELINE, "s / glibc");
    summary_add_ratio(&summary, cpu, BASELINE, "CPU s / glibc");
    summary_add_ratio(&summary, peak, BASELINE, "peak / glibc");
    summary_print(&summary, "loop: a shell runs /bin/true 1,000 times");
    print_floor();
    summary_print_against_best(&summary);
    results_free(&results);
}

int main(int argc, char **argv)
{
    if (child_requested(argc, argv)) {
        (void)child_start(argv); /* all that a child is for: does the preload take effect? */
        return 0;
    }
    struct bench bench;
    bench_open(&bench, &info, argc, argv);
    measure_spawn(&bench);
    measure_memory(&bench);
    measure_loop(&bench);
    return bench_close(&bench);
}
