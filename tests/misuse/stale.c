/* SPDX-License-Identifier: MIT */
/*
 * What is done through a pointer to a block that was freed: writing, freeing once it has a new
 * owner, and reading; and reading what an earlier owner left in a new block.
 */
#include "misuse.h"

#include <stdlib.h>
#include <string.h>

enum { LINK_BYTES = 16, LOOKED_AT_BLOCKS = 40 };

/* ---- writing ---- */

static void write_wrong(char *p, size_t at, size_t n)
{
    access_follows();
    memset((char *)opaque(p) + at, 'A', n);
    done();
}

static void first_word(size_t bytes)
{
    char *p = take(bytes);
    give(p);
    write_wrong(p, 0, 8);
}

static void second_word(size_t bytes)
{
    char *p = take(bytes);
    give(p);
    write_wrong(p, 8, 8);
}

static void middle(size_t bytes)
{
    char *p = take(bytes);
    give(p);
    write_wrong(p, bytes / 2, 8);
}

static void whole(size_t bytes)
{
    char *p = take(bytes);
    give(p);
    write_wrong(p, 0, bytes);
}

static void after_others(size_t bytes)
{
    char *p = take(bytes);
    char *others[] = {take(bytes), take(bytes), take(bytes)};
    give(p);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        give(others[i]);
    work_elsewhere(bytes);
    write_wrong(p, 0, LINK_BYTES);
}

static void *give_in_thread(void *p)
{
    give(p);
    return NULL;
}

static void after_other_thread(size_t bytes)
{
    char *p = take(bytes);
    in_thread(give_in_thread, p);
    write_wrong(p, 0, LINK_BYTES);
}

/* It has a new owner, if the allocator lets it. */
static void taken_again(size_t bytes)
{
    char *p = take(bytes);
    give(p);
    (void)take_until(p, bytes);
    write_wrong(p, 0, LINK_BYTES);
}

static const struct misuse writes[] = {
    {"first-word", first_word},
    {"second-word", second_word},
    {"middle", middle},
    {"whole", whole},
    {"after-others", after_others},
    {"after-other-thread", after_other_thread},
    {"taken-again", taken_again},
};

const struct misuse_group write_after_free_group = {"write-after-free", writes, ARRAY_LEN(writes),
                                                    true};

/* ---- freeing what has a new owner ---- */

static void *free_wrong(void *p)
{
    wrong();
    free(opaque(p));
    done();
    return NULL;
}

static char *take_give_take(size_t bytes)
{
    char *p = take(bytes);
    give(p);
    (void)take_until(p, bytes);
    return p;
}

static void free_stale(size_t bytes)
{
    (void)free_wrong(take_give_take(bytes));
}

static void free_stale_in_thread(size_t bytes)
{
    in_thread(free_wrong, take_give_take(bytes));
}

static const struct misuse frees[] = {
    {"at-once", free_stale},
    {"in-other-thread", free_stale_in_thread},
};

const struct misuse_group stale_free_group = {"stale-free", frees, ARRAY_LEN(frees), true};

/* ---- reading ---- */

static const char secret[16] = "the old content";

static void fill_with_secret(char *p, size_t bytes)
{
    for (size_t at = 0; at + sizeof secret <= bytes; at += sizeof secret)
        memcpy(p + at, secret, sizeof secret);
}

static bool has_secret(const char *p, size_t bytes)
{
    for (size_t at = 0; at + sizeof secret <= bytes; at += sizeof secret) {
        if (memcmp(p + at, secret, sizeof secret) == 0)
            return true;
    }
    return false;
}

static char *take_secret(size_t bytes)
{
    char *p = opaque(malloc(bytes));
    if (p == NULL)
        give_up("no memory");
    fill_with_secret(p, bytes);
    return p;
}

static void must_not_show(const char *p, size_t bytes)
{
    if (has_secret(p, bytes))
        harm("what a block held before it was freed is still there");
}

/* In blocks that are taken now. */
static void *look_at_new(void *argument)
{
    size_t bytes = *(size_t *)argument;
    for (int i = 0; i < LOOKED_AT_BLOCKS; i++) {
        char *p = opaque(malloc(bytes));
        if (p == NULL)
            give_up("no memory");
        access_follows();
        must_not_show(p, bytes);
        done();
        adopt(p, bytes);
    }
    return NULL;
}

static void new_block(size_t bytes)
{
    free(take_secret(bytes));
    (void)look_at_new(&bytes);
}

static void new_block_after_others(size_t bytes)
{
    char *p = take_secret(bytes);
    char *others[] = {take(bytes), take(bytes), take(bytes)};
    free(p);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        give(others[i]);
    work_elsewhere(bytes);
    (void)look_at_new(&bytes);
}

static void *free_in_thread(void *p)
{
    free(p);
    return NULL;
}

static void new_block_after_other_thread(size_t bytes)
{
    in_thread(free_in_thread, take_secret(bytes));
    (void)look_at_new(&bytes);
}

static void *free_new_secret(void *argument)
{
    free(take_secret(*(size_t *)argument));
    return NULL;
}

static void new_block_of_ended_thread(size_t bytes)
{
    in_thread(free_new_secret, &bytes);
    (void)look_at_new(&bytes);
}

/* What realloc adds to a block. */
static void grown(size_t bytes)
{
    free(take_secret(bytes));
    char *p = opaque(malloc(bytes / 2));
    char *longer = p != NULL ? opaque(realloc(p, bytes)) : NULL;
    if (longer == NULL)
        give_up("no memory");
    access_follows();
    must_not_show(longer + bytes / 2, bytes / 2);
    done();
    free(longer);
}

static void freed_block(size_t bytes)
{
    char *p = take_secret(bytes);
    free(p);
    access_follows();
    must_not_show(opaque(p), bytes);
    done();
}

static void freed_block_after_work(size_t bytes)
{
    char *p = take_secret(bytes);
    free(p);
    work_elsewhere(bytes);
    access_follows();
    must_not_show(opaque(p), bytes);
    done();
}

static const struct misuse reads[] = {
    {"new-block", new_block},
    {"new-block-after-others", new_block_after_others},
    {"new-block-after-other-thread", new_block_after_other_thread},
    {"new-block-of-ended-thread", new_block_of_ended_thread},
    {"grown", grown},
    {"freed-block", freed_block},
    {"freed-block-after-work", freed_block_after_work},
};

const struct misuse_group stale_data_group = {"stale-data", reads, ARRAY_LEN(reads), true};
