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
#include "programs.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static long n_reps = 5;

static const struct number_option numbers[] = {
    {"--reps", "fresh processes of each allocator in a row", &n_reps},
    {NULL, NULL, NULL},
};

static const char *only;
static const char *json_path;
static const char *svg_path;

static const struct text_option texts[] = {
    {"--only", "ROW,...: these rows, or groups (synthetic, client, program) of rows", &only},
    {"--json", "FILE: write every figure and sample", &json_path},
    {"--svg", "FILE: write a chart of the geometric means", &svg_path},
    {NULL, NULL, NULL},
};

static const struct bench_info info = {
    "compare", "all workloads and real programs, in time and memory", numbers, texts};

static struct bench bench;
static struct grid grid;

/* ---- which rows ---- */

static bool is_listed(const char *name)
{
    size_t n_bytes = strlen(name);
    for (const char *at = only; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, n_bytes) == 0 && (at[n_bytes] == ',' || at[n_bytes] == '\0')) {
            return true;
        }
    }
    return false;
}

static bool is_wanted(const char *name, enum group group)
{
    return only == NULL || is_listed(name) || is_listed(group_names[group]);
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
    const char *at = only;
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
static struct grid_row *row;

struct sizes {
    double peak_mib;
    double freed_mib;
};

static void set_figures(int allocator, int rep, const struct outcome *outcome, double seconds,
                        struct sizes sizes)
{
    struct results *results = &row->results;
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

static void take_report(int allocator, int rep, const struct outcome *outcome)
{
    double seconds = FAILED;
    struct sizes sizes = {FAILED, FAILED};
    for (int i = 0; i < outcome->n_reported; i++) {
        const struct reported *reported = &outcome->reported[i];
        if (strcmp(reported->key, KEY_SECONDS) == 0) {
            seconds = reported->value;
        } else if (strcmp(reported->key, KEY_FREED) == 0) {
            sizes.freed_mib = reported->value;
        } else if (strcmp(reported->key, KEY_PEAK) == 0) {
            sizes.peak_mib = reported->value;
        } else if (rep >= 0 && strncmp(reported->key, DETAIL_PREFIX, strlen(DETAIL_PREFIX)) == 0) {
            grid_set_detail(row, reported->key + strlen(DETAIL_PREFIX), allocator, reported->value);
        }
    }
    if (!is_figure(seconds) || !is_figure(sizes.peak_mib) || !is_figure(sizes.freed_mib)) {
        results_fail(&row->results, allocator, "a figure is missing from the child's report");
        return;
    }
    set_figures(allocator, rep, outcome, seconds, sizes);
}

static void workload_step(struct results *results, int allocator, int rep)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s", row_name);
    char *arguments[] = {name, NULL};
    struct outcome outcome;
    run_self(&bench, &bench.allocators.items[allocator], arguments, &outcome);
    if (outcome.failure[0] != '\0') {
        results_fail(results, allocator, outcome.failure);
        return;
    }
    take_report(allocator, rep, &outcome);
}

static void measure_row(const char *name, const char *about, enum group group, bench_step *step)
{
    static char title[128];
    row_name = name;
    row = grid_add_row(&grid, name, about, group);
    (void)snprintf(title, sizeof title, "compare: %s", name);
    bench.name = title;
    bench_warm_up(&row->results, step);
    bench_interleave(&row->results, step);
    bench.name = info.name;
}

static void measure_workloads(const struct workload *table, enum group group)
{
    for (; table->name != NULL; table++) {
        if (is_wanted(table->name, group)) {
            measure_row(table->name, table->about, group, workload_step);
        }
    }
}

/* ---- real programs ---- */

static char scratch[PATH_MAX];         /* a directory of our own */
static const struct program *running;  /* the row's program */
static char directory[PATH_MAX + 64];  /* where it runs */
static char reference[PATH_MAX + 128]; /* what it wrote under libc's own malloc */

static bool is_command(const char *name, size_t n_bytes)
{
    static const char *const directories[] = {"/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin",
                                              "/sbin"};
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
        char path[PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/%.*s", directories[i], (int)n_bytes, name);
        if (access(path, X_OK) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_all_commands(const struct program *program)
{
    for (const char *at = program->needs; *at != '\0';) {
        size_t n_bytes = strcspn(at, " ");
        if (!is_command(at, n_bytes)) {
            (void)fprintf(stderr, "compare: %s is left out: no %.*s (Debian: %s)\n", program->name,
                          (int)n_bytes, at, program->package);
            return false;
        }
        at += n_bytes + strspn(at + n_bytes, " ");
    }
    return true;
}

static bool is_same_file(const char *left_path, const char *right_path)
{
    FILE *left = fopen(left_path, "re");
    FILE *right = fopen(right_path, "re");
    bool is_same = left != NULL && right != NULL;
    long n = 0;
    for (int a = 0, b = 0; is_same && a != EOF; n++) {
        a = getc(left);
        b = getc(right);
        is_same = a == b;
    }
    is_same = is_same && n > 1; /* two empty files tell nothing */
    if (left != NULL) {
        (void)fclose(left);
    }
    if (right != NULL) {
        (void)fclose(right);
    }
    return is_same;
}

static const struct allocator libc_allocator = {.name = "glibc"};

static void program_step(struct results *results, int allocator, int rep)
{
    char output[PATH_MAX + 128];
    struct outcome outcome;
    (void)snprintf(output, sizeof output, "%s.output", directory);
    run_script(&bench, &bench.allocators.items[allocator], directory, running->run, output,
               &outcome);
    if (outcome.failure[0] != '\0') {
        results_fail(results, allocator, outcome.failure);
    } else if (!is_same_file(output, reference)) {
        results_fail(results, allocator, "its output is not as under libc's own malloc");
    } else {
        struct sizes sizes = {(double)outcome.peak_rss_kib / 1024, UNKNOWN};
        set_figures(allocator, rep, &outcome, outcome.wall_us / 1e6, sizes);
    }
}

/* Inputs, and the output that all others must equal. */
static bool prepare_program(const struct program *program)
{
    struct outcome outcome;
    running = program;
    (void)snprintf(directory, sizeof directory, "%s/%s", scratch, program->name);
    (void)snprintf(reference, sizeof reference, "%s.reference", directory);
    if (mkdir(directory, 0777) != 0 || chmod(directory, 0777) != 0) {
        return false;
    }
    run_script(&bench, &libc_allocator, directory, program->prepare, "/dev/null", &outcome);
    if (outcome.failure[0] == '\0') {
        run_script(&bench, &libc_allocator, directory, program->run, reference, &outcome);
    }
    if (outcome.failure[0] != '\0') {
        (void)fprintf(stderr, "compare: %s does not run here: %s\n", program->name,
                      outcome.failure);
    }
    return outcome.failure[0] == '\0';
}

static void remove_scratch(void)
{
    struct outcome outcome;
    if (scratch[0] != '\0') {
        run_script(&bench, &libc_allocator, "/", "rm -rf \"$SCRATCH\"", "/dev/null", &outcome);
    }
}

static bool make_scratch(void)
{
    const char *parent = getenv("TMPDIR");
    (void)snprintf(scratch, sizeof scratch, "%s/poolalloc-compare-XXXXXX",
                   parent != NULL ? parent : "/tmp");
    if (mkdtemp(scratch) == NULL || chmod(scratch, 0755) != 0 ||
        setenv("SCRATCH", scratch, 1) != 0) {
        (void)fprintf(stderr, "compare: no directory can be made for the programs\n");
        return false;
    }
    return true;
}

static void measure_programs(void)
{
    bool is_scratch_made = false;
    for (const struct program *program = programs; program->name != NULL; program++) {
        if (!is_wanted(program->name, GROUP_PROGRAM) || !has_all_commands(program)) {
            continue;
        }
        if (!is_scratch_made && !make_scratch()) {
            return;
        }
        is_scratch_made = true;
        if (prepare_program(program)) {
            measure_row(program->name, program->about, GROUP_PROGRAM, program_step);
        }
    }
    if (is_scratch_made) {
        remove_scratch();
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
    bench_check_preloads(&bench);
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
    return bench_close(&bench) == 0 && is_written && !has_failures() ? 0 : 1;
}
