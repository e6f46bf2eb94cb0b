/* SPDX-License-Identifier: MIT */
/*
 * dlopen of a name looks in the RUNPATH of the library that calls, and of no other; what is not
 * there gives NULL and a message.
 *
 *     runpath OPENER
 */
#include "check.h"

static void check_not_found(void *library, const char *name)
{
    CHECK(library == NULL);
    const char *message = dlerror();
    CHECK(message != NULL && strstr(message, name) != NULL);
    CHECK(dlerror() == NULL);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2 && is_preloaded());
    void *opener = dlopen(argv[1], RTLD_NOW);
    CHECK(opener != NULL);
    void *(*open_by_name)(const char *);
    *(void **)&open_by_name = dlsym(opener, "open_by_name");
    CHECK(open_by_name != NULL);

    check_not_found(dlopen("loader_hidden.so", RTLD_NOW), "loader_hidden.so");
    check_not_found(open_by_name("loader_missing.so"), "loader_missing.so");

    void *hidden = open_by_name("loader_hidden.so");
    if (hidden == NULL)
        puts(dlerror());
    CHECK(hidden != NULL);
    int *n_opened = dlsym(opener, "n_opened");
    CHECK(n_opened != NULL && *n_opened == 1);
    char *(*hidden_text)(void);
    *(void **)&hidden_text = dlsym(hidden, "hidden_text");
    CHECK(hidden_text != NULL);
    char *text = hidden_text();
    CHECK(text != NULL && strcmp(text, "found") == 0);
    free(text);
    CHECK(dlclose(hidden) == 0 && dlclose(opener) == 0);
    return 0;
}
