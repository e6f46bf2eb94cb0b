/* SPDX-License-Identifier: MIT */
#include "program_run.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_SERVERS_PEAK "peak_kib"

enum {
    PATH_BYTES = PATH_MAX + 64,
    LINE_BYTES = 1024,
    WORD_BYTES = 64,
    HALF_BYTES = FAILURE_BYTES / 2 - 1
};

/* Where a program runs, and the files beside that directory. */
struct place {
    char directory[PATH_BYTES];
    char reference[PATH_BYTES]; /* what it wrote under libc's own malloc */
    char output[PATH_BYTES];
    char errors[PATH_BYTES];
    char witnessed[PATH_BYTES];
};

static struct place place_of(const struct program *program)
{
    struct place place;
    const char *parent = scratch_path();
    (void)snprintf(place.directory, PATH_BYTES, "%s/%s", parent, program->name);
    (void)snprintf(place.reference, PATH_BYTES, "%s/%s.reference", parent, program->name);
    (void)snprintf(place.output, PATH_BYTES, "%s/%s.output", parent, program->name);
    (void)snprintf(place.errors, PATH_BYTES, "%s/%s.errors", parent, program->name);
    (void)snprintf(place.witnessed, PATH_BYTES, "%s/%s.witnessed", parent, program->name);
    return place;
}

static void fail(struct outcome *outcome, const char *why, const char *detail)
{
    (void)snprintf(outcome->failure, sizeof outcome->failure, "%.*s%.*s", HALF_BYTES, why,
                   HALF_BYTES, detail);
}

/* ---- what is installed ---- */

static bool is_command(const char *name)
{
    static const char *const directories[] = {"/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin",
                                              "/sbin"};
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
        char path[PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/%s", directories[i], name);
        if (access(path, X_OK) == 0) {
            return true;
        }
    }
    return false;
}

/* Copies the next of some words that blanks separate; returns what follows, NULL: there is none. */
static const char *next_word(const char *words, char word[WORD_BYTES])
{
    words += strspn(words, " ");
    size_t n_bytes = strcspn(words, " ");
    (void)snprintf(word, WORD_BYTES, "%.*s", (int)n_bytes, words);
    return n_bytes > 0 ? words + n_bytes : NULL;
}

bool program_is_installed(const struct program *program)
{
    char word[WORD_BYTES];
    const char *rest = program->needs;
    while ((rest = next_word(rest, word)) != NULL) {
        if (!is_command(word)) {
            (void)fprintf(stderr, "compare: %s is left out: no %s (Debian: %s)\n", program->name,
                          word, program->package);
            return false;
        }
    }
    return true;
}

/* ---- judging a run ---- */

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

/* The last line that is not empty: of what a script wrote to stderr, the reason it ended. */
static void add_last_line(const char *path, struct outcome *outcome)
{
    char line[LINE_BYTES];
    char last[LINE_BYTES + 2] = "";
    char why[FAILURE_BYTES];
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '\0') {
            (void)snprintf(last, sizeof last, ": %s", line);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    memcpy(why, outcome->failure, sizeof why);
    fail(outcome, why, last);
}

/* glibc says so on stderr, and goes on without. */
static bool is_preload_refused(const char *path)
{
    char line[LINE_BYTES];
    bool is_refused = false;
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        is_refused |= strstr(line, "cannot be preloaded") != NULL;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return is_refused;
}

/* Whether a process of that name was seen; all processes seen must have the right malloc. */
static bool is_witnessed(const char *path, const char *name, struct outcome *outcome)
{
    char line[PATH_BYTES];
    bool is_seen = false;
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *found = strrchr(line, ' ');
        if (found == NULL) {
            continue;
        }
        if (strcmp(found, " ok") != 0) {
            fail(outcome, "malloc does not come from the library preloaded: ", line);
        }
        *found = '\0';
        is_seen |= strcmp(line, name) == 0;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return is_seen;
}

static void check_witnessed(const struct program *program, const char *path,
                            struct outcome *outcome)
{
    char name[WORD_BYTES];
    const char *rest = program->preloaded;
    while (outcome->failure[0] == '\0' && (rest = next_word(rest, name)) != NULL) {
        if (!is_witnessed(path, name, outcome)) {
            fail(outcome, "the preload does not reach ", name);
        }
    }
}

static void take_servers_peak(const struct program *program, struct outcome *outcome)
{
    if (program->is_server) {
        double peak_kib = outcome_figure(outcome, KEY_SERVERS_PEAK);
        if (!(peak_kib > 0)) {
            fail(outcome, "the server's peak is missing", "");
            return;
        }
        outcome->peak_rss_kib = (long)peak_kib;
    }
}

/* ---- running ---- */

static const struct allocator libc_allocator = {.name = "glibc"};

/* What stands for no preload: libc's malloc, before that of a library the program is linked to. */
static struct allocator preloaded_in(const struct program *program,
                                     const struct allocator *allocator)
{
    struct allocator chosen = *allocator;
    if (chosen.path == NULL && program->has_own_malloc) {
        chosen.preload = "libc.so.6";
    }
    return chosen;
}

static void run(const struct bench *bench, const struct program *program,
                const struct allocator *allocator, const struct script *script,
                struct outcome *outcome)
{
    struct allocator chosen = preloaded_in(program, allocator);
    run_script(bench, &chosen, script, outcome);
    if (outcome->failure[0] != '\0') {
        add_last_line(script->errors, outcome);
    } else if (is_preload_refused(script->errors)) {
        fail(outcome, "the loader refused the preload", "");
    } else {
        take_servers_peak(program, outcome);
    }
}

static void compare_output(const struct place *place, struct outcome *outcome)
{
    if (outcome->failure[0] == '\0' && !is_same_file(place->output, place->reference)) {
        fail(outcome, "its output is not as under libc's own malloc", "");
    }
}

void program_prepare(const struct bench *bench, const struct program *program,
                     struct outcome *outcome)
{
    struct place place = place_of(program);
    struct script script = {
        .text = program->prepare, .directory = place.directory, .errors = place.errors};
    *outcome = (struct outcome){0};
    if (mkdir(place.directory, 0700) != 0) {
        fail(outcome, "no directory for it: ", strerror(errno));
        return;
    }
    run_script(bench, &libc_allocator, &script, outcome);
    if (outcome->failure[0] != '\0') {
        add_last_line(script.errors, outcome);
        return;
    }
    script.text = program->run;
    script.output = place.reference;
    run(bench, program, &libc_allocator, &script, outcome);
}

void program_run(const struct bench *bench, const struct program *program,
                 const struct allocator *allocator, struct outcome *outcome)
{
    struct place place = place_of(program);
    const struct script script = {.text = program->run,
                                  .directory = place.directory,
                                  .output = place.output,
                                  .errors = place.errors};
    run(bench, program, allocator, &script, outcome);
    compare_output(&place, outcome);
}

void program_run_witnessed(const struct bench *bench, const struct program *program,
                           const struct allocator *allocator, struct outcome *outcome)
{
    static const char *witness;
    struct place place = place_of(program);
    if (witness == NULL) {
        witness = scratch_plain_path(BENCH_WITNESS);
    }
    const struct script script = {.text = program->run,
                                  .directory = place.directory,
                                  .output = place.output,
                                  .errors = place.errors,
                                  .witness = witness,
                                  .witnessed = place.witnessed};
    (void)unlink(place.witnessed);
    run(bench, program, allocator, &script, outcome);
    compare_output(&place, outcome);
    if (outcome->failure[0] == '\0') {
        check_witnessed(program, place.witnessed, outcome);
    }
}
