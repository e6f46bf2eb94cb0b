/* SPDX-License-Identifier: MIT */
/*
 * The child's side of every benchmark, and the small tools its workloads share. None of them
 * allocates: everything a workload needs besides the blocks it measures is static or on the stack.
 */
#ifndef POOLALLOC_BENCH_CHILD_H
#define POOLALLOC_BENCH_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CHILD_REPORT_FD = 3,
    CHILD_EXIT_WRONG = 98,
    FAILURE_BYTES = 192, /* why something failed, with its zero */
};

#define CHILD_OPTION  "--child"
#define CHILD_PROBE   "--probe" /* the only ARGUMENT of a child that has nothing to measure */
#define CHILD_VERSION "version" /* keys of lines that hold a text */
#define CHILD_FAILURE "failure"

/* Whether this process was started as a child: PROGRAM --child LIBRARY [ARGUMENT]... */
bool child_requested(int argc, char **argv);

/*
 * Ends the process unless malloc comes from the library it should, and after a word on the
 * library's version when it is only a probe. Returns the ARGUMENTs.
 */
char **child_start(char **argv);

/* Sends one figure, or a line of text, to the parent. */
void child_report(const char *key, double value);
void child_report_text(const char *key, const char *text);

/* For a wrong byte, a NULL, a thread that does not start: says why and ends the process. */
_Noreturn void child_fail(const char *why);

double child_now_ns(void);

/* Time this process has spent on a processor. Unlike the clock it stands still for others. */
double child_cpu_ns(void);

/* Resident memory of this process now, and the most so far. What rusage tells of the latter begins
 * with what the parent had. */
double child_rss_mib(void);
double child_peak_mib(void);

/* ARGUMENTs are written by our own parent; anything but a positive number is a failure. */
long child_number(const char *text);

/*
 * Keeps the compiler from seeing that a block is only ever freed, in which case it might leave out
 * both calls.
 */
static inline void *child_opaque(void *block)
{
    __asm__ volatile("" : "+r"(block));
    return block;
}

/*
 * Fills a block with two bytes in turn, the halves of a key below 65,536. However two blocks that
 * have different keys overlap by two bytes or more, one of them is not whole afterwards.
 */
static inline unsigned char pattern_at(uint32_t key, size_t at)
{
    return (unsigned char)(at % 2 == 0 ? key : key >> 8);
}

static inline void pattern_write(unsigned char *block, size_t n_bytes, uint32_t key)
{
    for (size_t at = 0; at < n_bytes; at++) {
        block[at] = pattern_at(key, at);
    }
}

static inline bool pattern_is_whole(const unsigned char *block, size_t n_bytes, uint32_t key)
{
    bool is_whole = true;
    for (size_t at = 0; at < n_bytes; at++) {
        is_whole &= block[at] == pattern_at(key, at);
    }
    return is_whole;
}

/* splitmix64: passes over any seed, and cheap enough to stand inside a timed loop. */
static inline uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

/* Uniform in [0, n). */
static inline uint32_t random_below(uint64_t *state, uint32_t n)
{
    return (uint32_t)(((random_next(state) >> 32) * n) >> 32);
}

/* Uniform in [least, most]. */
static inline uint32_t random_between(uint64_t *state, uint32_t least, uint32_t most)
{
    return least + random_below(state, most - least + 1);
}

#endif
