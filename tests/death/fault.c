/* SPDX-License-Identifier: MIT */
#include "fault.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MANY_BYTES = 2 << 20, /* more than a thread keeps of a class it has not used before */
    MANY_MAX = MANY_BYTES / 16,
    TAKE_MAX_BYTES = 3 * MANY_BYTES, /* of blocks taken in vain */
    LIVE_MAX = 1 << 20,
};

/* No printf: its buffer would be a block. */
static void say(const char *text)
{
    size_t n = strlen(text);
    if (write(STDOUT_FILENO, text, n) != (ssize_t)n)
        _exit(EXIT_FAILURE);
}

void give_up(const char *why)
{
    say(why);
    say("\n");
    _exit(EXIT_FAILURE);
}

size_t class_bytes(size_t bytes)
{
    static const struct {
        size_t asked;
        size_t class_bytes;
    } table[] = {{16, 16}, {48, 48}, {64, 64}, {1000, 1024}, {32768, 32768}, {100000, 106496}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].asked == bytes)
            return table[i].class_bytes;
    }
    return 0;
}

void expect(const char *fault, const void *p, size_t bytes)
{
    char line[256];
    size_t class = class_bytes(bytes);
    int n = snprintf(line, sizeof line, "%s: 0x%" PRIxPTR ", class ", fault, (uintptr_t)p);
    (void)snprintf(line + n, sizeof line - (size_t)n, class != 0 ? "%zu\n" : "none\n", class);
    say(line);
}

/* ---- live blocks: a hash set with linear probing ---- */

static uintptr_t live[LIVE_MAX];
static const uintptr_t removed = 1;

static size_t live_slot(uintptr_t address)
{
    return (size_t)((address * UINT64_C(0x9e3779b97f4a7c15)) >> 44) % LIVE_MAX;
}

static uintptr_t *live_find(uintptr_t address)
{
    size_t i = live_slot(address);
    while (live[i] != 0 && live[i] != address)
        i = (i + 1) % LIVE_MAX;
    return &live[i];
}

void *block_take(size_t bytes)
{
    void *p = opaque(malloc(bytes));
    if (p == NULL)
        give_up("no memory");
    uintptr_t *slot = live_find((uintptr_t)p);
    if (*slot == (uintptr_t)p)
        give_up("a block was handed out that is live");
    *slot = (uintptr_t)p;
    memset(p, 0x5a, bytes);
    return p;
}

void block_give(void *p)
{
    uintptr_t *slot = live_find((uintptr_t)p);
    if (*slot != (uintptr_t)p)
        give_up("the test itself frees a block that is not live");
    *slot = removed;
    free(opaque(p));
}

/* ---- taking ---- */

void take_until_death(size_t bytes)
{
    for (size_t taken = 0; taken < TAKE_MAX_BYTES; taken += bytes)
        (void)block_take(bytes);
    give_up("nothing was noticed");
}

void take_until(size_t bytes, const void *wanted)
{
    for (size_t taken = 0; taken < TAKE_MAX_BYTES; taken += bytes) {
        if (block_take(bytes) == wanted)
            return;
    }
    give_up("the block that was freed is not handed out again");
}

void take_neighbours(size_t bytes, char **low, char **high)
{
    *low = block_take(bytes);
    for (size_t taken = 0; taken < TAKE_MAX_BYTES; taken += bytes) {
        *high = block_take(bytes);
        if (*low + class_bytes(bytes) == *high)
            return;
        *low = *high;
    }
    give_up("there are no neighbours");
}

static void *many[MANY_MAX];
static size_t n_many;

void *take_with_many(size_t bytes)
{
    n_many = MANY_BYTES / bytes;
    for (size_t i = 0; i < n_many; i++)
        many[i] = block_take(bytes);
    return many[n_many / 2];
}

static bool is_same_slab(const void *a, const void *b)
{
    return (uintptr_t)a / SLAB_BYTES == (uintptr_t)b / SLAB_BYTES;
}

void give_with_many(void *p)
{
    block_give(p);
    for (size_t i = 0; i < n_many; i++) {
        if (!is_same_slab(many[i], p))
            block_give(many[i]);
    }
}

/* ---- the rest ---- */

void on_thread(void *(*f)(void *), void *p)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, f, p) != 0 || pthread_join(thread, NULL) != 0)
        give_up("no thread can be had");
}

__attribute__((noinline)) void *opaque(void *p)
{
    __asm__("" : "+r"(p));
    return p;
}

void *realloc_to_0(void *p)
{
    size_t none = 0;
    __asm__("" : "+r"(none));
    return opaque(realloc(opaque(p), none));
}

int fault_main(int argc, char **argv, const struct fault_case *cases, size_t n_cases)
{
    if (argc != 3)
        give_up("usage: PROGRAM CASE BYTES");
    for (size_t i = 0; i < n_cases; i++) {
        if (strcmp(argv[1], cases[i].name) != 0)
            continue;
        cases[i].run(strtoul(argv[2], NULL, 10));
        return EXIT_SUCCESS;
    }
    give_up("no such case");
}
