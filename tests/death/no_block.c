/* SPDX-License-Identifier: MIT */
/*
 * Pointers that are no block's first byte, given to free and its relatives. Noticed at once, but
 * for two kinds of address where a block of the class could begin and none does.
 */
#include "fault.h"

#include <malloc.h>
#include <stdlib.h>

static size_t block_bytes; /* for cases that go on in another thread */

static void *free_once(void *p)
{
    free(p);
    return NULL;
}

static void free_no_block(void *p, size_t bytes)
{
    expect(FREE_OF_NO_BLOCK, p, bytes);
    free(opaque(p));
    give_up("nothing was noticed");
}

static void realloc_no_block(void *p, size_t bytes)
{
    expect(REALLOC_OF_NO_BLOCK, p, bytes);
    (void)opaque(realloc(opaque(p), 100));
    give_up("nothing was noticed");
}

/* ---- inside of a small block ---- */

static void plus_1(size_t bytes)
{
    free_no_block((char *)block_take(bytes) + 1, bytes);
}

static void plus_8(size_t bytes)
{
    free_no_block((char *)block_take(bytes) + 8, bytes);
}

static void plus_16(size_t bytes)
{
    free_no_block((char *)block_take(bytes) + 16, bytes);
}

static void middle(size_t bytes)
{
    free_no_block((char *)block_take(bytes) + class_bytes(bytes) / 2, bytes);
}

static void last_byte(size_t bytes)
{
    free_no_block((char *)block_take(bytes) + class_bytes(bytes) - 1, bytes);
}

/* The block of another thread. */
static void other_thread(size_t bytes)
{
    char *p = (char *)block_take(bytes) + 8;
    expect(FREE_OF_NO_BLOCK, p, bytes);
    on_thread(free_once, p);
}

static void small_realloc(size_t bytes)
{
    realloc_no_block((char *)block_take(bytes) + 8, bytes);
}

static void small_realloc_to_0(size_t bytes)
{
    char *p = (char *)block_take(bytes) + 8;
    expect(FREE_OF_NO_BLOCK, p, bytes);
    (void)realloc_to_0(p);
    give_up("nothing was noticed");
}

static void small_usable_size(size_t bytes)
{
    char *p = (char *)block_take(bytes) + 8;
    if (malloc_usable_size(opaque(p)) != 0)
        give_up("what is no block has bytes");
}

/* ---- in a slab, where no block is ---- */

static char *slab_base(const void *p)
{
    return (char *)((uintptr_t)p / SLAB_BYTES * SLAB_BYTES);
}

static void free_and_let_go_home(void *p, size_t bytes)
{
    expect(FREE_OF_NO_BLOCK, p, bytes);
    on_thread(free_once, p);
}

static void *free_after_last_block(void *unused)
{
    (void)unused;
    char *tail = slab_base(block_take(block_bytes)) +
                 SLAB_BYTES / class_bytes(block_bytes) * class_bytes(block_bytes);
    expect(FREE_OF_NO_BLOCK, tail, block_bytes);
    free(opaque(tail));
    return NULL;
}

/* What is left of a slab after its last block. */
static void after_last_block(size_t bytes)
{
    block_bytes = bytes;
    on_thread(free_after_last_block, NULL);
}

static void after_last_block_other_thread(size_t bytes)
{
    char *base = slab_base(block_take(bytes));
    free_and_let_go_home(base + SLAB_BYTES / class_bytes(bytes) * class_bytes(bytes), bytes);
}

static void *free_never_handed_out(void *unused)
{
    (void)unused;
    char *last = slab_base(block_take(block_bytes)) +
                 (SLAB_BYTES / class_bytes(block_bytes) - 1) * class_bytes(block_bytes);
    expect(FREE_OF_NO_BLOCK, last, block_bytes);
    free(opaque(last));
    return NULL;
}

/* A slab is used from its first block on: the last one has not been handed out yet. */
static void never_handed_out(size_t bytes)
{
    block_bytes = bytes;
    on_thread(free_never_handed_out, NULL);
}

/* It is handed out at once; then others, up to where it would be handed out again. */
static void never_handed_out_taken(size_t bytes)
{
    char *last =
        slab_base(block_take(bytes)) + (SLAB_BYTES / class_bytes(bytes) - 1) * class_bytes(bytes);
    expect(NOT_AS_WE_LEFT_IT, last, bytes);
    free(opaque(last));
    take_until(bytes, last);
    take_until_death(bytes);
}

/* ---- inside of a large block ---- */

static void large_plus_16(size_t bytes)
{
    free_no_block((char *)block_take(bytes) + 16, 0);
}

static void large_plus_page(size_t bytes)
{
    free_no_block((char *)block_take(bytes) + 4096, 0);
}

static void large_plus_slab(size_t bytes)
{
    free_no_block((char *)block_take(bytes) + SLAB_BYTES, 0);
}

static void large_last_page(size_t bytes)
{
    char *p = block_take(bytes);
    free_no_block(p + (malloc_usable_size(p) - 4096), 0);
}

static void large_realloc(size_t bytes)
{
    realloc_no_block((char *)block_take(bytes) + 4096, 0);
}

/* ---- somewhere else ---- */

static void of_stack(size_t bytes)
{
    (void)bytes;
    _Alignas(16) char object[64];
    free_no_block(object, 0);
}

static void of_static_object(size_t bytes)
{
    (void)bytes;
    _Alignas(16) static char object[64];
    free_no_block(object, 0);
}

static void of_static_page(size_t bytes)
{
    (void)bytes;
    _Alignas(4096) static char object[4096];
    free_no_block(object, 0);
}

static void of_constant(size_t bytes)
{
    (void)bytes;
    static const char string[] = "constant";
    free_no_block((void *)(uintptr_t)string, 0);
}

static void of_code(size_t bytes)
{
    (void)bytes;
    free_no_block((void *)(uintptr_t)&free_once, 0);
}

static void of_address(size_t address)
{
    free_no_block((void *)address, 0);
}

static void realloc_of_stack(size_t bytes)
{
    (void)bytes;
    _Alignas(16) char object[64];
    realloc_no_block(object, 0);
}

static void realloc_of_static_object(size_t bytes)
{
    (void)bytes;
    _Alignas(16) static char object[64];
    realloc_no_block(object, 0);
}

int main(int argc, char **argv)
{
    static const struct fault_case cases[] = {
        {"plus-1", plus_1},
        {"plus-8", plus_8},
        {"plus-16", plus_16},
        {"middle", middle},
        {"last-byte", last_byte},
        {"other-thread", other_thread},
        {"realloc", small_realloc},
        {"realloc-to-0", small_realloc_to_0},
        {"usable-size", small_usable_size},
        {"after-last-block", after_last_block},
        {"after-last-block-other-thread", after_last_block_other_thread},
        {"never-handed-out", never_handed_out},
        {"never-handed-out-taken", never_handed_out_taken},
        {"large-plus-16", large_plus_16},
        {"large-plus-page", large_plus_page},
        {"large-plus-slab", large_plus_slab},
        {"large-last-page", large_last_page},
        {"large-realloc", large_realloc},
        {"stack", of_stack},
        {"static-object", of_static_object},
        {"static-page", of_static_page},
        {"constant", of_constant},
        {"code", of_code},
        {"address", of_address},
        {"realloc-stack", realloc_of_stack},
        {"realloc-static-object", realloc_of_static_object},
    };
    return fault_main(argc, argv, cases, ARRAY_LEN(cases));
}
