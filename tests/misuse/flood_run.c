/* SPDX-License-Identifier: MIT */
/*
 * Runs a case of flood.c with several seeds, and judges how it ends.
 *
 *     misuse_flood_run LIBRARY PROGRAM CASE SEEDS
 */
#include "../death/child.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static struct child child;

static bool went_on_well(void)
{
    return WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0 && child.err[0] == '\0' &&
           strcmp(child.out, "survived\n") == 0;
}

static bool was_ended(void)
{
    static const char word[] = "poolalloc: fatal: free block was overwritten or freed twice: 0x";
    const char *end = strchr(child.err, '\n');
    return WIFSIGNALED(child.status) && WTERMSIG(child.status) == SIGABRT && child.out[0] == '\0' &&
           strncmp(child.err, word, sizeof word - 1) == 0 && end != NULL && end[1] == '\0';
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        (void)fputs("usage: misuse_flood_run LIBRARY PROGRAM CASE SEEDS\n", stderr);
        return EXIT_FAILURE;
    }
    int n_well = 0;
    int n_ended = 0;
    int n_seeds = atoi(argv[4]);
    for (int i = 1; i <= n_seeds; i++) {
        char seed[16];
        (void)snprintf(seed, sizeof seed, "%d", i);
        child_run(&child, argv[1], NULL, (const char *const[]){argv[2], argv[3], seed, NULL});
        n_well += went_on_well();
        n_ended += was_ended();
        if (n_well + n_ended < i) {
            printf("seed %d: wait status 0x%x\nstdout:\n%s\nstderr:\n%s\n", i,
                   (unsigned)child.status, child.out, child.err);
            return EXIT_FAILURE;
        }
    }
    printf("%d went on well, %d were ended\n", n_well, n_ended);
    return EXIT_SUCCESS;
}
