/* SPDX-License-Identifier: MIT */
#include "grid.h"

#include <stdlib.h>
#include <string.h>

const struct figure grid_figures[N_GRID_FIGURES] = {
    [GRID_SECONDS] = {"seconds", "time", 4, LOWER_IS_BETTER},
    [GRID_PEAK] = {"peak_mib", "peak memory", 2, LOWER_IS_BETTER},
    [GRID_FREED] = {"freed_mib", "memory after all is freed", 2, LOWER_IS_BETTER},
    [GRID_FAULTS] = {"faults", "page faults", 0, LOWER_IS_BETTER},
};

const char *const group_names[N_GROUPS] = {"synthetic", "client", "program"};

/* The table of means shows the first ones; the others' stand below the tables of the groups. */
const struct group_union group_unions[N_GROUP_UNIONS] = {
    {"synthetic, client", 1U << GROUP_SYNTHETIC | 1U << GROUP_CLIENT},
    {"program", 1U << GROUP_PROGRAM},
    {"synthetic", 1U << GROUP_SYNTHETIC},
    {"client", 1U << GROUP_CLIENT},
};

enum { N_SHOWN_UNIONS = 2 };

void grid_init(struct grid *grid, const struct bench *bench, int n_reps)
{
    *grid = (struct grid){.bench = bench, .n_reps = n_reps};
    grid->rows = calloc(N_ROWS_MAX, sizeof *grid->rows);
    if (grid->rows == NULL) {
        (void)fprintf(stderr, "%s: out of memory\n", bench->name);
        exit(1);
    }
}

struct grid_row *grid_add_row(struct grid *grid, const char *name, const char *about,
                              enum group group)
{
    if (grid->n_rows == N_ROWS_MAX) {
        (void)fprintf(stderr, "%s: too many rows\n", grid->bench->name);
        exit(1);
    }
    struct grid_row *row = &grid->rows[grid->n_rows++];
    row->name = name;
    row->about = about;
    row->group = group;
    results_init(&row->results, grid->bench, grid_figures, N_GRID_FIGURES, grid->n_reps);
    return row;
}

void grid_set_detail(struct grid_row *row, const char *key, int allocator, double value)
{
    int i = 0;
    while (i < row->n_details && strcmp(row->details[i].key, key) != 0) {
        i++;
    }
    if (i == N_DETAILS_MAX) {
        (void)fprintf(stderr, "%s has too many details\n", row->name);
        exit(1);
    }
    if (i == row->n_details) {
        (void)snprintf(row->details[i].key, KEY_BYTES, "%s", key);
        for (int a = 0; a < N_ALLOCATORS_MAX; a++) {
            row->details[i].values[a] = FAILED;
        }
        row->n_details++;
    }
    row->details[i].values[allocator] = value;
}

double grid_detail(const struct grid_row *row, int detail, int allocator)
{
    return row->results.has_failed[allocator] ? FAILED : row->details[detail].values[allocator];
}

double grid_value(const struct grid_row *row, int allocator, enum grid_figure figure,
                  stats_reduce *reduce)
{
    return reduce(results_samples(&row->results, allocator, (int)figure), row->results.n_reps);
}

double grid_best_peer(const struct grid *grid, const struct grid_row *row, enum grid_figure figure,
                      stats_reduce *reduce, int *which)
{
    double best = FAILED;
    for (int a = 0; a < grid->bench->allocators.n; a++) {
        double value = grid_value(row, a, figure, reduce);
        if (a != grid->bench->ours && !isnan(value) && (isnan(best) || value < best)) {
            best = value;
            if (which != NULL) {
                *which = a;
            }
        }
    }
    return best;
}

static bool is_complete(const struct grid *grid, const struct grid_row *row)
{
    for (int a = 0; a < grid->bench->allocators.n; a++) {
        bool is_usable = grid->bench->allocators.items[a].unusable[0] == '\0';
        if (row->results.has_failed[a] && is_usable) {
            return false;
        }
    }
    return true;
}

int grid_count_complete(const struct grid *grid, unsigned group_mask)
{
    int n = 0;
    for (int r = 0; r < grid->n_rows; r++) {
        n += (group_mask >> grid->rows[r].group & 1) != 0 && is_complete(grid, &grid->rows[r]);
    }
    return n;
}

double grid_geomean(const struct grid *grid, int allocator, enum grid_figure figure,
                    stats_reduce *reduce, unsigned group_mask)
{
    double values[N_ROWS_MAX];
    int n = 0;
    for (int r = 0; r < grid->n_rows; r++) {
        const struct grid_row *row = &grid->rows[r];
        double value = grid_value(row, allocator, figure, reduce);
        if ((group_mask >> row->group & 1) != 0 && is_complete(grid, row) && isfinite(value)) {
            values[n++] = value;
        }
    }
    return n > 0 ? stats_geomean(values, n) : FAILED;
}

/* ---- tables ---- */

static struct table table; /* too big for the stack, and one at a time is enough */

/* What the tables show of the samples. */
static const struct view {
    enum grid_figure figure;
    stats_reduce *reduce;
    const char *heading;
    const char *unit;
} views[] = {
    {GRID_SECONDS, stats_median, "time", "seconds"},
    {GRID_SECONDS, stats_min, "time, least", "seconds"},
    {GRID_PEAK, stats_median, "peak memory", "MiB"},
    {GRID_FREED, stats_median, "memory after all is freed", "MiB"},
    {GRID_FAULTS, stats_median, "page faults", "faults"},
};

enum { N_VIEWS = sizeof views / sizeof views[0] };

static void begin_table(const struct grid *grid)
{
    table_init(&table, "");
    for (int a = 0; a < grid->bench->allocators.n; a++) {
        (void)table_add_column(&table, grid->bench->allocators.items[a].name);
    }
    (void)table_add_column(&table, "best peer");
    (void)table_add_column(&table, "is");
}

/* The last cells of a line: the figure that the others are ratios to, and whose it is. */
static void set_best(const struct grid *grid, int line, double best, int which, int n_decimals)
{
    int n = grid->bench->allocators.n;
    if (which >= 0) {
        table_set_number(&table, line, n + 1, best, n_decimals);
        table_set_text(&table, line, n + 2, grid->bench->allocators.items[which].name);
    }
}

/* "-" where there is no peer to compare with. */
static void set_ratio(int line, int column, double value, double best)
{
    if (isnan(best) && !isnan(value)) {
        table_set_text(&table, line, column, "-");
    } else {
        table_set_number(&table, line, column, value / best, 3);
    }
}

static void add_ratio_row(const struct grid *grid, const struct grid_row *row,
                          const struct view *view)
{
    int which = -1;
    double best = grid_best_peer(grid, row, view->figure, view->reduce, &which);
    if (isinf(best)) {
        return; /* a figure that such rows do not have */
    }
    int line = table_add_row(&table, row->name);
    for (int a = 0; a < grid->bench->allocators.n; a++) {
        double value = grid_value(row, a, view->figure, view->reduce);
        set_ratio(line, a + 1, value, best);
    }
    set_best(grid, line, best, which, grid_figures[view->figure].decimals);
}

/* Each allocator's geometric mean by that of the peer whose own is best. */
static void add_geomean_row(const struct grid *grid, const struct view *view, const char *name,
                            unsigned group_mask)
{
    int line = table_add_row(&table, name);
    int n = grid->bench->allocators.n;
    double means[N_ALLOCATORS_MAX];
    double best = FAILED;
    int which = -1;
    for (int a = 0; a < n; a++) {
        means[a] = grid_geomean(grid, a, view->figure, view->reduce, group_mask);
        if (a != grid->bench->ours && !isnan(means[a]) && (isnan(best) || means[a] < best)) {
            best = means[a];
            which = a;
        }
    }
    for (int a = 0; a < n; a++) {
        set_ratio(line, a + 1, means[a], best);
    }
    set_best(grid, line, best, which, grid_figures[view->figure].decimals);
}

static int count_rows(const struct grid *grid, unsigned group_mask)
{
    int n = 0;
    for (int r = 0; r < grid->n_rows; r++) {
        n += (int)(group_mask >> grid->rows[r].group & 1);
    }
    return n;
}

static void warn_of_incomplete(const struct grid *grid, unsigned group_mask)
{
    int n = count_rows(grid, group_mask);
    int n_complete = grid_count_complete(grid, group_mask);
    if (n_complete < n) {
        printf("the means are of %d of %d rows: in the others something failed\n", n_complete, n);
    }
}

static void print_view(const struct grid *grid, enum group group, const struct view *view)
{
    begin_table(grid);
    for (int r = 0; r < grid->n_rows; r++) {
        if (grid->rows[r].group == group) {
            add_ratio_row(grid, &grid->rows[r], view);
        }
    }
    if (table.n_rows == 0) {
        return;
    }
    add_geomean_row(grid, view, "geometric mean", 1U << group);
    printf("%s workloads: %s, %s of %d, ratio to the best peer (last columns: %s)\n",
           group_names[group], view->heading, view->reduce == stats_min ? "minimum" : "median",
           grid->n_reps, view->unit);
    table_print(&table);
    warn_of_incomplete(grid, 1U << group);
    printf("\n");
}

static void print_means(const struct grid *grid)
{
    begin_table(grid);
    for (const struct group_union *u = group_unions; u < group_unions + N_SHOWN_UNIONS; u++) {
        for (const struct view *view = views; view->figure <= GRID_PEAK; view++) {
            char name[CELL_BYTES];
            (void)snprintf(name, sizeof name, "%s: %s", u->name, view->heading);
            if (count_rows(grid, u->mask) > 0) {
                add_geomean_row(grid, view, name, u->mask);
            }
        }
    }
    printf("geometric means, ratio to the peer whose own is best\n");
    table_print(&table);
    warn_of_incomplete(grid, (1U << N_GROUPS) - 1);
    printf("\n");
}

static void print_details(const struct grid *grid)
{
    table_init(&table, "details");
    for (int a = 0; a < grid->bench->allocators.n; a++) {
        (void)table_add_column(&table, grid->bench->allocators.items[a].name);
    }
    for (int r = 0; r < grid->n_rows; r++) {
        const struct grid_row *row = &grid->rows[r];
        for (int d = 0; d < row->n_details && table.n_rows < N_TABLE_ROWS_MAX; d++) {
            char name[CELL_BYTES];
            (void)snprintf(name, sizeof name, "%.18s %.12s", row->name, row->details[d].key);
            int line = table_add_row(&table, name);
            for (int a = 0; a < grid->bench->allocators.n; a++) {
                table_set_number(&table, line, a + 1, grid_detail(row, d, a), 2);
            }
        }
    }
    if (table.n_rows > 0) {
        table_print(&table);
    }
}

void grid_print(const struct grid *grid)
{
    for (enum group group = 0; group < N_GROUPS; group++) {
        for (int v = 0; v < N_VIEWS && count_rows(grid, 1U << group) > 0; v++) {
            print_view(grid, group, &views[v]);
        }
    }
    print_means(grid);
    print_details(grid);
}
