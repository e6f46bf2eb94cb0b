/* SPDX-License-Identifier: MIT */
/*
 * What the programs that misuse an allocator share.
 *
 * A case does one thing that is wrong; what comes before and after is correct. It says on stdout,
 * a line each, what a runner needs to judge whoever has to stop it:
 *
 *     wrong       a call that is wrong follows
 *     access      a read or write that is wrong follows
 *     done        it is over, the program goes on
 *     harm: ...   something shows that must not: data has changed, a block was handed out twice
 *     survived    the end was reached
 *
 * Blocks are taken with take() and given back with give(), which know what must be in them.
 * One thread at a time.
 */
#ifndef MISUSE_H
#define MISUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

struct misuse {
    const char *name;
    void (*run)(size_t bytes);
};

/* Cases of one kind. */
struct misuse_group {
    const char *name;
    const struct misuse *cases;
    size_t n_cases;
    bool has_sizes; /* each case is run with blocks of several sizes */
};

extern const struct misuse_group double_free_group;
extern const struct misuse_group invalid_free_group;
extern const struct misuse_group stray_free_group;
extern const struct misuse_group mismatch_group;
extern const struct misuse_group overflow_group;
extern const struct misuse_group underflow_group;
extern const struct misuse_group write_after_free_group;
extern const struct misuse_group stale_free_group;
extern const struct misuse_group stale_data_group;

/* ---- saying ---- */

void wrong(void);
void access_follows(void);
void done(void);
void survived(void);
void harm(const char *what);

/* Ends the process: the case cannot be made here. */
__attribute__((noreturn)) void give_up(const char *why);

/* ---- blocks ---- */

/* malloc; the block is filled and remembered. */
char *take(size_t bytes);

/* The same with a block that the caller has got otherwise. */
void adopt(void *p, size_t bytes);

/* Checks what is in it and frees it. */
void give(void *p);

/* The same without freeing it. */
void disown(void *p);

/* All that are remembered. */
void check_all(void);
void give_all(void);

/* So many blocks are taken, and remembered. */
void take_some(size_t n, size_t bytes);

/* Takes blocks until one is p, for a while. False: it did not come. */
bool take_until(const void *p, size_t bytes);

/* Ordinary work with blocks of this size above all: enough for most faults to show. */
void work(size_t bytes);

/* A little work with other sizes only. The places of blocks that were given back may be used. */
void work_elsewhere(size_t bytes);

/* ---- the rest ---- */

/* Runs f(p) on a thread of its own and waits for its end. */
void in_thread(void *(*f)(void *), void *p);

/* The same with a thread that is started first and waits until it is told what to work on: nothing
 * is taken in between. */
void thread_start(void *(*f)(void *));
void thread_go(void *p);

/* Its argument. The compiler does not see that, and neither warns of misuse nor drops a call. */
void *opaque(void *p);

#endif
