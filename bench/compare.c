/* SPDX-License-Identifier: MIT */
/*
 * Every workload and real program under every allocator, in time and memory.
 *
 * A row is measured for all allocators before the next begins: one untimed round of all of them,
 * then A B C A B C ... in fresh processes. The workloads are in workloads/, the programs in
 * programs.c; grid.c makes the tables, output.c the files.
 */
#include "grid.h"
#include "harness.h"
#include "measure.h"
#include "program_run.h"
#include "programs.h"

#include <stdlib.h>
#include <string.h>

static long n_reps = 5;

static const struct number_option numbers[] = {
    {"--reps", "fresh processes of each allocator in a row", &n_reps},
    {NULL, NULL, NULL},
};

static const char *rows_wanted;
static const char *json_path;
static const char *svg_path;

static const struct text_option texts[] = {
    {"--only", "ROW,...: these rows, or groups (synthetic, client, program) of rows", &rows_wanted},
    {"--json", "FILE: write every figure and sample", &json_path},
    {"--svg", "FILE: write a chart of the geometric means", &svg_path},
    {NULL, NULL, NULL},
};

static bool is_quick;

static const struct switch_option switches[] = {
    {"--quick", "does all of it work: small workloads, each once; the figures say nothing",
     &is_quick},
    {NULL, NULL, NULL},
};

static const struct bench_info info = {
    "compare", "all workloads and real programs, in time and memory", numbers, texts, switches};

static struct bench bench;
static struct grid grid;
static bool has_unprepared; /* a program whose inputs cannot be made, or that fails without us */

/* ---- which rows ---- */

static bool is_listed(const char *name)
{
    size_t n_bytes = strlen(name);
    for (const char *at = rows_wanted; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, n_bytes) == 0 && (at[n_bytes] == ',' || at[n_bytes] == '\0')) {
            return true;
        }
    }
    return false;
}

static bool is_wanted(const char *name, enum group group)
{
    return rows_wanted == NULL || is_listed(name) || is_listed(group_names[group]);
}

static bool is_row(const char *word, size_t n_bytes)
{
    bool found = false;
    for (int g = 0; g < N_GROUPS; g++) {
        found |= strlen(group_names[g]) == n_bytes && strncmp(word, group_names[g], n_bytes) == 0;
    }
    const struct workload *tables[] = {synthetic_workloads, client_workloads};
    for (int t = 0; t < 2; t++) {
        for (const struct workload *w = tables[t]; w->name != NULL; w++) {
            found |= strlen(w->name) == n_bytes && strncmp(word, w->name, n_bytes) == 0;
        }
    }
    for (const struct program *p = programs; p->name != NULL; p++) {
        found |= strlen(p->name) == n_bytes && strncmp(word, p->name, n_bytes) == 0;
    }
    return found;
}

/* Whether all that is asked for exists: a misspelt row would be missed only after the run. */
static bool check_only(void)
{
    const char *at = rows_wanted;
    while (at != NULL) {
        size_t n_bytes = strcspn(at, ",");
        if (!is_row(at, n_bytes)) {
            (void)fprintf(stderr, "compare: no such row: %.*s\n", (int)n_bytes, at);
            return false;
        }
        at = at[n_bytes] == ',' ? at + n_bytes + 1 : NULL;
    }
    return true;
}

/* ---- workloads ---- */

static const char *row_name; /* of the row being measured */
static struct grid_row *current_row;

struct sizes {
    double peak_mib;
    double freed_mib;
};

static void set_figures(int allocator, int rep, const struct outcome *outcome, double seconds,
                        struct sizes sizes)
{
    struct results *results = &current_row->results;
    if (rep < 0) {
        return; /* the warm-up */
    }
    results_set(results, allocator, GRID_SECONDS, rep, seconds);
    results_set(results, allocator, GRID_PEAK, rep, sizes.peak_mib);
    results_set(results, allocator, GRID_FREED, rep, sizes.freed_mib);
    results_set(results, allocator, GRID_FAULTS, rep, (double)outcome->n_faults);
}

static bool is_figure(double value)
{
    return value > 0 && isfinite(value);
}

static void take_details(int allocator, const struct outcome *outcome)
{
    for (int i = 0; i < outcome->n_reported; i++) {
        const char *key = outcome->reported[i].key;
        if (strncmp(key, DETAIL_PREFIX, strlen(DETAIL_PREFIX)) == 0) {
            grid_set_detail(current_row, key + strlen(DETAIL_PREFIX), allocator,
                            outcome_figure(outcome, key));
        }
    }
}

static void take_report(int allocator, int rep, const struct outcome *outcome)
{
    double seconds = outcome_figure(outcome, KEY_SECONDS);
    struct sizes sizes = {.peak_mib = outcome_figure(outcome, KEY_PEAK),
                          .freed_mib = outcome_figure(outcome, KEY_FREED)};
    if (!is_figure(seconds) || !is_figure(sizes.peak_mib) || !is_figure(sizes.freed_mib)) {
        results_fail(&current_row->results, allocator,
                     "a figure is missing from the child's report");
        return;
    }
    set_figures(allocator, rep, outcome, seconds, sizes);
    if (rep >= 0) {
        take_details(allocator, outcome);
    }
}

static void workload_step(struct results *results, int allocator, int rep)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s", row_name);
    char quick[] = WORKLOAD_QUICK;
    char *arguments[] = {name, is_quick ? quick : NULL, NULL};
    struct outcome outcome;
    run_self(&bench, &bench.allocators.items[allocator], arguments, &outcome);
    if (outcome.failure[0] != '\0') {
        results_fail(results, allocator, outcome.failure);
        return;
    }
    take_report(allocator, rep, &outcome);
}

struct steps {
    bench_step *warm_up; /* NULL: none */
    bench_step *measure;
};

static const struct steps workload_steps = {.warm_up = workload_step, .measure = workload_step};
static const struct steps quick_workload_steps = {.measure = workload_step};

static void measure_row(const char *name, const char *about, enum group group,
                        const struct steps *steps)
{
    static char title[128];
    row_name = name;
    current_row = grid_add_row(&grid, name, about, group);
    (void)snprintf(title, sizeof title, "compare: %s", name);
    bench.name = title;
    if (steps->warm_up != NULL) {
        bench_warm_up(&current_row->results, steps->warm_up);
    }
    bench_interleave(&current_row->results, steps->measure);
    bench.name = info.name;
}

static void measure_workloads(const struct workload *table, enum group group)
{
    for (; table->name != NULL; table++) {
        if (is_wanted(table->name, group)) {
            measure_row(table->name, table->about, group,
                        is_quick ? &quick_workload_steps : &workload_steps);
        }
    }
}

/* ---- real programs ---- */

static const struct program *current_program;

static void take_program(int allocator, int rep, const struct outcome *outcome)
{
    if (outcome->failure[0] != '\0') {
        results_fail(&current_row->results, allocator, outcome->failure);
        return;
    }
    struct sizes sizes = {(double)outcome->peak_rss_kib / 1024, UNKNOWN};
    set_figures(allocator, rep, outcome, outcome->wall_us / 1e6, sizes);
}

static void program_step(struct results *results, int allocator, int rep)
{
    struct outcome outcome;
    (void)results;
    program_run(&bench, current_program, &bench.allocators.items[allocator], &outcome);
    take_program(allocator, rep, &outcome);
}

static void witnessed_program_step(struct results *results, int allocator, int rep)
{
    struct outcome outcome;
    (void)results;
    program_run_witnessed(&bench, current_program, &bench.allocators.items[allocator], &outcome);
    take_program(allocator, rep, &outcome);
}

static const struct steps program_steps = {.warm_up = witnessed_program_step,
                                           .measure = program_step};
static const struct steps quick_program_steps = {.measure = witnessed_program_step};

static void measure_program(const struct program *program)
{
    struct outcome outcome;
    program_prepare(&bench, program, &outcome);
    if (outcome.failure[0] != '\0') {
        (void)fprintf(stderr, "compare: %s does not run here: %s\n", program->name,
                      outcome.failure);
        has_unprepared = true;
        return;
    }
    current_program = program;
    measure_row(program->name, program->about, GROUP_PROGRAM,
                is_quick ? &quick_program_steps : &program_steps);
}

static void measure_programs(void)
{
    for (const struct program *program = programs; program->name != NULL; program++) {
        if (is_wanted(program->name, GROUP_PROGRAM) && program_is_installed(program)) {
            measure_program(program);
        }
    }
}

/* ---- all of it ---- */

static bool has_failures(void)
{
    for (int r = 0; r < grid.n_rows; r++) {
        for (int a = 0; a < bench.allocators.n; a++) {
            if (grid.rows[r].results.has_failed[a]) {
                return true;
            }
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    if (child_requested(argc, argv)) {
        return measure_child(child_start(argv));
    }
    bench_open(&bench, &info, argc, argv);
    if (!check_only()) {
        return 2;
    }
    n_reps = is_quick ? 1 : n_reps;
    grid_init(&grid, &bench, (int)n_reps);
    measure_workloads(synthetic_workloads, GROUP_SYNTHETIC);
    measure_workloads(client_workloads, GROUP_CLIENT);
    measure_programs();
    if (grid.n_rows == 0) {
        (void)fprintf(stderr, "compare: nothing of that can run here\n");
        return 1;
    }
    grid_print(&grid);
    bool is_written = (json_path == NULL || grid_write_json(&grid, json_path)) &&
                      (svg_path == NULL || grid_write_svg(&grid, svg_path));
    if (!is_written) {
        (void)fprintf(stderr, "compare: a file cannot be written\n");
    }
    return bench_close(&bench) == 0 && is_written && !has_failures() && !has_unprepared ? 0 : 1;
}
