/* SPDX-License-Identifier: MIT */
/*
 * Free blocks written to. That shows when the block is next handed out, or when it changes lists:
 * its two words are not what the library wrote there.
 */
#include "fault.h"

#include <stdlib.h>
#include <string.h>

enum { LINK_BYTES = 2 * sizeof(void *) };

static size_t block_bytes; /* for cases that go on in another thread */

static void overwrite(void *p)
{
    memset(opaque(p), 0x41, LINK_BYTES);
}

static void first_word(size_t bytes)
{
    void *p = block_take(bytes);
    expect(NOT_AS_WE_LEFT_IT, p, bytes);
    block_give(p);
    memset(opaque(p), 0x41, sizeof(void *));
    take_until_death(bytes);
}

static void second_word(size_t bytes)
{
    void *p = block_take(bytes);
    expect(NOT_AS_WE_LEFT_IT, p, bytes);
    block_give(p);
    memset((char *)opaque(p) + sizeof(void *), 0x41, sizeof(void *));
    take_until_death(bytes);
}

static void both_words(size_t bytes)
{
    void *p = block_take(bytes);
    expect(NOT_AS_WE_LEFT_IT, p, bytes);
    block_give(p);
    overwrite(p);
    take_until_death(bytes);
}

static void one_bit(size_t bytes)
{
    void *p = block_take(bytes);
    expect(NOT_AS_WE_LEFT_IT, p, bytes);
    block_give(p);
    *(unsigned char *)opaque(p) ^= 0x10;
    take_until_death(bytes);
}

static void zeroed(size_t bytes)
{
    void *p = block_take(bytes);
    expect(NOT_AS_WE_LEFT_IT, p, bytes);
    block_give(p);
    memset(opaque(p), 0, bytes);
    take_until_death(bytes);
}

/* The link of another free block, whole: it is good there, not here. */
static void with_other_link(size_t bytes)
{
    void *p = block_take(bytes);
    void *other = block_take(bytes);
    expect(NOT_AS_WE_LEFT_IT, p, bytes);
    block_give(other);
    block_give(p);
    memcpy(opaque(p), opaque(other), LINK_BYTES);
    take_until_death(bytes);
}

/* Not the block that is handed out next. */
static void below_others(size_t bytes)
{
    void *p = block_take(bytes);
    void *other = block_take(bytes);
    expect(NOT_AS_WE_LEFT_IT, p, bytes);
    block_give(p);
    block_give(other);
    overwrite(p);
    take_until_death(bytes);
}

static void at_home(size_t bytes)
{
    void *p = take_with_many(bytes);
    expect(NOT_AS_WE_LEFT_IT, p, bytes);
    give_with_many(p);
    overwrite(p);
    take_until_death(bytes);
}

static void before_calloc(size_t bytes)
{
    void *p = block_take(bytes);
    expect(NOT_AS_WE_LEFT_IT, p, bytes);
    block_give(p);
    overwrite(p);
    (void)opaque(calloc(1, bytes));
    give_up("nothing was noticed");
}

static void *free_overwrite_and_end(void *unused)
{
    (void)unused;
    void *p = block_take(block_bytes);
    expect(NOT_AS_WE_LEFT_IT, p, block_bytes);
    block_give(p);
    overwrite(p);
    return NULL;
}

static void thread_end(size_t bytes)
{
    block_bytes = bytes;
    on_thread(free_overwrite_and_end, NULL);
}

static void *give(void *p)
{
    block_give(p);
    return NULL;
}

static void after_other_thread(size_t bytes)
{
    void *p = block_take(bytes);
    expect(NOT_AS_WE_LEFT_IT, p, bytes);
    on_thread(give, p);
    overwrite(p);
    take_until_death(bytes);
}

/* A live block's program writes past its end. */
static void by_neighbour(size_t bytes)
{
    char *low;
    char *high;
    take_neighbours(bytes, &low, &high);
    expect(NOT_AS_WE_LEFT_IT, high, bytes);
    block_give(high);
    memset(opaque(low), 0x41, class_bytes(bytes) + LINK_BYTES);
    take_until_death(bytes);
}

/* The same by one byte, as a string's end does. */
static void by_neighbour_one_byte(size_t bytes)
{
    char *low;
    char *high;
    take_neighbours(bytes, &low, &high);
    expect(NOT_AS_WE_LEFT_IT, high, bytes);
    block_give(high);
    low = opaque(low);
    low[class_bytes(bytes)] = (char)(low[class_bytes(bytes)] + 1);
    take_until_death(bytes);
}

/* Where no block has been yet: the last of a slab. */
static void never_used(size_t bytes)
{
    char *base = (char *)((uintptr_t)block_take(bytes) / SLAB_BYTES * SLAB_BYTES);
    char *last = base + (SLAB_BYTES / class_bytes(bytes) - 1) * class_bytes(bytes);
    expect(NOT_AS_WE_LEFT_IT, last, bytes);
    *(char *)opaque(last) = 1;
    take_until_death(bytes);
}

int main(int argc, char **argv)
{
    static const struct fault_case cases[] = {
        {"first-word", first_word},
        {"second-word", second_word},
        {"both-words", both_words},
        {"one-bit", one_bit},
        {"zeroed", zeroed},
        {"with-other-link", with_other_link},
        {"below-others", below_others},
        {"at-home", at_home},
        {"before-calloc", before_calloc},
        {"thread-end", thread_end},
        {"after-other-thread", after_other_thread},
        {"by-neighbour", by_neighbour},
        {"by-neighbour-one-byte", by_neighbour_one_byte},
        {"never-used", never_used},
    };
    return fault_main(argc, argv, cases, ARRAY_LEN(cases));
}
