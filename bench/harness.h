/* SPDX-License-Identifier: MIT */
/*
 * The parent's side of every benchmark: which allocators are compared, how a program is run under
 * each of them, where the samples are kept and how they are printed.
 *
 * A benchmark program is its own child: the parent starts it again with the argument --child and
 * one allocator in LD_PRELOAD, and reads lines "key value" from a pipe (child.h is that side).
 * The parent itself always runs on libc's malloc, on one thread, and stays small, because a child's
 * peak memory as the kernel reports it begins at the peak of the process that started it.
 *
 *   bench_open        options, allocators
 *   results_init      room for n_reps samples of each figure
 *   bench_interleave  A B C A B C ..., calling a step that runs one child (run.c)
 *   scratch_*         a directory for links and for what programs read and write (scratch.c)
 *   summary_*         samples to one number a cell, tables, ours against the best peer (report.c)
 *
 * A failure is never a number: a child that crashes, hangs, finds a wrong byte, lacks a figure or
 * does not have the allocator it was meant to have spoils every sample of that allocator in that
 * measurement, and its cells read "failed".
 */
#ifndef POOLALLOC_BENCH_HARNESS_H
#define POOLALLOC_BENCH_HARNESS_H

#include "child.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

/* What stands in the place of a number; isnan and isinf tell them. */
#define FAILED  ((double)NAN)
#define UNKNOWN ((double)INFINITY) /* prints as "-" */

enum {
    N_ALLOCATORS_MAX = 16,
    N_FIGURES_MAX = 64,
    KEY_BYTES = 32,  /* a key in a child's report, with its zero */
    CELL_BYTES = 32, /* a cell of a table, with its zero */
    VERSION_BYTES = 64,
};

/* ---- allocators.c: what is compared ---- */

struct allocator {
    const char *name;
    const char *path;             /* the library's resolved path; NULL: libc's own malloc */
    const char *preload;          /* the same file as LD_PRELOAD can name it; NULL: no preload */
    char version[VERSION_BYTES];  /* the library's word on it, or else the end of its file's name */
    char unusable[FAILURE_BYTES]; /* why it cannot be measured at all; empty: it can */
};

struct allocator_list {
    int n;
    struct allocator items[N_ALLOCATORS_MAX];
};

/* Adds NAME with library PATH. False when the list is full or has that name already. */
bool allocators_add(struct allocator_list *list, const char *name, const char *path);

/* Adds glibc and every known peer whose library is installed. */
void allocators_add_installed(struct allocator_list *list);

/* Index of the allocator called so, or -1. */
int allocators_index(const struct allocator_list *list, const char *name);

/* Keeps the comma separated names only. False when one of them is not in the list. */
bool allocators_keep(struct allocator_list *list, const char *names);

/* ---- harness.c: options, samples, interleaving ---- */

struct bench {
    const char *name;
    struct allocator_list allocators;
    int ours; /* index of the allocator under test, or -1 when it is not among them */
    const char *ours_path;
    const char *allocators_wanted; /* --allocators, or NULL */
    FILE *raw;                     /* --raw: every sample as a line of text; or NULL */
    long timeout_s;                /* a child that takes longer is ended and failed */
    bool is_timeout_given;         /* by --timeout, rather than the default */
};

/* An option of one benchmark, a number of at least 1. Its default is what *value holds. */
struct number_option {
    const char *name;
    const char *help;
    long *value;
};

/* The same with a text as its value, NULL when it is not given. */
struct text_option {
    const char *name;
    const char *help; /* begins with what the value is, in capitals, and a colon */
    const char **value;
};

/* An option without a value, off by default. */
struct switch_option {
    const char *name;
    const char *help;
    bool *value;
};

struct bench_info {
    const char *name;
    const char *about;
    const struct number_option *options;  /* ends with a NULL name */
    const struct text_option *texts;      /* the same, or NULL */
    const struct switch_option *switches; /* the same, or NULL */
};

/*
 * Reads the command line; exits with status 2 when it is wrong, 0 after --help. Then finds out
 * whether each allocator's preload takes effect, and prints what is compared.
 */
void bench_open(struct bench *bench, const struct bench_info *info, int argc, char **argv);

/* Ends what bench_open began. Returns the program's exit status. */
int bench_close(struct bench *bench);

/* For a benchmark whose children take that much longer by design; --timeout means what it says. */
void bench_allow_longer(struct bench *bench, long seconds);

enum better { LOWER_IS_BETTER, HIGHER_IS_BETTER, NOT_COMPARED };

struct figure {
    const char *key; /* as the child reports it: no blanks */
    const char *heading;
    int decimals;
    enum better better;
};

struct results {
    const struct bench *bench;
    const struct figure *figures;
    int n_figures;
    int n_reps;
    double *samples; /* [allocator][figure][rep] */
    bool has_failed[N_ALLOCATORS_MAX];
    char failures[N_ALLOCATORS_MAX][FAILURE_BYTES]; /* why */
};

void results_init(struct results *results, const struct bench *bench, const struct figure *figures,
                  int n_figures, long n_reps);
void results_free(struct results *results);
void results_set(struct results *results, int allocator, int figure, int rep, double value);

/* Says why on stderr. The allocator's later turns are left out: one crash is enough to know. */
void results_fail(struct results *results, int allocator, const char *why);

/* The n_reps samples of a figure. */
double *results_samples(const struct results *results, int allocator, int figure);

/* Measures once. Calls results_set for every figure, or results_fail. */
typedef void bench_step(struct results *results, int allocator, int rep);

/* Runs step once for each, with -1 for the repetition: what it measures is not to be kept. */
void bench_warm_up(struct results *results, bench_step *step);

/* Runs step for A B C A B C ..., n_reps times each, then writes the raw samples if asked to. */
void bench_interleave(struct results *results, bench_step *step);

/* A step's usual body: this program as a child, the figures being what it reports. */
void bench_run_child(struct results *results, int allocator, int rep, char *const arguments[]);

/* ---- run.c: one program under one allocator ---- */

struct reported {
    char key[KEY_BYTES];
    char text[FAILURE_BYTES];
};

struct outcome {
    char failure[FAILURE_BYTES]; /* why it does not count; empty when the program ended well */
    double wall_us;              /* from before the spawn until nothing of it was left */
    double cpu_us;               /* user and system, of the program and all its descendants */
    long peak_rss_kib;           /* biggest of the program and all its descendants */
    long n_faults;               /* page faults, of the program and all its descendants */
    int n_reported;
    struct reported reported[N_FIGURES_MAX];
};

/* What the child reported by that key: NULL, or FAILED, when it did not. */
const struct reported *outcome_find(const struct outcome *outcome, const char *key);
double outcome_figure(const struct outcome *outcome, const char *key);

/* Before the first run. From now on SIGHUP, SIGINT, SIGTERM and SIGQUIT end the run, then us. */
void run_open(const struct bench *bench);

/* Runs argv (argv[0] is a path) to its end, with stdin and stdout at /dev/null. */
void run_program(const struct bench *bench, const struct allocator *allocator, char *const argv[],
                 struct outcome *outcome);

/*
 * A shell script. The shell itself is not preloaded; the variable PRELOADED holds an `env` command
 * that preloads what follows it. Descriptor 3 is for lines "key value" that outcome_find() finds.
 */
struct script {
    const char *text;
    const char *directory; /* where it runs */
    const char *output;    /* the file that stdout goes to; NULL: nowhere */
    const char *errors;    /* the file that stderr goes to; NULL: our own stderr */
    const char *witness;   /* witness.c's library, or NULL */
    const char *witnessed; /* with a witness: the file that it writes to */
};

void run_script(const struct bench *bench, const struct allocator *allocator,
                const struct script *script, struct outcome *outcome);

/* Runs this program again as a child with these arguments (NULL ended; NULL: none). */
void run_self(const struct bench *bench, const struct allocator *allocator, char *const arguments[],
              struct outcome *outcome);

/* ---- scratch.c: a directory of our own ---- */

/* Makes it, or exits with status 1. It is removed at exit. */
void scratch_make(const struct bench *bench);
void scratch_remove(void);
const char *scratch_path(void); /* absolute, of letters, digits and ". _ + - /" only */

/* The path itself or, where it is not as plain as that, one of a link to it; NULL: neither. */
const char *scratch_plain_path(const char *path);

/* ---- report.c: statistics and tables ---- */

typedef double stats_reduce(const double *values, int n);

/* Each is FAILED when any of the values is. */
double stats_min(const double *values, int n);
double stats_max(const double *values, int n);
double stats_median(const double *values, int n);
double stats_geomean(const double *values, int n);

enum { N_TABLE_ROWS_MAX = 128, N_TABLE_COLUMNS_MAX = N_FIGURES_MAX + 2 };

/* Cells of text; column 0 is the row's name. A cell that nobody sets is "-". */
struct table {
    int n_rows;
    int n_columns;
    char headings[N_TABLE_COLUMNS_MAX][CELL_BYTES];
    char cells[N_TABLE_ROWS_MAX][N_TABLE_COLUMNS_MAX][CELL_BYTES];
};

void table_init(struct table *table, const char *first_heading);
int table_add_column(struct table *table, const char *heading);
int table_add_row(struct table *table, const char *name); /* after all columns */
void table_set_text(struct table *table, int row, int column, const char *text);
void table_set_number(struct table *table, int row, int column, double value, int decimals);
void table_print(const struct table *table);

/* One number an allocator and column. */
struct summary {
    const struct bench *bench;
    int n_columns;
    struct figure columns[N_FIGURES_MAX];
    double values[N_ALLOCATORS_MAX][N_FIGURES_MAX];
};

void summary_init(struct summary *summary, const struct bench *bench);

/* Adds a column of values yet to be set and returns its index. */
int summary_add_column(struct summary *summary, const struct figure *column);

/* Adds a column that reduces the samples of one figure; heading NULL: the figure's own. */
int summary_add_figure(struct summary *summary, const struct results *results, int figure,
                       const char *heading, stats_reduce *reduce);

/* Adds the geometric mean of the columns so far, which must all be in one unit. */
void summary_add_geomean(struct summary *summary);

/* Adds a column's quotient by, or difference to, the baseline allocator's value in it. */
void summary_add_ratio(struct summary *summary, int column, const char *baseline,
                       const char *heading);
void summary_add_difference(struct summary *summary, int column, const char *baseline,
                            const char *heading);

/* A row an allocator. */
void summary_print(const struct summary *summary, const char *title);

/*
 * Ours, the best peer of each column, and the ratio of the two as a cost: ours / peer where lower
 * is better, peer / ours where higher is, so that below 1 is always in our favour.
 */
void summary_print_against_best(const struct summary *summary);

#endif
