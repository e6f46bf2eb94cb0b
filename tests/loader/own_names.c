/* SPDX-License-Identifier: MIT */
/* A program has a function of its own with the name of one of libc's that is no part of the C
 * language: the linker exports it, for libc has it, but the library must not call it. */
#include "check.h"

#include <string.h>

long syscall(long number, ...);
long syscall(long number, ...)
{
    (void)number;
    abort();
}

int main(void)
{
    char *p = malloc(1000000);
    CHECK(p != NULL);
    memset(p, 1, 1000000);
    p = realloc(p, 100 * 1000 * 1000);
    CHECK(p != NULL && p[999999] == 1);
    free(p);
    return 0;
}
