/* SPDX-License-Identifier: MIT */
/*
 * A program whose malloc and free count, and go on to the next definitions: all blocks are ours, or
 * libc's without us.
 */
#include "check.h"

#include <malloc.h>

static volatile unsigned n_allocs; /* strdup is a leaf to the compiler */
static volatile unsigned n_frees;

void *malloc(size_t bytes)
{
    static void *(*next)(size_t);
    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "malloc");
    n_allocs++;
    return next(bytes);
}

void free(void *block)
{
    static void (*next)(void *);
    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "free");
    n_frees += block != NULL;
    next(block);
}

void *calloc(size_t n, size_t each)
{
    static void *(*next)(size_t, size_t);
    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "calloc");
    return next(n, each);
}

void *realloc(void *block, size_t bytes)
{
    static void *(*next)(void *, size_t);
    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "realloc");
    return next(block, bytes);
}

int main(void)
{
    CHECK(is_preloaded());
    unsigned allocs = n_allocs;
    unsigned frees = n_frees;
    use_malloc(100);
    CHECK(n_allocs == allocs + 700 && n_frees == frees + 700);
    char *text = strdup("a text");
    CHECK(text != NULL && n_allocs == allocs + 701);
    text = realloc(text, 5000);
    CHECK(text != NULL && strcmp(text, "a text") == 0 && malloc_usable_size(text) >= 5000);
    char *zeros = calloc(100, 100);
    CHECK(zeros != NULL);
    for (unsigned i = 0; i < 10000; i++)
        CHECK(zeros[i] == 0);
    free(zeros);
    free(text);
    void *aligned = NULL;
    CHECK(posix_memalign(&aligned, 256, 1000) == 0 && (size_t)aligned % 256 == 0);
    CHECK(malloc_usable_size(aligned) >= 1000);
    fill(aligned, 1000, 1);
    aligned = realloc(aligned, 2000);
    CHECK(aligned != NULL && is_filled(aligned, 1000, 1));
    free(aligned);
    text = reallocarray(NULL, 100, 100);
    CHECK(text != NULL);
    free(text);
    return 0;
}
