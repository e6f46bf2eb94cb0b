/* SPDX-License-Identifier: MIT */
#include "base/bits.h"
#include "fuzz.h"

#include <string.h>

enum { N_EXTENTS = 2048 };

static struct {
    uintptr_t at;
    size_t bytes;
} extents[N_EXTENTS];
static size_t n_extents;

void extent_add(const void *p, size_t bytes)
{
    uintptr_t at = (uintptr_t)p;
    check(n_extents < N_EXTENTS);
    for (size_t i = 0; i < n_extents; i++)
        check(at + bytes <= extents[i].at || extents[i].at + extents[i].bytes <= at);
    extents[n_extents].at = at;
    extents[n_extents++].bytes = bytes;
}

static size_t index_of(const void *p)
{
    size_t i = 0;
    while (i < n_extents && extents[i].at != (uintptr_t)p)
        i++;
    return i;
}

bool extent_is(const void *p)
{
    return index_of(p) < n_extents;
}

void extent_remove(const void *p)
{
    size_t i = index_of(p);
    check(i < n_extents);
    extents[i] = extents[--n_extents];
}

/* ---- patterns ---- */

enum { WHOLE_BYTES = 1024, STRIDE_BYTES = 16 * 1024, MARK_BYTES = 16, END_BYTES = 32 };

static uint8_t pattern_byte(size_t at, uint64_t seed)
{
    return (uint8_t)((seed * UINT64_C(0x9e3779b97f4a7c15) + at * 0x9d) >> 3 | 1);
}

static void put(char *p, size_t from, size_t to, uint64_t seed)
{
    for (size_t i = from; i < to; i++)
        p[i] = (char)pattern_byte(i, seed);
}

static void look(const char *p, size_t from, size_t to, uint64_t seed)
{
    for (size_t i = from; i < to; i++)
        check((uint8_t)p[i] == pattern_byte(i, seed));
}

static size_t start_of_end(size_t bytes)
{
    return bytes > END_BYTES ? bytes - END_BYTES : 0;
}

void pattern_fill(void *p, size_t bytes, uint64_t seed)
{
    put(p, 0, min_size(bytes, WHOLE_BYTES), seed);
    for (size_t at = STRIDE_BYTES; at + MARK_BYTES <= bytes; at += STRIDE_BYTES)
        put(p, at, at + MARK_BYTES, seed);
    put(p, start_of_end(bytes), bytes, seed);
}

void pattern_check_start(const void *p, size_t bytes, uint64_t seed)
{
    look(p, 0, min_size(bytes, WHOLE_BYTES), seed);
    for (size_t at = STRIDE_BYTES; at + MARK_BYTES <= bytes; at += STRIDE_BYTES)
        look(p, at, at + MARK_BYTES, seed);
}

void pattern_check(const void *p, size_t bytes, uint64_t seed)
{
    pattern_check_start(p, bytes, seed);
    look(p, start_of_end(bytes), bytes, seed);
}

uint64_t pattern_new_seed(void)
{
    static uint64_t seed;
    return ++seed;
}
