/* SPDX-License-Identifier: MIT */
/*
 * A program whose mallocs and frees are counted by callgrind (fast_paths.sh).
 *
 *     golden_fast_paths c|cxx BYTES
 *
 * In `round_of_hits` each call hits the fast path, but for the times that a free looks whether its
 * bin has become too full: bins are looked at when so many frees have gone by that, after the
 * warm-up, of two rounds at least one goes without.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The operators by the names they are exported under. */
void *new_plain(size_t bytes) __asm__("_Znwm");
void delete_plain(void *p) __asm__("_ZdlPv");

enum {
    N_HITS = 1000,
    N_ROUNDS = 4,
    N_WARM = 8 * N_HITS,
    N_WARM_ROUNDS = 16, /* in each the bin may double what it holds */
};

struct functions {
    void *(*take)(size_t);
    void (*give)(void *);
};

static void *blocks[N_WARM];

static void take_and_give(const struct functions *functions, size_t bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        blocks[i] = functions->take(bytes);
    for (size_t i = 0; i < n; i++)
        functions->give(blocks[i]);
}

/* Not static: callgrind is told its name. */
void round_of_hits(const struct functions *functions, size_t bytes);

__attribute__((noinline)) void round_of_hits(const struct functions *functions, size_t bytes)
{
    take_and_give(functions, bytes, N_HITS);
}

static int run(const struct functions *functions, size_t bytes)
{
    for (int i = 0; i < N_WARM_ROUNDS; i++)
        take_and_give(functions, bytes, N_WARM);
    for (int i = 0; i < N_ROUNDS; i++)
        round_of_hits(functions, bytes);
    return printf("%d\n", N_HITS) > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    static const struct functions c = {malloc, free};
    static const struct functions cxx = {new_plain, delete_plain};
    if (argc != 3) {
        (void)fputs("usage: golden_fast_paths c|cxx BYTES\n", stderr);
        return EXIT_FAILURE;
    }
    return run(strcmp(argv[1], "cxx") == 0 ? &cxx : &c, strtoul(argv[2], NULL, 10));
}
