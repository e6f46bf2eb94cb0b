/* SPDX-License-Identifier: MIT */
/*
 * What the files of the fuzzer share: bytes are read as operations, each is carried out by the
 * allocator, and what it answers is held against a model.
 *
 * The allocator is linked in under names with a prefix; the process's own malloc is libc's, so that
 * neither the model nor the fuzzer disturbs what is looked at. Time stands still but for operations
 * that move it, and the kernel refuses memory when an operation says so (system.c).
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "base/compiler.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ends the process with a line that tells what did not hold. */
#define check(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))
NORETURN void check_failed(const char *file, int line, const char *what);

/* ---- the allocator's functions, as src/api/libc.c and glibc.c are compiled here ---- */

void *fuzz_malloc(size_t bytes);
void *fuzz_calloc(size_t n, size_t each);
void *fuzz_realloc(void *p, size_t bytes);
void *fuzz_reallocarray(void *p, size_t n, size_t each);
int fuzz_posix_memalign(void **result, size_t align, size_t bytes);
void *fuzz_aligned_alloc(size_t align, size_t bytes);
void *fuzz_memalign(size_t align, size_t bytes);
void *fuzz_valloc(size_t bytes);
void *fuzz_pvalloc(size_t bytes);
void fuzz_free(void *p);
void fuzz_free_sized(void *p, size_t bytes);
void fuzz_free_aligned_sized(void *p, size_t align, size_t bytes);
void fuzz_cfree(void *p);
size_t fuzz_malloc_usable_size(void *p);
int fuzz_malloc_trim(size_t pad);

/* ---- input: bytes to read operations from; zeroes when there are no more ---- */

struct input {
    const uint8_t *at;
    size_t left;
};

extern struct input input;

size_t input_byte(void);
size_t input_word(void);               /* of two bytes */
size_t input_below(size_t limit);      /* of one byte; limit is at most 256 */
size_t input_bytes(void);              /* a size: small mostly, up to some MiB, seldom absurd */
size_t input_align(void);              /* a power of two, 1 to 1 MiB */
#define BYTES_ABSURD ((size_t)1 << 40) /* what no machine of today has */

/* ---- system.c: the kernel and the clock ---- */

/* After `n_good` more calls that ask for memory, `n_refused` of them fail. */
void system_refuse(size_t n_good, size_t n_refused);
void system_refuse_none(void);

/* Refused so far. */
size_t system_n_refused(void);

void system_clock_add(uint64_t ms);

/* What the library writes to fd 2 is dropped from now on, or no more. */
void system_mute(bool mute);

/* ---- extents.c: who has which bytes ---- */

/* All live extents: none may touch another. */
void extent_add(const void *p, size_t bytes);
void extent_remove(const void *p);

/* One begins there. */
bool extent_is(const void *p);

/* A pattern: some of the bytes only, where there are many, and always the last ones. */
void pattern_fill(void *p, size_t bytes, uint64_t seed);
void pattern_check(const void *p, size_t bytes, uint64_t seed);

/* Of the first `bytes` bytes of what was filled as a whole of another size. */
void pattern_check_start(const void *p, size_t bytes, uint64_t seed);
uint64_t pattern_new_seed(void);

/* ---- the operations ---- */

typedef void operation(void);

/* blocks.c: malloc and its family */
extern operation *const block_operations[];
extern const size_t n_block_operations;
void blocks_end(void);

/* Some block that is live, or NULL; and its size as it was asked for. */
void *blocks_any(size_t *bytes);

/* That one is not the model's any more. */
void blocks_forget(const void *p);

/* objects.c, buffers.c: poolalloc.h */
extern operation *const object_operations[];
extern const size_t n_object_operations;
void objects_end(void);
extern operation *const buffer_operations[];
extern const size_t n_buffer_operations;
void buffers_end(void);

/* misuse.c: what goes wrong, in forked children, and forks where nothing does */
void fork_and_go_on(void);
void fork_and_misuse(void);
void misuse_begin(void);

/* operations.c: carries out what is left of the input, on this thread alone. */
void operations_rest(void);

/* Ends all that the model holds. */
void operations_end(void);

/* workers.c: threads, of which one works at a time. 0 is the caller's. */
enum { N_WORKERS = 4 };
void worker_do(size_t number, operation *work);
void worker_end(size_t number);
void workers_end(void);

/* One input, from its first byte to the end of all it made. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#endif
