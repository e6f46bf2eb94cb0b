/* SPDX-License-Identifier: MIT */
/* A library that opens others by name; its RUNPATH tells where they are. */
#include <dlfcn.h>
#include <stddef.h>

void *open_by_name(const char *name);
extern int n_opened;
int n_opened;

/* Its frame must be on the stack while dlopen runs: a return address tells libc who calls. */
void *open_by_name(const char *name)
{
    void *library = dlopen(name, RTLD_NOW);
    if (library != NULL)
        n_opened++;
    return library;
}
