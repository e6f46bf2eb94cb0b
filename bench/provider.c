/* SPDX-License-Identifier: MIT */
#include "provider.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/*
 * The file that the dynamic linker takes a function from. RTLD_NEXT begins after the program
 * itself, whose own symbol may be a stub in an executable linked at a fixed address.
 */
static void provider_of(const char *function, char path[PATH_MAX])
{
    Dl_info info;
    void *address = dlsym(RTLD_NEXT, function);
    if (address == NULL || dladdr(address, &info) == 0 || realpath(info.dli_fname, path) == NULL) {
        path[0] = '\0';
    }
}

bool provider_is(const char *library, char actual[PATH_MAX])
{
    char expected[PATH_MAX];
    provider_of("malloc", actual);
    if (strcmp(library, PROVIDER_LIBC) == 0) {
        provider_of("strerror", expected);
    } else if (realpath(library, expected) == NULL) {
        return false;
    }
    return actual[0] != '\0' && strcmp(expected, actual) == 0;
}
