/* SPDX-License-Identifier: MIT */
/*
 * Blocks of libc's own allocator that reach the library, and NULL. Some cases are to end well, some
 * are fatal by the option foreign=abort.
 */
#include "fault.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SKIPPED = 77 };

/* libc's own, past the library's. */
static void *libc_function(const char *name)
{
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    void *function = libc != NULL ? dlsym(libc, name) : NULL;
    if (function == NULL) {
        static const char text[] = "libc's own functions cannot be found\n";
        _exit(write(STDOUT_FILENO, text, sizeof text - 1) > 0 ? SKIPPED : EXIT_FAILURE);
    }
    return function;
}

static void *libc_malloc(size_t bytes)
{
    void *(*function)(size_t);
    *(void **)&function = libc_function("malloc");
    void *p = opaque(function(bytes));
    if (p == NULL)
        give_up("libc has no memory");
    return p;
}

static void fill(char *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        p[i] = (char)(i * 31 + 7);
}

static void check_filled(const char *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (p[i] != (char)(i * 31 + 7))
            give_up("the block's bytes were lost");
    }
}

/* Most programs have called malloc before such a block comes; in the cases first-... it was not. */
static void use_malloc(void)
{
    block_give(block_take(64));
}

/* libc's allocator hands out first what was freed last. */
static void libc_first_free(size_t bytes)
{
    void *p = libc_malloc(bytes);
    free(opaque(p));
    if (libc_malloc(bytes) != p)
        give_up("the free did not reach libc");
}

static void libc_free(size_t bytes)
{
    use_malloc();
    libc_first_free(bytes);
}

static void libc_first_realloc(size_t bytes)
{
    char *p = libc_malloc(bytes);
    fill(p, bytes);
    p = opaque(realloc(p, 3 * bytes));
    if (p == NULL)
        give_up("no memory");
    check_filled(p, bytes);
    p = opaque(realloc(p, bytes / 2));
    if (p == NULL)
        give_up("no memory");
    check_filled(p, bytes / 2);
    free(p);
}

static void libc_realloc(size_t bytes)
{
    use_malloc();
    libc_first_realloc(bytes);
}

static void libc_realloc_to_0(size_t bytes)
{
    use_malloc();
    void *p = libc_malloc(bytes);
    if (realloc_to_0(p) != NULL)
        give_up("realloc to 0 bytes made a block");
    if (libc_malloc(bytes) != p)
        give_up("the free did not reach libc");
}

static void libc_first_usable_size(size_t bytes)
{
    char *p = libc_malloc(bytes);
    size_t usable = malloc_usable_size(p);
    if (usable < bytes || usable > 2 * bytes + 16)
        give_up("that is not the block's size");
    free(p);
}

static void libc_usable_size(size_t bytes)
{
    use_malloc();
    libc_first_usable_size(bytes);
}

static void libc_interior(size_t bytes)
{
    use_malloc();
    char *p = (char *)libc_malloc(bytes) + 8;
    expect(FREE_OF_NO_BLOCK, p, 0);
    free(opaque(p));
    give_up("nothing was noticed");
}

static void libc_free_fatal(size_t bytes)
{
    use_malloc();
    void *p = libc_malloc(bytes);
    expect(FREE_OF_NO_BLOCK, p, 0);
    free(opaque(p));
    give_up("nothing was noticed");
}

static void libc_realloc_fatal(size_t bytes)
{
    use_malloc();
    void *p = libc_malloc(bytes);
    expect(REALLOC_OF_NO_BLOCK, p, 0);
    (void)opaque(realloc(opaque(p), 3 * bytes));
    give_up("nothing was noticed");
}

/* The block stays as it is, and live as far as libc knows. */
static void libc_free_ignored(size_t bytes)
{
    use_malloc();
    char *p = libc_malloc(bytes);
    fill(p, bytes);
    free(opaque(p));
    check_filled(opaque(p), bytes);
    if (libc_malloc(bytes) == p)
        give_up("the free did reach libc");
}

static void null(size_t bytes)
{
    free(opaque(NULL));
    if (malloc_usable_size(opaque(NULL)) != 0)
        give_up("NULL has bytes");
    void *p = opaque(realloc(opaque(NULL), bytes));
    if (p == NULL)
        give_up("realloc of NULL made no block");
    memset(p, 1, bytes);
    free(p);
    free(opaque(NULL));
}

int main(int argc, char **argv)
{
    static const struct fault_case cases[] = {
        {"null", null},
        {"first-free", libc_first_free},
        {"first-realloc", libc_first_realloc},
        {"first-usable-size", libc_first_usable_size},
        {"free", libc_free},
        {"realloc", libc_realloc},
        {"realloc-to-0", libc_realloc_to_0},
        {"usable-size", libc_usable_size},
        {"interior", libc_interior},
        {"free-fatal", libc_free_fatal},
        {"realloc-fatal", libc_realloc_fatal},
        {"free-ignored", libc_free_ignored},
    };
    return fault_main(argc, argv, cases, ARRAY_LEN(cases));
}
