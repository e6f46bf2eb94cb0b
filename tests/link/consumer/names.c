/* SPDX-License-Identifier: MIT */
/*
 * A program that has functions and data of the same names as the library inside: neither may meet
 * the other's.
 */
#include <malloc.h>
#include <poolalloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINE(name)                                                                                 \
    void name(void);                                                                               \
    void name(void)                                                                                \
    {                                                                                              \
        (void)fputs("the library calls the program's " #name "\n", stderr);                        \
        abort();                                                                                   \
    }

MINE(panic)
MINE(sys_getpid)
MINE(sys_map)
MINE(text_add)
MINE(tree_insert)
MINE(heap_free)
MINE(large_alloc)
MINE(options_parse)
MINE(dump_init)

extern int front_mine;
extern int options;
int front_mine = 1;
int options = 2;

static void *take_and_give(void *unused)
{
    static const size_t sizes[] = {1, 100, 5000, 40000, 3000000};
    for (int round = 0; round < 1000; round++) {
        size_t bytes = sizes[round % 5];
        char *block = malloc(bytes);
        if (block == NULL || malloc_usable_size(block) < bytes)
            abort();
        memset(block, round, bytes);
        free(block);
    }
    return unused;
}

/* What 5,000 bytes get is ours to know: libc rounds to 16. */
static int is_ours(void)
{
    void *block = malloc(5000);
    size_t usable = malloc_usable_size(block);
    free(block);
    return usable == 5120;
}

int main(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, take_and_give, NULL) != 0)
        return EXIT_FAILURE;
    take_and_give(NULL);
    (void)pthread_join(thread, NULL);
    if (!is_ours() || front_mine != 1 || options != 2)
        return EXIT_FAILURE;
    (void)printf("linked with poolalloc %s\n", poolalloc_version());
    return EXIT_SUCCESS;
}
