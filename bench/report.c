/* SPDX-License-Identifier: MIT */
/*
 * Statistics, tables of text, and the comparison of ours with the best peer.
 */
#include "harness.h"

#include <stdlib.h>
#include <string.h>

/* ---- statistics ---- */

double stats_min(const double *values, int n)
{
    double least = values[0];
    for (int i = 0; i < n; i++) {
        if (isnan(values[i])) {
            return FAILED;
        }
        least = values[i] < least ? values[i] : least;
    }
    return least;
}

double stats_max(const double *values, int n)
{
    double most = values[0];
    for (int i = 0; i < n; i++) {
        if (isnan(values[i])) {
            return FAILED;
        }
        most = values[i] > most ? values[i] : most;
    }
    return most;
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

double stats_median(const double *values, int n)
{
    double *sorted = malloc((size_t)n * sizeof *sorted);
    if (sorted == NULL || isnan(stats_min(values, n))) {
        free(sorted);
        return FAILED;
    }
    memcpy(sorted, values, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, compare_doubles);
    double median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
    free(sorted);
    return median;
}

double stats_geomean(const double *values, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += log(values[i]); /* FAILED stays so */
    }
    return exp(sum / n);
}

/* ---- tables ---- */

void table_init(struct table *table, const char *first_heading)
{
    table->n_rows = 0;
    table->n_columns = 0;
    (void)table_add_column(table, first_heading);
}

int table_add_column(struct table *table, const char *heading)
{
    if (table->n_columns == N_TABLE_COLUMNS_MAX) {
        abort();
    }
    (void)snprintf(table->headings[table->n_columns], CELL_BYTES, "%s", heading);
    return table->n_columns++;
}

int table_add_row(struct table *table, const char *name)
{
    if (table->n_rows == N_TABLE_ROWS_MAX) {
        abort();
    }
    int row = table->n_rows++;
    for (int column = 1; column < table->n_columns; column++) {
        table_set_text(table, row, column, "-");
    }
    table_set_text(table, row, 0, name);
    return row;
}

void table_set_text(struct table *table, int row, int column, const char *text)
{
    (void)snprintf(table->cells[row][column], CELL_BYTES, "%s", text);
}

void table_set_number(struct table *table, int row, int column, double value, int decimals)
{
    if (isnan(value)) {
        table_set_text(table, row, column, "failed");
    } else {
        (void)snprintf(table->cells[row][column], CELL_BYTES, "%.*f", decimals, value);
    }
}

static int column_width(const struct table *table, int column)
{
    size_t width = strlen(table->headings[column]);
    for (int row = 0; row < table->n_rows; row++) {
        size_t n = strlen(table->cells[row][column]);
        width = n > width ? n : width;
    }
    return (int)width;
}

static void print_line(const struct table *table, const char (*cells)[CELL_BYTES])
{
    printf("%-*s", column_width(table, 0), cells[0]);
    for (int column = 1; column < table->n_columns; column++) {
        printf("  %*s", column_width(table, column), cells[column]);
    }
    printf("\n");
}

void table_print(const struct table *table)
{
    print_line(table, table->headings);
    for (int row = 0; row < table->n_rows; row++) {
        print_line(table, table->cells[row]);
    }
    printf("\n");
}

/* ---- summaries ---- */

void summary_init(struct summary *summary, const struct bench *bench)
{
    summary->bench = bench;
    summary->n_columns = 0;
}

int summary_add_column(struct summary *summary, const struct figure *column)
{
    if (summary->n_columns == N_FIGURES_MAX) {
        abort();
    }
    summary->columns[summary->n_columns] = *column;
    return summary->n_columns++;
}

int summary_add_figure(struct summary *summary, const struct results *results, int figure,
                       const char *heading, stats_reduce *reduce)
{
    struct figure described = results->figures[figure];
    described.heading = heading == NULL ? described.heading : heading;
    int column = summary_add_column(summary, &described);
    for (int a = 0; a < summary->bench->allocators.n; a++) {
        summary->values[a][column] = reduce(results_samples(results, a, figure), results->n_reps);
    }
    return column;
}

void summary_add_geomean(struct summary *summary)
{
    int n = summary->n_columns;
    struct figure mean = summary->columns[0];
    mean.heading = "geomean";
    int column = summary_add_column(summary, &mean);
    for (int a = 0; a < summary->bench->allocators.n; a++) {
        summary->values[a][column] = stats_geomean(summary->values[a], n);
    }
}

/* UNKNOWN when the baseline is not among the allocators. */
static double baseline_value(const struct summary *summary, int column, const char *baseline)
{
    int a = allocators_index(&summary->bench->allocators, baseline);
    return a < 0 ? UNKNOWN : summary->values[a][column];
}

void summary_add_ratio(struct summary *summary, int column, const char *baseline,
                       const char *heading)
{
    double base = baseline_value(summary, column, baseline);
    const struct figure ratio = {.heading = heading, .decimals = 3, .better = NOT_COMPARED};
    int added = summary_add_column(summary, &ratio);
    for (int a = 0; a < summary->bench->allocators.n; a++) {
        summary->values[a][added] = isinf(base) ? UNKNOWN : summary->values[a][column] / base;
    }
}

void summary_add_difference(struct summary *summary, int column, const char *baseline,
                            const char *heading)
{
    double base = baseline_value(summary, column, baseline);
    const struct figure difference = {
        .heading = heading, .decimals = summary->columns[column].decimals, .better = NOT_COMPARED};
    int added = summary_add_column(summary, &difference);
    for (int a = 0; a < summary->bench->allocators.n; a++) {
        summary->values[a][added] = isinf(base) ? UNKNOWN : summary->values[a][column] - base;
    }
}

static void init_summary_table(struct table *table, const struct summary *summary,
                               const char *first_heading)
{
    table_init(table, first_heading);
    for (int column = 0; column < summary->n_columns; column++) {
        (void)table_add_column(table, summary->columns[column].heading);
    }
}

static void set_value(struct table *table, int row, const struct summary *summary, int column,
                      double value)
{
    if (!isinf(value)) {
        table_set_number(table, row, column + 1, value, summary->columns[column].decimals);
    }
}

static struct table printed; /* too big for the stack, and one at a time is enough */

void summary_print(const struct summary *summary, const char *title)
{
    const struct bench *bench = summary->bench;
    init_summary_table(&printed, summary, "allocator");
    for (int a = 0; a < bench->allocators.n; a++) {
        int row = table_add_row(&printed, bench->allocators.items[a].name);
        for (int column = 0; column < summary->n_columns; column++) {
            set_value(&printed, row, summary, column, summary->values[a][column]);
        }
    }
    printf("%s\n", title);
    table_print(&printed);
}

static bool is_better(enum better better, double left, double right)
{
    return better == HIGHER_IS_BETTER ? left > right : left < right;
}

/* Index of the best allocator that is not ours and has not failed, or -1. */
static int best_peer(const struct summary *summary, int column)
{
    int best = -1;
    for (int a = 0; a < summary->bench->allocators.n; a++) {
        double value = summary->values[a][column];
        if (a == summary->bench->ours || isnan(value)) {
            continue;
        }
        if (best < 0 ||
            is_better(summary->columns[column].better, value, summary->values[best][column])) {
            best = a;
        }
    }
    return best;
}

enum { ROW_OURS, ROW_PEER, ROW_PEER_NAME, ROW_RATIO, N_ROWS };

static void compare_column(struct table *table, const struct summary *summary, int column)
{
    enum better better = summary->columns[column].better;
    int peer = best_peer(summary, column);
    if (better == NOT_COMPARED || peer < 0) {
        return;
    }
    double ours_value = summary->values[summary->bench->ours][column];
    double peer_value = summary->values[peer][column];
    set_value(table, ROW_OURS, summary, column, ours_value);
    set_value(table, ROW_PEER, summary, column, peer_value);
    table_set_text(table, ROW_PEER_NAME, column + 1, summary->bench->allocators.items[peer].name);
    table_set_number(table, ROW_RATIO, column + 1,
                     better == LOWER_IS_BETTER ? ours_value / peer_value : peer_value / ours_value,
                     3);
}

void summary_print_against_best(const struct summary *summary)
{
    static const char *const rows[N_ROWS] = {"ours", "best peer", "which is",
                                             "cost ratio (below 1: ours)"};
    if (summary->bench->ours < 0) {
        return;
    }
    init_summary_table(&printed, summary, "");
    for (int row = 0; row < N_ROWS; row++) {
        (void)table_add_row(&printed, rows[row]);
    }
    for (int column = 0; column < summary->n_columns; column++) {
        compare_column(&printed, summary, column);
    }
    table_print(&printed);
}
