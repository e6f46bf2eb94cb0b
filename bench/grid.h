/* SPDX-License-Identifier: MIT */
/*
 * The results of a comparison: a row a workload, a column an allocator, and in each cell the
 * samples of some figures. Tables, JSON and SVG are made from it.
 */
#ifndef POOLALLOC_BENCH_GRID_H
#define POOLALLOC_BENCH_GRID_H

#include "harness.h"

enum grid_figure { GRID_SECONDS, GRID_PEAK, GRID_FREED, GRID_FAULTS, N_GRID_FIGURES };

enum { N_ROWS_MAX = 96, N_DETAILS_MAX = 64 };

extern const struct figure grid_figures[N_GRID_FIGURES];

enum group { GROUP_SYNTHETIC, GROUP_CLIENT, GROUP_PROGRAM, N_GROUPS };

extern const char *const group_names[N_GROUPS];

struct detail {
    char key[KEY_BYTES];
    double values[N_ALLOCATORS_MAX]; /* of the last repetition */
};

struct grid_row {
    const char *name;
    const char *about;
    enum group group;
    struct results results; /* by grid_figures */
    int n_details;
    struct detail details[N_DETAILS_MAX];
};

struct grid {
    const struct bench *bench;
    int n_reps;
    int n_rows;
    struct grid_row *rows; /* N_ROWS_MAX */
};

void grid_init(struct grid *grid, const struct bench *bench, int n_reps);
struct grid_row *grid_add_row(struct grid *grid, const char *name, const char *about,
                              enum group group);
void grid_set_detail(struct grid_row *row, const char *key, int allocator, double value);

/* FAILED when the allocator failed in this row. */
double grid_detail(const struct grid_row *row, int detail, int allocator);

/* FAILED when any repetition failed. */
double grid_value(const struct grid_row *row, int allocator, enum grid_figure figure,
                  stats_reduce *reduce);

/* The best value of all allocators but ours; FAILED when no peer has one. */
double grid_best_peer(const struct grid *grid, const struct grid_row *row, enum grid_figure figure,
                      stats_reduce *reduce, int *which);

/* Geometric mean over the rows of the groups in the mask, of rows in which no allocator
 * failed but those that never worked. FAILED when there are none. */
double grid_geomean(const struct grid *grid, int allocator, enum grid_figure figure,
                    stats_reduce *reduce, unsigned group_mask);

/* Groups whose rows make up a geometric mean of their own. */
struct group_union {
    const char *name;
    unsigned mask;
};

enum { N_GROUP_UNIONS = 4 };

extern const struct group_union group_unions[N_GROUP_UNIONS];

/* Rows of these groups that the geometric means are made of. */
int grid_count_complete(const struct grid *grid, unsigned group_mask);

void grid_print(const struct grid *grid);

/* False: cannot be written. */
bool grid_write_json(const struct grid *grid, const char *path);
bool grid_write_svg(const struct grid *grid, const char *path);

#endif
