/* SPDX-License-Identifier: MIT */
/*
 * What the programs that do wrong share.
 *
 * A case announces the line that the library is to die with, does one thing that is wrong and then
 * whatever makes it show, all of it correct. Blocks are taken and given back with block_take and
 * block_give, which see to it that none is handed out twice; the calls that are wrong are plain.
 */
#ifndef FAULT_H
#define FAULT_H

#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define FREE_OF_NO_BLOCK    "free of a pointer that is no block"
#define REALLOC_OF_NO_BLOCK "realloc of a pointer that is no block"
#define REALLOC_TO_0        "realloc to 0 bytes"
#define REALLOC_OF_FREE     "realloc of a free block"
#define DOUBLE_FREE         "double free"
#define NOT_AS_WE_LEFT_IT   "free block was overwritten or freed twice"

enum { SLAB_BYTES = 64 * 1024 };

struct fault_case {
    const char *name;
    void (*run)(size_t bytes);
};

/* Runs the case argv[1] with blocks of argv[2] bytes. Returns if the library has not ended the
 * process, which is the status to leave main with. */
int fault_main(int argc, char **argv, const struct fault_case *cases, size_t n_cases);

/* Announces the line of the death to come. `bytes`: what was asked for when the block was made, or
 * 0 if the line is to name no class. */
void expect(const char *fault, const void *p, size_t bytes);

/* Of the class that a request for so many bytes is served from; 0: of no class. */
size_t class_bytes(size_t bytes);

/* Says why on stdout and ends the process: something is wrong already. */
__attribute__((noreturn)) void give_up(const char *why);

/* malloc and free. Gives up if a block is handed out that is live. Any thread, one at a time. */
void *block_take(size_t bytes);
void block_give(void *p);

/* Takes blocks until the library ends the process, or there were so many that it should have. */
void take_until_death(size_t bytes);

/* Takes blocks until this one comes, which is free. */
void take_until(size_t bytes, const void *wanted);

/* Takes two neighbours: *low + class_bytes(bytes) == *high. */
void take_neighbours(size_t bytes, char **low, char **high);

/* Takes many blocks and returns one of them. give_with_many gives that back and after it so many of
 * the others that no thread keeps it at hand: it is at home in its slab, whose other blocks stay
 * live. */
void *take_with_many(size_t bytes);
void give_with_many(void *p);

/* Runs f(p) on a thread of its own and waits for its end. */
void on_thread(void *(*f)(void *), void *p);

/* Its argument. The compiler does not see that, and neither warns of misuse nor drops a call. */
void *opaque(void *p);

/* realloc(p, 0). Its result. */
void *realloc_to_0(void *p);

#endif
