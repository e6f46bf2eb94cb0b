/* SPDX-License-Identifier: MIT */
/*
 * A library opened with RTLD_DEEPBIND and the program free each other's blocks. With the option
 * deepbind=on the library is bound as asked for, and then only the program frees the library's.
 *
 *     deepbind LIBRARY off|on
 */
#include "check.h"

const char *whose(void);

const char *whose(void)
{
    return "program";
}

static char *(*deep_strdup)(const char *);
static char *(*deep_line)(FILE *);
static void *(*deep_malloc)(size_t);
static void *(*deep_realloc)(void *, size_t);
static void (*deep_free)(void *);
static const char *(*deep_whose)(void);

static void open_library(const char *file)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (library == NULL)
        puts(dlerror());
    CHECK(library != NULL);
    *(void **)&deep_strdup = dlsym(library, "deep_strdup");
    *(void **)&deep_line = dlsym(library, "deep_line");
    *(void **)&deep_malloc = dlsym(library, "deep_malloc");
    *(void **)&deep_realloc = dlsym(library, "deep_realloc");
    *(void **)&deep_free = dlsym(library, "deep_free");
    *(void **)&deep_whose = dlsym(library, "deep_whose");
    CHECK(deep_strdup != NULL && deep_line != NULL && deep_malloc != NULL);
    CHECK(deep_realloc != NULL && deep_free != NULL && deep_whose != NULL);
}

static void program_frees(unsigned number)
{
    char *copy = deep_strdup("a library's text");
    CHECK(copy != NULL && strcmp(copy, "a library's text") == 0);
    free(copy);

    FILE *file = tmpfile();
    CHECK(file != NULL && fputs("one line\n", file) >= 0);
    rewind(file);
    char *line = deep_line(file);
    CHECK(line != NULL && strcmp(line, "one line\n") == 0);
    free(line);
    (void)fclose(file);

    char *block = deep_malloc(1000);
    CHECK(block != NULL);
    fill(block, 1000, number);
    block = realloc(block, 3000);
    CHECK(block != NULL && is_filled(block, 1000, number));
    free(block);
}

static void library_frees(unsigned number)
{
    static const size_t sizes[] = {10, 1000, 100000, 1000000};
    for (unsigned i = 0; i < 4; i++) {
        char *block = malloc(sizes[i]);
        CHECK(block != NULL);
        fill(block, sizes[i], number);
        block = deep_realloc(block, sizes[i] * 2);
        CHECK(block != NULL && is_filled(block, sizes[i], number));
        deep_free(block);
    }
}

int main(int argc, char **argv)
{
    CHECK(argc == 3 && is_preloaded());
    open_library(argv[1]);
    if (strcmp(argv[2], "on") == 0) {
        CHECK(strcmp(deep_whose(), "library") == 0);
        for (unsigned i = 0; i < 100; i++)
            program_frees(i);
        return 0;
    }
    CHECK(strcmp(deep_whose(), "program") == 0);
    for (unsigned i = 0; i < 100; i++) {
        program_frees(i);
        library_frees(i);
    }
    return 0;
}
