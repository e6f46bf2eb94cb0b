/* SPDX-License-Identifier: MIT */
/*
 * Blocks given back by another family's function than the one that made them, or with another
 * size. C++'s operators by the names that compilers give them.
 */
#include "misuse.h"

#include <stdlib.h>

void *operator_new(size_t bytes) __asm__("_Znwm");
void *operator_new_array(size_t bytes) __asm__("_Znam");
void *operator_new_aligned(size_t bytes, size_t align) __asm__("_ZnwmSt11align_val_t");
void operator_delete(void *p) __asm__("_ZdlPv");
void operator_delete_array(void *p) __asm__("_ZdaPv");
void operator_delete_sized(void *p, size_t bytes) __asm__("_ZdlPvm");
void operator_delete_aligned(void *p, size_t align) __asm__("_ZdlPvSt11align_val_t");

enum { ALIGN_BYTES = 64 };

/* A block made by `make` and given back by `take_back`. */
static void pass(void *(*make)(size_t), void (*take_back)(void *), size_t bytes)
{
    void *p = opaque(make(bytes));
    adopt(p, bytes);
    disown(p);
    wrong();
    take_back(opaque(p));
    done();
}

static void new_free(size_t bytes)
{
    pass(operator_new, free, bytes);
}

static void new_array_free(size_t bytes)
{
    pass(operator_new_array, free, bytes);
}

static void malloc_delete(size_t bytes)
{
    pass(malloc, operator_delete, bytes);
}

static void malloc_delete_array(size_t bytes)
{
    pass(malloc, operator_delete_array, bytes);
}

static void new_delete_array(size_t bytes)
{
    pass(operator_new, operator_delete_array, bytes);
}

static void new_array_delete(size_t bytes)
{
    pass(operator_new_array, operator_delete, bytes);
}

static void new_delete_wrong_size(size_t bytes)
{
    void *p = opaque(operator_new(bytes));
    wrong();
    operator_delete_sized(opaque(p), bytes / 2);
    done();
}

static void new_aligned_delete(size_t bytes)
{
    void *p = opaque(operator_new_aligned(bytes, ALIGN_BYTES));
    wrong();
    operator_delete(opaque(p));
    done();
}

static void new_delete_aligned(size_t bytes)
{
    void *p = opaque(operator_new(bytes));
    wrong();
    operator_delete_aligned(opaque(p), ALIGN_BYTES);
    done();
}

static const struct misuse cases[] = {
    {"new-free", new_free},
    {"new-array-free", new_array_free},
    {"malloc-delete", malloc_delete},
    {"malloc-delete-array", malloc_delete_array},
    {"new-delete-array", new_delete_array},
    {"new-array-delete", new_array_delete},
    {"new-delete-wrong-size", new_delete_wrong_size},
    {"new-aligned-delete", new_aligned_delete},
    {"new-delete-aligned", new_delete_aligned},
};

const struct misuse_group mismatch_group = {"mismatch", cases, ARRAY_LEN(cases), true};
