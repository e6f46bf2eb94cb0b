/* SPDX-License-Identifier: MIT */
/*
 * A block freed twice, and not taken in between: whoever frees it the second time owns nothing.
 */
#include "misuse.h"

#include <stdlib.h>

void operator_delete(void *p) __asm__("_ZdlPv");

static void free_again(void *p)
{
    wrong();
    free(opaque(p));
    done();
}

static void *free_in_thread(void *p)
{
    free_again(p);
    return NULL;
}

static void *give_in_thread(void *p)
{
    give(p);
    return NULL;
}

static void at_once(size_t bytes)
{
    char *p = take(bytes);
    give(p);
    free_again(p);
}

static void other_between(size_t bytes)
{
    char *p = take(bytes);
    char *other = take(bytes);
    give(p);
    give(other);
    free_again(p);
}

static void many_between(size_t bytes)
{
    enum { N_OTHERS = 20 };
    char *others[N_OTHERS];
    char *p = take(bytes);
    for (int i = 0; i < N_OTHERS; i++)
        others[i] = take(bytes);
    give(p);
    for (int i = 0; i < N_OTHERS; i++)
        give(others[i]);
    free_again(p);
}

/* Of other sizes; and nothing is taken, for it might be taken from where the block was. */
static void other_sizes_between(size_t bytes)
{
    static const size_t sizes[] = {16, 200, 1000, 12000, 60000, 500000};
    char *others[ARRAY_LEN(sizes)];
    char *p = take(bytes);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        others[i] = take(sizes[i]);
    give(p);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        give(others[i]);
    free_again(p);
}

static void in_other_thread(size_t bytes)
{
    thread_start(free_in_thread);
    char *p = take(bytes);
    give(p);
    thread_go(p);
}

static void after_other_thread(size_t bytes)
{
    thread_start(give_in_thread);
    char *p = take(bytes);
    thread_go(p);
    free_again(p);
}

static void *take_give_free(void *argument)
{
    char *p = take(*(size_t *)argument);
    give(p);
    free_again(p);
    return NULL;
}

static void whole_in_thread(size_t bytes)
{
    in_thread(take_give_free, &bytes);
}

static void by_realloc(size_t bytes)
{
    char *p = take(bytes);
    give(p);
    wrong();
    char *moved = opaque(realloc(opaque(p), 2 * bytes));
    done();
    if (moved != NULL)
        adopt(moved, 2 * bytes);
}

static void by_delete(size_t bytes)
{
    char *p = take(bytes);
    give(p);
    wrong();
    operator_delete(opaque(p));
    done();
}

static const struct misuse cases[] = {
    {"at-once", at_once},
    {"other-between", other_between},
    {"many-between", many_between},
    {"other-sizes-between", other_sizes_between},
    {"in-other-thread", in_other_thread},
    {"after-other-thread", after_other_thread},
    {"whole-in-thread", whole_in_thread},
    {"by-realloc", by_realloc},
    {"by-delete", by_delete},
};

const struct misuse_group double_free_group = {"double-free", cases, ARRAY_LEN(cases), true};
