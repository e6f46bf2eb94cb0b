/* SPDX-License-Identifier: MIT */
/*
 * free of an address that malloc never returned: inside of a block, and elsewhere.
 */
#include "misuse.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void *free_wrong(void *p)
{
    wrong();
    free(opaque(p));
    done();
    return NULL;
}

/* ---- of a block, but not its start ---- */

static void plus_1(size_t bytes)
{
    (void)free_wrong(take(bytes) + 1);
}

static void plus_8(size_t bytes)
{
    (void)free_wrong(take(bytes) + 8);
}

static void plus_16(size_t bytes)
{
    (void)free_wrong(take(bytes) + 16);
}

static void minus_16(size_t bytes)
{
    (void)free_wrong(take(bytes) - 16);
}

static void last_bytes(size_t bytes)
{
    (void)free_wrong(take(bytes) + bytes - 16);
}

static void in_other_thread(size_t bytes)
{
    in_thread(free_wrong, take(bytes) + 16);
}

static void by_realloc(size_t bytes)
{
    char *p = take(bytes) + 16;
    wrong();
    char *moved = opaque(realloc(opaque(p), 2 * bytes));
    done();
    if (moved != NULL)
        adopt(moved, 2 * bytes);
}

/* What looks like a small block's header of a common kind is in front of it. */
static void forged(size_t bytes)
{
    char *p = take(bytes);
    disown(p);
    memset(p, 0, bytes);
    p[8] = 0x31;
    (void)free_wrong(p + 16);
    adopt(p, bytes);
}

static void of_freed(size_t bytes)
{
    char *p = take(bytes);
    give(p);
    (void)free_wrong(p + 16);
}

static const struct misuse inside[] = {
    {"plus-1", plus_1},         {"plus-8", plus_8},         {"plus-16", plus_16},
    {"minus-16", minus_16},     {"last-bytes", last_bytes}, {"in-other-thread", in_other_thread},
    {"by-realloc", by_realloc}, {"forged", forged},         {"of-freed", of_freed},
};

const struct misuse_group invalid_free_group = {"invalid-free", inside, ARRAY_LEN(inside), true};

/* ---- of no block at all ---- */

static void stack(size_t bytes)
{
    (void)bytes;
    _Alignas(16) char object[64] = {0};
    (void)free_wrong(object);
}

/* A chunk of a common kind is made up there. */
static void stack_forged(size_t bytes)
{
    (void)bytes;
    _Alignas(16) uint64_t object[16] = {0, 0x41, 0, 0, 0, 0, 0, 0, 0, 0x41};
    (void)free_wrong(opaque(object + 2));
}

static void static_object(size_t bytes)
{
    (void)bytes;
    _Alignas(16) static char object[64];
    (void)free_wrong(object);
}

static void static_page(size_t bytes)
{
    (void)bytes;
    _Alignas(4096) static char object[8192];
    (void)free_wrong(object);
}

static void constant(size_t bytes)
{
    (void)bytes;
    static const char string[] = "constant";
    (void)free_wrong((void *)(uintptr_t)string);
}

static void code(size_t bytes)
{
    (void)bytes;
    (void)free_wrong((void *)(uintptr_t)&free_wrong);
}

static void small_number(size_t bytes)
{
    (void)bytes;
    (void)free_wrong((void *)(uintptr_t)0x1000);
}

static void mapping(size_t bytes)
{
    (void)bytes;
    void *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        give_up("no mapping can be had");
    (void)free_wrong(p);
}

static const struct misuse elsewhere[] = {
    {"stack", stack},
    {"stack-forged", stack_forged},
    {"static-object", static_object},
    {"static-page", static_page},
    {"constant", constant},
    {"code", code},
    {"small-number", small_number},
    {"mapping", mapping},
};

const struct misuse_group stray_free_group = {"stray-free", elsewhere, ARRAY_LEN(elsewhere), false};
