/* SPDX-License-Identifier: MIT */
/*
 * What the stress programs share: self-verifying blocks, a random generator, and tables in which
 * blocks travel between threads.
 *
 * A block is described by a record outside the heap, where no fault of the allocator can damage the
 * description together with the block. Its bytes hold a pattern made from a seed that no other
 * block has, so that a block which is handed out twice, or touched after its hand-over, is seen by
 * whoever checks it next. Large blocks are sampled: both ends whole, and a word of every stride.
 *
 * Only pthread, C11 atomics and the malloc family are used: the programs run on a preloaded library
 * or linked to an instrumented one.
 */
#ifndef STRESS_SUPPORT_H
#define STRESS_SUPPORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define KIB             ((size_t)1 << 10)
#define MIB             ((size_t)1 << 20)
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* What every block is aligned to. Other mallocs give less to the smallest: build with 8 for them.
 */
#ifndef STRESS_ALIGNMENT
#define STRESS_ALIGNMENT 16
#endif

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#ifndef UNDER_SANITIZER
#define UNDER_SANITIZER 0
#endif

struct random {
    uint64_t state;
};

uint64_t random_next(struct random *random);
size_t random_below(struct random *random, size_t limit);

/* Sizes as programs ask for them: most are small, one in a hundred is between 32 KiB and 1 MiB. */
size_t random_bytes(struct random *random);

struct block {
    void *address; /* NULL: the record is empty, the rest means nothing */
    size_t bytes;
    size_t alignment;
    uint64_t seed;
};

/* Fills an empty record by one of malloc, calloc and the aligned functions, chosen at random. */
void block_allocate(struct block *block, struct random *random);

/* The same, by malloc and of a given size. */
void block_allocate_bytes(struct block *block, struct random *random, size_t bytes);

/* Each of these ends the program when the block is not as it was left. */
void block_verify(const struct block *block);
void block_resize(struct block *block, struct random *random);
void block_release(struct block *block);

/* Records that any thread may take by exchanging its own for it. */
struct exchange {
    size_t n_slots;
    _Atomic(struct block *) *slots;
};

/* Swaps a record with a random shared one. What comes back is the caller's alone, and verified. */
struct block *exchange_swap(struct exchange *exchange, struct random *random, struct block *mine);

#define stress_fail(format, ...)                                                                   \
    do {                                                                                           \
        (void)fprintf(stderr, "FAILED: " format "\n", __VA_ARGS__);                                \
        abort();                                                                                   \
    } while (0)

#define stress_check(condition)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            stress_fail("%s:%d: does not hold: %s", __FILE__, __LINE__, #condition);               \
    } while (0)

/* The number in argv[index], or the end of the program with a usage line. */
size_t argument_number(int argc, char **argv, int index, const char *usage);

size_t resident_bytes(void);

/*
 * Ends the program if resident memory has grown by more than `limit` since it was `before`; and if
 * so little was allocated in all that it could not have. A sanitizer's shadow is left out of it.
 */
void resident_check(size_t before, size_t allocated, size_t limit);

#endif
