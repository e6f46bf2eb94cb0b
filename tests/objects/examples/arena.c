/* SPDX-License-Identifier: MIT */
/* A request's memory: whatever is taken on the way ends in one call. */
#include <assert.h>
#include <poolalloc.h>
#include <stdlib.h>
#include <string.h>

static char *answer(poolalloc_arena *request, const char *name)
{
    void *scratch = malloc(100);
    poolalloc_arena_on_end(request, free, scratch); /* adopted: freed with the rest */
    return poolalloc_arena_printf(request, "Hello, %s!", name);
}

int main(void)
{
    poolalloc_arena *request = poolalloc_arena_create(NULL);
    for (int i = 0; i < 3; i++) {
        assert(strcmp(answer(request, "world"), "Hello, world!") == 0);
        poolalloc_arena_reset(request);
    }
    poolalloc_arena_destroy(request);
    return 0;
}
