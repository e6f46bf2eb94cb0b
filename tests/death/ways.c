/* SPDX-License-Identifier: MIT */
/*
 * The same faults on other ways: through the other functions that make blocks or take them, in
 * children, handlers and at exit, and by pointers that were damaged on the way.
 */
#include "fault.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, ALIGN_BYTES = 64 };

typedef void give_call(void *p);

static void give_by(const char *name, void *p)
{
    give_call *function;
    *(void **)&function = dlsym(RTLD_DEFAULT, name);
    if (function == NULL)
        give_up("there is no such function");
    function(opaque(p));
}

/* What a second free of a block ends in: a large one is no block any more. */
static void expect_double(const void *p, size_t bytes)
{
    bool is_small = class_bytes(bytes) != 0;
    expect(is_small ? NOT_AS_WE_LEFT_IT : FREE_OF_NO_BLOCK, p, bytes);
}

/* Not listed as live, for others than block_give to take. */
static void *take_plain(size_t bytes)
{
    void *p = opaque(malloc(bytes));
    if (p == NULL)
        give_up("no memory");
    return p;
}

static void free_no_block(void *p, size_t bytes)
{
    expect(FREE_OF_NO_BLOCK, p, bytes);
    free(opaque(p));
    give_up("nothing was noticed");
}

/* ---- C++ ---- */

static void delete_twice(size_t bytes)
{
    void *p = take_plain(bytes);
    expect_double(p, bytes);
    give_by("_ZdlPv", p);
    give_by("_ZdlPv", p);
    take_until_death(bytes);
}

static void delete_array_twice(size_t bytes)
{
    void *p = take_plain(bytes);
    expect_double(p, bytes);
    give_by("_ZdaPv", p);
    give_by("_ZdaPv", p);
    take_until_death(bytes);
}

static void delete_after_free(size_t bytes)
{
    void *p = block_take(bytes);
    expect_double(p, bytes);
    block_give(p);
    give_by("_ZdlPv", p);
    take_until_death(bytes);
}

/* An array's elements begin after their number. */
static void delete_of_array(size_t bytes)
{
    char *p = (char *)block_take(bytes) + 8;
    expect(FREE_OF_NO_BLOCK, p, bytes);
    give_by("_ZdlPv", p);
    give_up("nothing was noticed");
}

static void delete_array_of_one(size_t bytes)
{
    (void)block_take(bytes);
    char *p = block_take(bytes);
    expect(FREE_OF_NO_BLOCK, p - 8, bytes);
    give_by("_ZdaPv", p - 8);
    give_up("nothing was noticed");
}

static void delete_of_stack(size_t bytes)
{
    (void)bytes;
    _Alignas(16) char object[64] = {0};
    expect(FREE_OF_NO_BLOCK, object, 0);
    give_by("_ZdlPv", object);
    give_up("nothing was noticed");
}

/* ---- other functions of C ---- */

static void free_sized_inside(size_t bytes)
{
    void (*function)(void *, size_t);
    char *p = (char *)block_take(bytes) + 8;
    *(void **)&function = dlsym(RTLD_DEFAULT, "free_sized");
    expect(FREE_OF_NO_BLOCK, p, bytes);
    function(opaque(p), bytes);
    give_up("nothing was noticed");
}

static void free_aligned_sized_inside(size_t bytes)
{
    void (*function)(void *, size_t, size_t);
    char *p = (char *)block_take(bytes) + 8;
    *(void **)&function = dlsym(RTLD_DEFAULT, "free_aligned_sized");
    expect(FREE_OF_NO_BLOCK, p, bytes);
    function(opaque(p), 16, bytes);
    give_up("nothing was noticed");
}

static void cfree_inside(size_t bytes)
{
    char *p = (char *)block_take(bytes) + 8;
    expect(FREE_OF_NO_BLOCK, p, bytes);
    give_by("cfree", p);
    give_up("nothing was noticed");
}

static void free_twice(void *p, size_t bytes)
{
    expect_double(p, bytes);
    free(opaque(p));
    free(opaque(p));
    take_until_death(bytes);
}

static void calloc_twice(size_t bytes)
{
    free_twice(opaque(calloc(1, bytes)), bytes);
}

static void *take_aligned(size_t bytes)
{
    void *p;
    if (posix_memalign(&p, ALIGN_BYTES, bytes) != 0)
        give_up("no memory");
    return opaque(p);
}

static void aligned_twice(size_t bytes)
{
    free_twice(take_aligned(bytes), bytes);
}

static void inside_of_aligned(size_t bytes)
{
    free_no_block((char *)take_aligned(bytes) + 16, bytes);
}

/* Who aligns by hand and forgets where the block began. */
static void rounded_up(size_t bytes)
{
    uintptr_t address = (uintptr_t)block_take(bytes) + 1;
    free_no_block((void *)((address + ALIGN_BYTES - 1) & ~(uintptr_t)(ALIGN_BYTES - 1)), bytes);
}

static void of_no_bytes_twice(size_t bytes)
{
    (void)bytes;
    free_twice(take_plain(0), 16);
}

static void of_libc_twice(size_t bytes)
{
    char *text = block_take(bytes);
    memset(text, 'x', bytes - 1);
    text[bytes - 1] = '\0';
    free_twice(opaque(strdup(text)), bytes);
}

/* ---- realloc ---- */

static void moved_away(size_t bytes)
{
    void *p = take_plain(bytes);
    void *moved = opaque(realloc(opaque(p), 16 * bytes));
    if (moved == p)
        give_up("realloc moved nothing");
    expect(NOT_AS_WE_LEFT_IT, p, bytes);
    free(opaque(p));
    take_until_death(bytes);
}

static void reallocarray_of_free(size_t bytes)
{
    void *p = block_take(bytes);
    expect(REALLOC_OF_FREE, p, bytes);
    block_give(p);
    (void)opaque(reallocarray(opaque(p), 2, bytes));
    give_up("nothing was noticed");
}

static void reallocarray_inside(size_t bytes)
{
    char *p = (char *)block_take(bytes) + 8;
    expect(REALLOC_OF_NO_BLOCK, p, bytes);
    (void)opaque(reallocarray(opaque(p), 2, bytes));
    give_up("nothing was noticed");
}

/* What realloc has cut off a large block. */
static void cut_off(size_t bytes)
{
    char *p = opaque(realloc(block_take(bytes), bytes / 2));
    size_t kept = (bytes / 2 + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    free_no_block(p + kept, 0);
}

/* ---- at other times ---- */

/* The parent ends as the child did. */
static void in_child(size_t bytes)
{
    void *p = block_take(bytes);
    block_give(p);
    pid_t child = fork();
    if (child == 0) {
        expect_double(p, bytes);
        free(opaque(p));
        take_until_death(bytes);
    }
    int status;
    if (child == -1 || waitpid(child, &status, 0) != child || !WIFSIGNALED(status) ||
        WTERMSIG(status) != SIGABRT)
        give_up("nothing was noticed");
    abort();
}

static size_t bytes_at_exit;

static void free_twice_at_exit(void)
{
    free_twice(take_plain(bytes_at_exit), bytes_at_exit);
}

static void at_exit(size_t bytes)
{
    bytes_at_exit = bytes;
    if (atexit(free_twice_at_exit) != 0)
        give_up("nothing can be done at exit");
    exit(EXIT_SUCCESS);
}

static char *freed_by_handler;

static void free_in_handler(int signal)
{
    (void)signal;
    free(opaque(freed_by_handler));
}

static void in_handler(size_t bytes)
{
    freed_by_handler = (char *)block_take(bytes) + 8;
    expect(FREE_OF_NO_BLOCK, freed_by_handler, bytes);
    if (signal(SIGUSR1, free_in_handler) == SIG_ERR || raise(SIGUSR1) != 0)
        give_up("no signal can be had");
    give_up("nothing was noticed");
}

/* ---- elsewhere, and damaged pointers ---- */

static void of_thread_local(size_t bytes)
{
    (void)bytes;
    _Alignas(16) static _Thread_local char object[64];
    free_no_block(object, 0);
}

static void of_environment(size_t bytes)
{
    (void)bytes;
    free_no_block(getenv("LD_PRELOAD"), 0);
}

static void of_mapping(size_t bytes)
{
    (void)bytes;
    void *p = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        give_up("no mapping can be had");
    free_no_block(p, 0);
}

static void of_library(size_t bytes)
{
    (void)bytes;
    void *function = dlsym(RTLD_DEFAULT, "malloc");
    free_no_block((void *)((uintptr_t)function & ~(uintptr_t)15), 0);
}

static void tagged(size_t bytes)
{
    free_no_block((void *)((uintptr_t)block_take(bytes) | (uintptr_t)1 << 56), 0);
}

static void truncated(size_t bytes)
{
    free_no_block((void *)((uintptr_t)block_take(bytes) & UINT32_MAX), 0);
}

static void extended(size_t bytes)
{
    free_no_block((void *)((uintptr_t)block_take(bytes) | (uintptr_t)UINT16_MAX << 48), 0);
}

int main(int argc, char **argv)
{
    static const struct fault_case cases[] = {
        {"delete-twice", delete_twice},
        {"delete-array-twice", delete_array_twice},
        {"delete-after-free", delete_after_free},
        {"delete-of-array", delete_of_array},
        {"delete-array-of-one", delete_array_of_one},
        {"delete-of-stack", delete_of_stack},
        {"free-sized-inside", free_sized_inside},
        {"free-aligned-sized-inside", free_aligned_sized_inside},
        {"cfree-inside", cfree_inside},
        {"calloc-twice", calloc_twice},
        {"aligned-twice", aligned_twice},
        {"inside-of-aligned", inside_of_aligned},
        {"rounded-up", rounded_up},
        {"of-no-bytes-twice", of_no_bytes_twice},
        {"of-libc-twice", of_libc_twice},
        {"moved-away", moved_away},
        {"reallocarray-of-free", reallocarray_of_free},
        {"reallocarray-inside", reallocarray_inside},
        {"cut-off", cut_off},
        {"in-child", in_child},
        {"at-exit", at_exit},
        {"in-handler", in_handler},
        {"of-thread-local", of_thread_local},
        {"of-environment", of_environment},
        {"of-mapping", of_mapping},
        {"of-library", of_library},
        {"tagged", tagged},
        {"truncated", truncated},
        {"extended", extended},
    };
    return fault_main(argc, argv, cases, ARRAY_LEN(cases));
}
