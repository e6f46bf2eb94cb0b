/* SPDX-License-Identifier: MIT */
/* A library that counts the program's calls of malloc and free and passes them on. */
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>

extern _Atomic unsigned long counted_allocs;
extern _Atomic unsigned long counted_frees;
_Atomic unsigned long counted_allocs;
_Atomic unsigned long counted_frees;

static void *(*next_malloc)(size_t);
static void (*next_free)(void *);

void *malloc(size_t bytes)
{
    if (next_malloc == NULL)
        *(void **)&next_malloc = dlsym(RTLD_NEXT, "malloc");
    counted_allocs++;
    return next_malloc(bytes);
}

void free(void *block)
{
    if (next_free == NULL)
        *(void **)&next_free = dlsym(RTLD_NEXT, "free");
    counted_frees++;
    next_free(block);
}
