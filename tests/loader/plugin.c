/* SPDX-License-Identifier: MIT */
/* A program in C opens a library in C++ for itself alone: the runtime that throws is not where
 * other libraries are found. */
#include "check.h"

#include <dlfcn.h>

int main(int argc, char **argv)
{
    int (*run)(void);
    CHECK(argc == 2);
    CHECK(dlsym(RTLD_DEFAULT, "__cxa_throw") == NULL);
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    *(void **)&run = dlsym(library, "plugin_run");
    CHECK(run != NULL);
    return run();
}
