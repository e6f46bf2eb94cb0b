/* SPDX-License-Identifier: MIT */
/*
 * Where the dump at exit goes, and where it does not.
 *
 *     death_dump LIBRARY PROGRAM CASE     PROGRAM is ordinary.c
 */
#include "child.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *library;
static const char *program;

static struct child child;
static char directory[] = "death-dump-XXXXXX"; /* all files of a case are in there */
static char path[128];
static char file_text[CHILD_TEXT_MAX];
static bool failed;

static void check(bool holds, const char *what)
{
    if (holds)
        return;
    failed = true;
    printf("does not hold: %s\n", what);
}

/* ---- the case's file ---- */

static void path_set(const char *name)
{
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
}

static void file_write(const char *text)
{
    FILE *file = fopen(path, "w");
    if (file == NULL || fputs(text, file) == EOF || fclose(file) != 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
}

/* Reads and removes it. */
static const char *file_take(void)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return "(no such file)";
    file_text[fread(file_text, 1, sizeof file_text - 1, file)] = '\0';
    (void)fclose(file);
    (void)unlink(path);
    return file_text;
}

/* ---- running and judging ---- */

static void run(const char *dump, const char *what)
{
    char conf[256];
    (void)snprintf(conf, sizeof conf, "dump=%s", dump);
    const char *const argv[] = {program, what, path, NULL};
    child_run(&child, library, conf, argv);
    check(WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0, "the program ends well");
    check(child.out[0] == '\0', "nothing is on stdout");
}

/* The row of the class that ordinary.c uses, among others. */
static bool has_class_row(const char *text)
{
    for (; text != NULL; text = strchr(text + 1, '\n')) {
        unsigned long bytes;
        unsigned long allocs;
        unsigned long frees;
        unsigned long live;
        if (sscanf(text, "%lu%lu%lu%lu", &bytes, &allocs, &frees, &live) == 4 && bytes == 6144 &&
            allocs == 7 && frees == 2 && live == 5)
            return true;
    }
    return false;
}

static bool is_dump(const char *text)
{
    char head[64];
    (void)snprintf(head, sizeof head, "poolalloc: dump of process %d\n", (int)child.pid);
    return strncmp(text, head, strlen(head)) == 0 && has_class_row(text) &&
           strstr(text, "\n   large") != NULL && text[strlen(text) - 1] == '\n';
}

/* ---- the cases ---- */

static void to_stderr(void)
{
    run("stderr", "as-they-are");
    check(is_dump(child.err), "the dump is on stderr");
}

static void to_closed_stderr(void)
{
    run("stderr", "close-stderr");
    check(is_dump(child.err), "the dump is where stderr was at start");
}

static void to_replaced_stderr(void)
{
    path_set("program.log");
    run("stderr", "replace-stderr");
    check(strcmp(file_take(), "mine\n") == 0, "the program's file is as it left it");
    check(is_dump(child.err), "the dump is where stderr was at start");
}

static void to_lost_stderr(void)
{
    path_set("program.log");
    run("stderr", "replace-all");
    check(strcmp(file_take(), "mine\n") == 0, "the program's file is as it left it");
    check(child.err[0] == '\0', "nothing is on stderr");
}

static void to_taken_stderr(void)
{
    path_set("program.log");
    run("stderr", "take-all");
    check(strcmp(file_take(), "mine\n") == 0, "the program's file is as it left it");
    check(child.err[0] == '\0', "nothing is on stderr");
}

static void to_file(void)
{
    path_set("heap");
    run(path, "as-they-are");
    check(child.err[0] == '\0', "nothing is on stderr");
    check(is_dump(file_take()), "the dump is in the file");
}

static void to_file_of_process(void)
{
    path_set("%p-heap.%p");
    run(path, "as-they-are");
    char name[64];
    (void)snprintf(name, sizeof name, "%d-heap.%d", (int)child.pid, (int)child.pid);
    path_set(name);
    check(child.err[0] == '\0', "nothing is on stderr");
    check(is_dump(file_take()), "the dump is in the file with the process's number");
}

static void to_file_that_exists(void)
{
    path_set("heap");
    file_write("mine\n");
    run(path, "as-they-are");
    check(child.err[0] == '\0', "nothing is on stderr");
    check(strcmp(file_take(), "mine\n") == 0, "the file is as it was");
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    {"stderr", to_stderr},
    {"closed-stderr", to_closed_stderr},
    {"replaced-stderr", to_replaced_stderr},
    {"lost-stderr", to_lost_stderr},
    {"taken-stderr", to_taken_stderr},
    {"file", to_file},
    {"file-of-process", to_file_of_process},
    {"file-that-exists", to_file_that_exists},
};

static void run_case(const char *name)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (strcmp(name, cases[i].name) == 0) {
            cases[i].run();
            return;
        }
    }
    check(false, "there is such a case");
}

int main(int argc, char **argv)
{
    if (argc != 4 || mkdtemp(directory) == NULL) {
        (void)fputs("usage: death_dump LIBRARY PROGRAM CASE\n", stderr);
        return EXIT_FAILURE;
    }
    library = argv[1];
    program = argv[2];
    run_case(argv[3]);
    check(rmdir(directory) == 0, "there is no other file");
    if (failed)
        printf("stderr:\n%s\nstdout:\n%s\nfile:\n%s\n", child.err, child.out, file_text);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
