/* SPDX-License-Identifier: MIT */
/*
 * Another preloaded library before ours wraps malloc and free: it sees the calls, and the blocks
 * are ours. Leaves 1,000 blocks of 5,000 bytes alive for the dump to tell of.
 */
#include "check.h"

#include <malloc.h>

int main(void)
{
    static void *kept[1000];
    CHECK(is_preloaded());
    volatile unsigned long *allocs = dlsym(RTLD_DEFAULT, "counted_allocs");
    volatile unsigned long *frees = dlsym(RTLD_DEFAULT, "counted_frees");
    CHECK(allocs != NULL && frees != NULL);
    unsigned long allocs_before = *allocs;
    unsigned long frees_before = *frees;
    use_malloc(100);
    CHECK(*allocs == allocs_before + 700 && *frees == frees_before + 700);
    char *text = strdup("a text");
    CHECK(text != NULL && *allocs == allocs_before + 701);
    text = realloc(text, 100000); /* not wrapped: straight to ours */
    CHECK(text != NULL && strcmp(text, "a text") == 0);
    free(text);
    char *zeros = calloc(10, 10);
    CHECK(zeros != NULL && zeros[99] == 0);
    free(zeros);
    for (unsigned i = 0; i < 1000; i++) {
        kept[i] = malloc(5000);
        CHECK(kept[i] != NULL && malloc_usable_size(kept[i]) >= 5000);
        fill(kept[i], 5000, i);
    }
    for (unsigned i = 0; i < 1000; i++)
        CHECK(is_filled(kept[i], 5000, i));
    return 0;
}
