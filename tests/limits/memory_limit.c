/* SPDX-License-Identifier: MIT */
/*
 * Under a limit on address space or on data that is in force from the start: NULL and ENOMEM where
 * it ends, and what was freed can be had again, for blocks of the same size and of others.
 *
 *     memory_limit as|data MIB BYTES...    rounds of blocks of each size in turn, three times
 *     memory_limit as|data MIB PROGRAM     just runs it
 */
#include "support.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { N_CYCLES = 3, SIZES_MAX = 8, N_RUNS = 4 };

/* A block remembers the one before it: the list needs no memory of its own. */
struct link {
    struct link *before;
    size_t number;
};

static size_t fill_up_and_free(size_t bytes)
{
    struct link *last = NULL;
    size_t count = 0;
    for (;;) {
        errno = 0;
        struct link *link = malloc(bytes);
        if (link == NULL)
            break;
        link->before = last;
        link->number = count++;
        last = link;
    }
    int error = errno;
    for (size_t i = count; last != NULL; i--) {
        struct link *before = last->before;
        if (i == 0 || last->number != i - 1)
            limits_fail("block %zu of %zu bytes was overwritten", i, bytes);
        free(last);
        last = before;
    }
    if (error != ENOMEM)
        limits_fail("after %zu blocks of %zu bytes errno is %d", count, bytes, error);
    return count;
}

/* As much as of the size before it, but for what the last block would need, and then some. */
static bool is_enough(const size_t *counts, const size_t *first, const size_t *sizes, size_t i)
{
    if (counts[i] * 100 < first[i] * 98)
        return false;
    return i == 0 || (counts[i] + 3) * sizes[i] >= counts[0] * sizes[0] / 100 * 90;
}

static void check_rounds(size_t limit, const size_t *sizes, size_t n_sizes)
{
    size_t counts[SIZES_MAX];
    size_t first[SIZES_MAX];
    size_t room = limit - mapped_bytes();
    bool fell_short = false;
    for (size_t cycle = 0; cycle < N_CYCLES; cycle++) {
        for (size_t i = 0; i < n_sizes; i++) {
            counts[i] = fill_up_and_free(sizes[i]);
            if (cycle == 0)
                first[i] = counts[i];
            bool enough = is_enough(counts, first, sizes, i) && counts[0] * sizes[0] >= room / 2;
            (void)fprintf(stderr, "round %zu: %zu blocks of %zu bytes, at first %zu%s\n", cycle,
                          counts[i], sizes[i], first[i], enough ? "" : ": too few");
            fell_short |= !enough;
        }
    }
    if (fell_short)
        limits_fail("of %zu bytes that were free at start, too few could be had", room);
}

static void set_limit(const char *what, size_t bytes)
{
    bool is_data = strcmp(what, "data") == 0;
    struct rlimit limit = {bytes, bytes};
    limits_check(setrlimit(is_data ? RLIMIT_DATA : RLIMIT_AS, &limit) == 0);
}

/* Where the kernel puts things changes from run to run, and may be what matters. */
static int run_often(char **argv, size_t n_runs)
{
    for (size_t i = 0; i < n_runs; i++) {
        int child = fork();
        limits_check(child >= 0);
        if (child == 0)
            run_instead(argv);
        if (child_status(child) != EXIT_SUCCESS)
            limits_fail("run %zu of %zu failed", i + 1, n_runs);
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static char inside_word[] = "inside";
    bool inside = argc > 1 && strcmp(argv[1], inside_word) == 0;
    if (argc < 4 || argc > 4 + SIZES_MAX)
        limits_fail("usage: %s as|data MIB BYTES...|PROGRAM", argv[0]);
    size_t limit = argument_number(argv[2]) * MIB;
    if (!inside) {
        set_limit(argv[1], limit);
        if (!isdigit((unsigned char)argv[3][0]))
            run_instead(argv + 3);
        argv[1] = inside_word;
        return run_often(argv, argc > 4 ? N_RUNS : 1);
    }
    size_t sizes[SIZES_MAX];
    size_t n_sizes = 0;
    for (int i = 3; i < argc; i++)
        sizes[n_sizes++] = argument_number(argv[i]);
    check_rounds(limit, sizes, n_sizes);
    return EXIT_SUCCESS;
}
