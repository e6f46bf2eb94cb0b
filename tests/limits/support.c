/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LARGE_BYTES (40 * MIB)

size_t argument_number(const char *text)
{
    char *end = NULL;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0)
        limits_fail("not a number: %s", text);
    return number;
}

void run_instead(char **argv)
{
    (void)execvp(argv[0], argv);
    limits_fail("cannot run %s: %s", argv[0], strerror(errno));
}

int child_status(int child)
{
    int status = 0;
    limits_check(waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status))
        limits_fail("a child was ended by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

/* SplitMix64. */
static uint64_t random_next(uint64_t *state)
{
    uint64_t bits = *state += UINT64_C(0x9e3779b97f4a7c15);
    bits = (bits ^ bits >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ bits >> 27) * UINT64_C(0x94d049bb133111eb);
    return bits ^ bits >> 31;
}

size_t random_below(uint64_t *state, size_t limit)
{
    return (size_t)(random_next(state) % limit);
}

/* ---- what blocks hold: one word, over and over ---- */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

void block_fill(void *block, size_t bytes, uint64_t seed)
{
    size_t n = smaller(bytes, sizeof seed);
    memcpy(block, &seed, n);
    while (n < bytes) {
        size_t more = smaller(n, bytes - n);
        memcpy((char *)block + n, block, more);
        n += more;
    }
}

bool block_holds(const void *block, size_t bytes, uint64_t seed)
{
    size_t n = smaller(bytes, sizeof seed);
    return memcmp(block, &seed, n) == 0 && memcmp(block, (const char *)block + n, bytes - n) == 0;
}

bool block_is_zero(const void *block, size_t bytes)
{
    return block_holds(block, bytes, 0);
}

static void check_zero(size_t bytes, size_t count)
{
    unsigned char *blocks[64];
    for (size_t i = 0; i < count; i++) {
        blocks[i] = malloc(bytes);
        limits_check(blocks[i] != NULL);
        block_fill(blocks[i], bytes, UINT64_MAX - i);
    }
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
    (void)malloc_trim(0);
    for (size_t i = 0; i < count; i++) {
        blocks[i] = calloc(1, bytes);
        limits_check(blocks[i] != NULL);
        if (!block_is_zero(blocks[i], bytes))
            limits_fail("calloc of %zu bytes is not zero", bytes);
    }
    for (size_t i = 0; i < count; i++)
        free(blocks[i]);
}

void check_calloc_is_zero(void)
{
    check_zero(100, 64);
    check_zero(20 * KIB, 64);
    check_zero(100 * KIB, 64);
    check_zero(3 * MIB, 20);
    check_zero(40 * MIB, 2);
}

/* ---- /proc/self/statm ---- */

static size_t statm_bytes(int column)
{
    char line[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    if (fd >= 0)
        (void)close(fd);
    if (n <= 0)
        return 0;
    line[n] = '\0';
    char *at = line;
    for (int i = 0; i < column; i++)
        (void)strtoul(at, &at, 10);
    return strtoul(at, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

size_t mapped_bytes(void)
{
    return statm_bytes(0);
}

size_t resident_bytes(void)
{
    return statm_bytes(1);
}

/* ---- work ---- */

struct record {
    void *block; /* NULL: the rest means nothing */
    size_t bytes;
    uint64_t seed;
};

struct worker {
    const struct work *work;
    uint64_t random;
    size_t n_refused;
};

static void note_refusal(struct worker *worker, const char *call, size_t bytes, int error)
{
    if (!worker->work->may_fail)
        limits_fail("%s of %zu bytes: %s", call, bytes, strerror(error));
    if (error != ENOMEM)
        limits_fail("%s of %zu bytes was refused and errno is %d", call, bytes, error);
    worker->n_refused++;
}

/* As many small ones as large ones. */
static size_t any_bytes(struct worker *worker)
{
    unsigned shift = 0;
    while (worker->work->bytes_max >> shift > 32)
        shift++;
    size_t max = worker->work->bytes_max >> random_below(&worker->random, shift + 1);
    return 1 + random_below(&worker->random, max);
}

static void take_zeroed(struct worker *worker, struct record *record, size_t bytes)
{
    errno = 0;
    record->block = calloc(1, bytes);
    if (record->block == NULL)
        note_refusal(worker, "calloc", bytes, errno);
    else if (!block_is_zero(record->block, bytes))
        limits_fail("calloc of %zu bytes is not zero", bytes);
}

static void take(struct worker *worker, struct record *record, size_t bytes)
{
    size_t kind = random_below(&worker->random, 8);
    record->bytes = bytes;
    record->seed = random_next(&worker->random);
    if (kind < 3) {
        take_zeroed(worker, record, bytes);
    } else {
        size_t alignment = kind == 3 ? (size_t)32 << random_below(&worker->random, 9) : 0;
        errno = 0;
        record->block = alignment > 0 ? aligned_alloc(alignment, bytes) : malloc(bytes);
        if (record->block == NULL)
            note_refusal(worker, "malloc", bytes, errno);
    }
    if (record->block != NULL)
        block_fill(record->block, bytes, record->seed);
}

static void verify(const struct record *record)
{
    if (!block_holds(record->block, record->bytes, record->seed))
        limits_fail("a block of %zu bytes does not hold what was written to it", record->bytes);
}

/* What is added is not written to. */
static bool resize(struct worker *worker, struct record *record, size_t bytes)
{
    errno = 0;
    void *block = realloc(record->block, bytes);
    if (block == NULL) {
        note_refusal(worker, "realloc", bytes, errno);
        return false;
    }
    record->block = block;
    record->bytes = smaller(record->bytes, bytes);
    verify(record);
    return true;
}

static void resize_and_fill(struct worker *worker, struct record *record, size_t bytes)
{
    if (!resize(worker, record, bytes))
        return;
    record->bytes = bytes;
    block_fill(record->block, bytes, record->seed);
}

static void give(struct record *record)
{
    verify(record);
    free(record->block);
    record->block = NULL;
}

size_t work_at_random(const struct work *work)
{
    struct worker worker = {work, work->seed, 0};
    struct record records[64] = {{NULL, 0, 0}};
    for (size_t i = 0; i < work->n_steps; i++) {
        struct record *record = &records[random_below(&worker.random, COUNT_OF(records))];
        if (record->block == NULL) {
            take(&worker, record, any_bytes(&worker));
        } else if (random_below(&worker.random, 3) == 0) {
            verify(record);
            resize_and_fill(&worker, record, any_bytes(&worker));
        } else {
            give(record);
        }
    }
    for (size_t i = 0; i < COUNT_OF(records); i++) {
        if (records[i].block != NULL)
            give(&records[i]);
    }
    return worker.n_refused;
}

/* Only the first half, or less, is ever written to. */
static void resize_large(struct worker *worker, struct record *record, size_t bytes)
{
    if (record->block != NULL)
        (void)resize(worker, record, bytes);
}

size_t work_with_large(const struct work *work)
{
    struct worker worker = {work, work->seed, 0};
    struct record records[2] = {{NULL, 0, 0}};
    for (size_t i = 0; i < work->n_steps; i++) {
        struct record *record = &records[i % COUNT_OF(records)];
        size_t bytes = LARGE_BYTES + random_below(&worker.random, LARGE_BYTES / 4);
        take_zeroed(&worker, record, bytes);
        record->bytes = bytes / 2;
        record->seed = random_next(&worker.random);
        if (record->block != NULL)
            block_fill(record->block, record->bytes, record->seed);
        resize_large(&worker, record, bytes * 2);
        resize_large(&worker, record, bytes / 4);
        resize_large(&worker, record, bytes);
        struct record *other = &records[(i + 1) % COUNT_OF(records)];
        if (other->block != NULL)
            give(other);
    }
    for (size_t i = 0; i < COUNT_OF(records); i++) {
        if (records[i].block != NULL)
            give(&records[i]);
    }
    return worker.n_refused;
}
