/* SPDX-License-Identifier: MIT */
/*
 * Writes past a block's end, and before its start. The block is given back later, as it should be.
 */
#include "misuse.h"

#include <string.h>

enum { PAGE_BYTES = 4096, N_AROUND = 3 };

/* n bytes from p + at on, at is beyond the block. */
static void write_wrong(char *p, ptrdiff_t at, size_t n)
{
    access_follows();
    memset((char *)opaque(p) + at, 'A', n);
    done();
}

/* A block between others. */
static char *take_among(size_t bytes)
{
    take_some(N_AROUND, bytes);
    char *p = take(bytes);
    take_some(N_AROUND, bytes);
    return p;
}

static void write_and_give(size_t bytes, ptrdiff_t at, size_t n)
{
    char *p = take_among(bytes);
    write_wrong(p, at, n);
    give(p);
}

/* ---- overflow ---- */

static void by_1(size_t bytes)
{
    write_and_give(bytes, (ptrdiff_t)bytes, 1);
}

/* The block's last word is used in part: an allocator that rounds up has room there. */
static void by_1_odd(size_t bytes)
{
    write_and_give(bytes - 7, (ptrdiff_t)bytes - 7, 1);
}

static void by_16(size_t bytes)
{
    write_and_give(bytes, (ptrdiff_t)bytes, 16);
}

static void by_block(size_t bytes)
{
    write_and_give(bytes, (ptrdiff_t)bytes, bytes);
}

static void one_page_on(size_t bytes)
{
    write_and_give(bytes, (ptrdiff_t)bytes + PAGE_BYTES, 16);
}

static void by_16_then_work(size_t bytes)
{
    char *p = take_among(bytes);
    write_wrong(p, (ptrdiff_t)bytes, 16);
    work(bytes);
    give(p);
}

static void *write_past_end(void *argument)
{
    size_t bytes = *(size_t *)argument;
    write_and_give(bytes, (ptrdiff_t)bytes, 16);
    return NULL;
}

static void in_thread_by_16(size_t bytes)
{
    in_thread(write_past_end, &bytes);
}

static const struct misuse overflows[] = {
    {"by-1", by_1},
    {"by-1-odd", by_1_odd},
    {"by-16", by_16},
    {"by-block", by_block},
    {"one-page-on", one_page_on},
    {"by-16-then-work", by_16_then_work},
    {"in-thread-by-16", in_thread_by_16},
};

const struct misuse_group overflow_group = {"overflow", overflows, ARRAY_LEN(overflows), true};

/* ---- underflow ---- */

static void below_by_1(size_t bytes)
{
    write_and_give(bytes, -1, 1);
}

static void below_by_16(size_t bytes)
{
    write_and_give(bytes, -16, 16);
}

static void below_by_block(size_t bytes)
{
    write_and_give(bytes, -(ptrdiff_t)bytes, bytes);
}

static void below_by_16_then_work(size_t bytes)
{
    char *p = take_among(bytes);
    write_wrong(p, -16, 16);
    work(bytes);
    give(p);
}

static void *write_before_start(void *argument)
{
    write_and_give(*(size_t *)argument, -16, 16);
    return NULL;
}

static void in_thread_below_by_16(size_t bytes)
{
    in_thread(write_before_start, &bytes);
}

static const struct misuse underflows[] = {
    {"by-1", below_by_1},
    {"by-16", below_by_16},
    {"by-block", below_by_block},
    {"by-16-then-work", below_by_16_then_work},
    {"in-thread-by-16", in_thread_below_by_16},
};

const struct misuse_group underflow_group = {"underflow", underflows, ARRAY_LEN(underflows), true};
