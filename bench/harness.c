/* SPDX-License-Identifier: MIT */
/*
 * Options, samples and the interleaved runs. See harness.h for how the parts fit.
 */
#include "harness.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef POOLALLOC_LIBRARY /* a build without ours: --ours names it, or only peers are measured */
#define POOLALLOC_LIBRARY ""
#endif

enum { TIMEOUT_S_MAX = 1000000 };

static _Noreturn void usage_error(const struct bench *bench, const char *what, const char *argument)
{
    (void)fprintf(stderr, "%s: %s: %s (try --help)\n", bench->name, what, argument);
    exit(2);
}

/* ---- options ---- */

static char *library_path(const struct bench *bench, const char *path)
{
    char *resolved = realpath(path, NULL);
    if (resolved == NULL) {
        usage_error(bench, "no such library", path);
    }
    return resolved;
}

static void take_ours(struct bench *bench, const char *value)
{
    bench->ours_path = library_path(bench, value);
}

static void take_peer(struct bench *bench, const char *value)
{
    const char *equals = strchr(value, '=');
    if (equals == NULL || equals == value) {
        usage_error(bench, "not NAME=PATH", value);
    }
    char *name = strndup(value, (size_t)(equals - value));
    if (name == NULL ||
        !allocators_add(&bench->allocators, name, library_path(bench, equals + 1))) {
        usage_error(bench, "name taken or too many peers", value);
    }
}

static void take_only(struct bench *bench, const char *value)
{
    bench->allocators_wanted = value;
}

static void take_raw(struct bench *bench, const char *value)
{
    bench->raw = fopen(value, "ae");
    if (bench->raw == NULL) {
        usage_error(bench, "cannot write", value);
    }
}

static void take_timeout(struct bench *bench, const char *value)
{
    char *end;
    bench->timeout_s = strtol(value, &end, 10);
    bench->is_timeout_given = true;
    if (*end != '\0' || bench->timeout_s < 1 || bench->timeout_s > TIMEOUT_S_MAX) {
        usage_error(bench, "not a number of seconds", value);
    }
}

static const struct common_option {
    const char *name;
    const char *help;
    void (*take)(struct bench *bench, const char *value);
} common_options[] = {
    {"--ours", "PATH: the library under test (default: the one this build made)", take_ours},
    {"--peer", "NAME=PATH: one more allocator to compare with; may be repeated", take_peer},
    {"--allocators", "NAME,...: leave out all others", take_only},
    {"--raw", "FILE: append every sample to it", take_raw},
    {"--timeout", "SECONDS: a child that takes longer has failed", take_timeout},
};

enum {
    N_COMMON_OPTIONS = sizeof common_options / sizeof common_options[0],
    TIMEOUT_S_DEFAULT = 300,
};

static void print_help(const struct bench_info *info)
{
    printf("%s: %s\n\n", info->name, info->about);
    for (const struct number_option *option = info->options; option->name != NULL; option++) {
        printf("  %-13s N: %s (default %ld)\n", option->name, option->help, *option->value);
    }
    for (const struct text_option *text = info->texts; text != NULL && text->name != NULL; text++) {
        printf("  %-13s %s\n", text->name, text->help);
    }
    for (const struct switch_option *s = info->switches; s != NULL && s->name != NULL; s++) {
        printf("  %-13s %s\n", s->name, s->help);
    }
    for (int i = 0; i < N_COMMON_OPTIONS; i++) {
        printf("  %-13s %s\n", common_options[i].name, common_options[i].help);
    }
}

static bool take_number(struct bench *bench, const struct number_option *options, const char *name,
                        const char *value)
{
    for (const struct number_option *option = options; option->name != NULL; option++) {
        if (strcmp(option->name, name) == 0) {
            char *end;
            *option->value = strtol(value, &end, 10);
            if (*end != '\0' || *option->value < 1 || *option->value > 1000000000) {
                usage_error(bench, "not a number of at least 1", value);
            }
            return true;
        }
    }
    return false;
}

static bool take_text(const struct text_option *texts, const char *name, const char *value)
{
    for (const struct text_option *text = texts; text != NULL && text->name != NULL; text++) {
        if (strcmp(text->name, name) == 0) {
            *text->value = value;
            return true;
        }
    }
    return false;
}

static bool take_switch(const struct switch_option *switches, const char *name)
{
    for (const struct switch_option *s = switches; s != NULL && s->name != NULL; s++) {
        if (strcmp(s->name, name) == 0) {
            *s->value = true;
            return true;
        }
    }
    return false;
}

static bool take_common(struct bench *bench, const char *name, const char *value)
{
    for (int i = 0; i < N_COMMON_OPTIONS; i++) {
        if (strcmp(common_options[i].name, name) == 0) {
            common_options[i].take(bench, value);
            return true;
        }
    }
    return false;
}

static void take_options(struct bench *bench, const struct bench_info *info, int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--help") == 0) {
            print_help(info);
            exit(0);
        }
        if (take_switch(info->switches, argv[i])) {
            i--; /* no value follows */
            continue;
        }
        if (i + 1 == argc) {
            usage_error(bench, "unknown option, or its value is missing", argv[i]);
        }
        if (!take_number(bench, info->options, argv[i], argv[i + 1]) &&
            !take_text(info->texts, argv[i], argv[i + 1]) &&
            !take_common(bench, argv[i], argv[i + 1])) {
            usage_error(bench, "unknown option", argv[i]);
        }
    }
}

/* ---- a benchmark's beginning and end ---- */

static void add_ours(struct bench *bench)
{
    bench->ours_path = realpath(POOLALLOC_LIBRARY, NULL);
    (void)allocators_add(&bench->allocators, "poolalloc", NULL);
}

/* Ours was entered first, for its row to be the first; by now its path is known. */
static void settle_ours(struct bench *bench)
{
    struct allocator_list *list = &bench->allocators;
    if (bench->ours_path == NULL) {
        (void)fprintf(stderr, "%s: no library under test (--ours); peers only\n", bench->name);
        list->n--;
        memmove(list->items, list->items + 1, (size_t)list->n * sizeof list->items[0]);
        return;
    }
    list->items[0].path = bench->ours_path;
}

/* What the name of a library's file says: 2.8 of libtbbmalloc_proxy.so.2.8. */
static const char *version_in_name(const char *path)
{
    static const char suffix[] = ".so.";
    const char *at = path == NULL ? NULL : strstr(path, suffix);
    return at == NULL ? "-" : at + strlen(suffix);
}

/* Whether the preload takes effect, and what the library says of itself. */
static void probe(const struct bench *bench, struct allocator *allocator)
{
    char option[] = CHILD_PROBE;
    char *arguments[] = {option, NULL};
    struct outcome outcome;
    allocator->preload = NULL;
    if (allocator->path != NULL) {
        allocator->preload = scratch_plain_path(allocator->path);
    }
    run_self(bench, allocator, arguments, &outcome);
    const struct reported *version = outcome_find(&outcome, CHILD_VERSION);
    (void)snprintf(allocator->version, sizeof allocator->version, "%.*s", VERSION_BYTES - 1,
                   version != NULL ? version->text : version_in_name(allocator->path));
    (void)snprintf(allocator->unusable, sizeof allocator->unusable, "%s", outcome.failure);
}

static void print_allocators(const struct bench *bench)
{
    printf("compared:\n");
    for (int i = 0; i < bench->allocators.n; i++) {
        const struct allocator *allocator = &bench->allocators.items[i];
        printf("  %-12s %-10s %s\n", allocator->name, allocator->version,
               allocator->path == NULL ? "libc's own malloc" : allocator->path);
    }
    printf("\n");
    (void)fflush(stdout);
}

void bench_open(struct bench *bench, const struct bench_info *info, int argc, char **argv)
{
    *bench = (struct bench){.name = info->name, .timeout_s = TIMEOUT_S_DEFAULT};
    add_ours(bench);
    allocators_add_installed(&bench->allocators);
    take_options(bench, info, argc, argv);
    settle_ours(bench);
    if (bench->allocators_wanted != NULL &&
        !allocators_keep(&bench->allocators, bench->allocators_wanted)) {
        usage_error(bench, "not all of these allocators are there", bench->allocators_wanted);
    }
    bench->ours = allocators_index(&bench->allocators, "poolalloc");
    scratch_make(bench);
    run_open(bench);
    for (int i = 0; i < bench->allocators.n; i++) {
        probe(bench, &bench->allocators.items[i]);
    }
    print_allocators(bench);
}

void bench_allow_longer(struct bench *bench, long seconds)
{
    if (!bench->is_timeout_given) {
        bench->timeout_s += seconds;
    }
}

int bench_close(struct bench *bench)
{
    if (bench->raw != NULL && fclose(bench->raw) != 0) {
        return 1;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

/* ---- samples ---- */

void results_init(struct results *results, const struct bench *bench, const struct figure *figures,
                  int n_figures, long n_reps)
{
    size_t n_samples = (size_t)bench->allocators.n * (size_t)n_figures * (size_t)n_reps;
    *results = (struct results){.bench = bench,
                                .figures = figures,
                                .n_figures = n_figures,
                                .n_reps = (int)n_reps,
                                .samples = malloc(n_samples * sizeof(double))};
    if (results->samples == NULL) {
        (void)fprintf(stderr, "%s: out of memory\n", bench->name);
        exit(1);
    }
    for (size_t i = 0; i < n_samples; i++) {
        results->samples[i] = FAILED;
    }
}

void results_free(struct results *results)
{
    free(results->samples);
    results->samples = NULL;
}

double *results_samples(const struct results *results, int allocator, int figure)
{
    size_t row = (size_t)allocator * (size_t)results->n_figures + (size_t)figure;
    return results->samples + row * (size_t)results->n_reps;
}

void results_set(struct results *results, int allocator, int figure, int rep, double value)
{
    results_samples(results, allocator, figure)[rep] = value;
}

static void clear_progress(void)
{
    if (isatty(STDERR_FILENO)) {
        (void)fputs("\r\033[K", stderr);
    }
}

void results_fail(struct results *results, int allocator, const char *why)
{
    const struct bench *bench = results->bench;
    clear_progress();
    (void)fprintf(stderr, "%s: %s: %s\n", bench->name, bench->allocators.items[allocator].name,
                  why);
    results->has_failed[allocator] = true;
    (void)snprintf(results->failures[allocator], FAILURE_BYTES, "%s", why);
    for (int figure = 0; figure < results->n_figures; figure++) {
        for (int rep = 0; rep < results->n_reps; rep++) {
            results_set(results, allocator, figure, rep, FAILED);
        }
    }
}

static void write_raw(const struct results *results)
{
    const struct bench *bench = results->bench;
    for (int a = 0; a < bench->allocators.n; a++) {
        for (int f = 0; f < results->n_figures; f++) {
            const double *samples = results_samples(results, a, f);
            for (int rep = 0; rep < results->n_reps; rep++) {
                (void)fprintf(bench->raw, "%s %s %s %d %.9g\n", bench->name,
                              bench->allocators.items[a].name, results->figures[f].key, rep,
                              samples[rep]);
            }
        }
    }
}

/* ---- running ---- */

static void show_progress(const struct results *results, int allocator, int rep)
{
    const struct bench *bench = results->bench;
    if (isatty(STDERR_FILENO)) {
        (void)fprintf(stderr, "\r\033[K%s: %d/%d %s", bench->name, rep + 1, results->n_reps,
                      bench->allocators.items[allocator].name);
    }
}

static void run_turn(struct results *results, bench_step *step, int allocator, int rep)
{
    if (results->has_failed[allocator]) {
        return;
    }
    const char *unusable = results->bench->allocators.items[allocator].unusable;
    if (unusable[0] != '\0') {
        results_fail(results, allocator, unusable);
        return;
    }
    show_progress(results, allocator, rep);
    step(results, allocator, rep);
}

void bench_warm_up(struct results *results, bench_step *step)
{
    for (int a = 0; a < results->bench->allocators.n; a++) {
        run_turn(results, step, a, -1);
    }
}

void bench_interleave(struct results *results, bench_step *step)
{
    for (int rep = 0; rep < results->n_reps; rep++) {
        /* Each time another one comes first: none has the same one before it always. */
        int n = results->bench->allocators.n;
        for (int a = 0; a < n; a++) {
            run_turn(results, step, (a + rep) % n, rep);
        }
    }
    clear_progress();
    if (results->bench->raw != NULL) {
        write_raw(results);
        (void)fflush(results->bench->raw);
    }
}

void bench_run_child(struct results *results, int allocator, int rep, char *const arguments[])
{
    struct outcome outcome;
    run_self(results->bench, &results->bench->allocators.items[allocator], arguments, &outcome);
    if (outcome.failure[0] != '\0') {
        results_fail(results, allocator, outcome.failure);
        return;
    }
    for (int f = 0; f < results->n_figures; f++) {
        double value = outcome_figure(&outcome, results->figures[f].key);
        if (!isfinite(value)) {
            results_fail(results, allocator, "a figure is missing from the child's report");
            return;
        }
        results_set(results, allocator, f, rep, value);
    }
}
