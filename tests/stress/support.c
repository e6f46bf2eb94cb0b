/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <unistd.h>

/*
 * The allocator under test is the process's malloc. An instrumented allocator cannot be that: it
 * would run before the sanitizer's own start. Built with STRESS_PREFIX=x_ the functions called are
 * x_malloc, x_free and so on, and the sanitizer keeps malloc for itself.
 */
#ifdef STRESS_PREFIX
#define JOIN_AGAIN(prefix, name) prefix##name
#define JOIN(prefix, name)       JOIN_AGAIN(prefix, name)
#define TESTED(name)             JOIN(STRESS_PREFIX, name)
void *TESTED(malloc)(size_t bytes);
void *TESTED(calloc)(size_t count, size_t bytes);
void *TESTED(realloc)(void *block, size_t bytes);
void *TESTED(aligned_alloc)(size_t alignment, size_t bytes);
int TESTED(posix_memalign)(void **block, size_t alignment, size_t bytes);
size_t TESTED(malloc_usable_size)(void *block);
void TESTED(free)(void *block);
#else
#define TESTED(name) name
#endif

/* Patterns of up to this size are written and read whole. */
#define WHOLE_BYTES   ((size_t)8 << 10)
#define SAMPLE_STRIDE ((size_t)512)
#define SAMPLE_EDGE   ((size_t)256)

size_t argument_number(int argc, char **argv, int index, const char *usage)
{
    char *end = NULL;
    errno = 0;
    unsigned long number = index < argc ? strtoul(argv[index], &end, 10) : 0;
    if (end == NULL || end == argv[index] || *end != '\0' || errno != 0) {
        (void)fprintf(stderr, "usage: %s %s\n", argv[0], usage);
        exit(EXIT_FAILURE);
    }
    return number;
}

size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    stress_check(file != NULL);
    char line[128];
    stress_check(fgets(line, sizeof line, file) != NULL);
    (void)fclose(file);
    char *second = NULL;
    (void)strtoul(line, &second, 10);
    return strtoul(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

void resident_check(size_t before, size_t allocated, size_t limit)
{
    size_t after = resident_bytes();
    size_t grown = after > before ? after - before : 0;
    (void)printf("%zu MiB allocated in all, resident memory grew by %zu KiB\n", allocated / MIB,
                 grown / KIB);
    if (UNDER_SANITIZER)
        return;
    stress_check(allocated > 2 * limit);
    stress_check(grown <= limit);
}

/* splitmix64 */
uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

size_t random_below(struct random *random, size_t limit)
{
    return random_next(random) % limit;
}

size_t random_bytes(struct random *random)
{
    size_t percent = random_below(random, 100);
    if (percent < 60)
        return random_below(random, 257);
    if (percent < 88)
        return random_below(random, 4 * KIB);
    if (percent < 99)
        return random_below(random, 32 * KIB);
    return random_below(random, MIB + 1);
}

static uint64_t pattern_word(uint64_t seed, size_t at)
{
    uint64_t word = (seed + at) * UINT64_C(0x9e3779b97f4a7c15);
    return word ^ (word >> 32);
}

static void write_range(const struct block *block, size_t from, size_t to)
{
    unsigned char *bytes = block->address;
    for (size_t at = from; at < to; at += sizeof(uint64_t)) {
        uint64_t word = pattern_word(block->seed, at);
        memcpy(bytes + at, &word, to - at < sizeof word ? to - at : sizeof word);
    }
}

static void verify_range(const struct block *block, size_t from, size_t to)
{
    const unsigned char *bytes = block->address;
    for (size_t at = from; at < to; at += sizeof(uint64_t)) {
        uint64_t word = pattern_word(block->seed, at);
        if (memcmp(bytes + at, &word, to - at < sizeof word ? to - at : sizeof word) != 0)
            stress_fail("block %p of %zu bytes differs at byte %zu", block->address, block->bytes,
                        at);
    }
}

/*
 * Applies a function to all ranges that carry the pattern in the first `bytes` bytes. Which bytes
 * carry it does not depend on the size but for the end, so that a block can be checked up to the
 * smaller size after it was resized.
 */
static void each_range(const struct block *block, size_t bytes,
                       void (*visit)(const struct block *block, size_t from, size_t to))
{
    if (bytes <= WHOLE_BYTES) {
        visit(block, 0, bytes);
        return;
    }
    visit(block, 0, WHOLE_BYTES);
    size_t at = WHOLE_BYTES;
    for (; at + sizeof(uint64_t) <= bytes; at += SAMPLE_STRIDE)
        visit(block, at, at + sizeof(uint64_t));
}

/* The end of a sampled block: apart, because a shorter block does not have it there. */
static void each_end_range(const struct block *block,
                           void (*visit)(const struct block *block, size_t from, size_t to))
{
    if (block->bytes > WHOLE_BYTES + SAMPLE_EDGE)
        visit(block, (block->bytes - SAMPLE_EDGE) / 8 * 8, block->bytes);
}

static void block_write(const struct block *block)
{
    each_range(block, block->bytes, write_range);
    each_end_range(block, write_range);
}

void block_verify(const struct block *block)
{
    if (block->address == NULL)
        return;
    each_range(block, block->bytes, verify_range);
    each_end_range(block, verify_range);
}

static void verify_zero(const struct block *block)
{
    const unsigned char *bytes = block->address;
    if (block->bytes > 0 && (bytes[0] != 0 || memcmp(bytes, bytes + 1, block->bytes - 1) != 0))
        stress_fail("calloc gave %zu bytes at %p that are not zero", block->bytes, block->address);
}

/* Takes over fresh memory, now and then up to the last byte malloc_usable_size() admits.
 */
static void block_begin(struct block *block, struct random *random)
{
    if (block->address == NULL)
        stress_fail("no memory for %zu bytes aligned to %zu", block->bytes, block->alignment);
    size_t alignment = block->alignment > STRESS_ALIGNMENT ? block->alignment : STRESS_ALIGNMENT;
    if ((uintptr_t)block->address % alignment != 0)
        stress_fail("%p of %zu bytes is not aligned to %zu", block->address, block->bytes,
                    alignment);
    if (random_below(random, 16) == 0) {
        size_t usable = TESTED(malloc_usable_size)(block->address);
        if (usable < block->bytes)
            stress_fail("%p: %zu bytes asked for, %zu usable", block->address, block->bytes,
                        usable);
        block->bytes = usable;
    }
    block->seed = random_next(random);
    block_write(block);
}

void block_allocate_bytes(struct block *block, struct random *random, size_t bytes)
{
    block->bytes = bytes;
    block->alignment = 1;
    block->address = TESTED(malloc)(bytes);
    block_begin(block, random);
}

void block_allocate(struct block *block, struct random *random)
{
    block->bytes = random_bytes(random);
    block->alignment = 1;
    switch (random_below(random, 8)) {
    case 0:
    case 1:
        block->address = TESTED(calloc)(1, block->bytes);
        if (block->address != NULL)
            verify_zero(block);
        break;
    case 2:
        block->alignment = (size_t)1 << random_below(random, 17);
        block->address = TESTED(aligned_alloc)(block->alignment, block->bytes);
        break;
    case 3:
        block->alignment = sizeof(void *) << random_below(random, 10);
        if (TESTED(posix_memalign)(&block->address, block->alignment, block->bytes) != 0)
            block->address = NULL;
        break;
    default:
        block->address = TESTED(malloc)(block->bytes);
        break;
    }
    block_begin(block, random);
}

/* After a resize: what was there before is still there, as far as the new size goes. */
static void verify_kept(const struct block *block, size_t bytes_before)
{
    if (block->bytes >= bytes_before) {
        struct block before = *block;
        before.bytes = bytes_before;
        block_verify(&before);
    } else {
        each_range(block, block->bytes, verify_range);
    }
}

void block_resize(struct block *block, struct random *random)
{
    block_verify(block);
    size_t kept = block->bytes;
    /* Half of all programs' reallocs grow a little; the others may go anywhere but to 0. */
    size_t bytes = random_below(random, 2) == 0 ? kept + kept / 2 + 1 : 1 + random_bytes(random);
    if (bytes > 2 * MIB)
        bytes = random_below(random, 100) + 1;
    block->address = TESTED(realloc)(block->address, bytes);
    block->bytes = bytes;
    block->alignment = 1;
    if (block->address != NULL)
        verify_kept(block, kept);
    block_begin(block, random);
}

void block_release(struct block *block)
{
    block_verify(block);
    TESTED(free)(block->address);
    block->address = NULL;
}

struct block *exchange_swap(struct exchange *exchange, struct random *random, struct block *mine)
{
    size_t slot = random_below(random, exchange->n_slots);
    /* acq_rel: publishes what we wrote into our block, and shows what its last owner wrote. */
    struct block *taken =
        atomic_exchange_explicit(&exchange->slots[slot], mine, memory_order_acq_rel);
    block_verify(taken);
    return taken;
}
