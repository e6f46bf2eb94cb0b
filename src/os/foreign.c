/* SPDX-License-Identifier: MIT */
/*
 * Blocks of libc's allocator that reach us: a library bound to libc's malloc before we were there,
 * or past us (RTLD_DEEPBIND). libc's main heap is the brk area, which nobody else grows.
 */
#include "base/atomic.h"
#include "base/bits.h"
#include "os/process.h"
#include "os/sys.h"

#include <dlfcn.h>

static _Atomic uintptr_t break_at_start;

void os_foreign_init(void)
{
    if (atomic_get_relaxed(&break_at_start) == 0)
        atomic_put_relaxed(&break_at_start, (uintptr_t)sys_program_break());
}

bool os_foreign_is_libc_block(const void *p)
{
    uintptr_t address = (uintptr_t)p;
    uintptr_t start = atomic_get_relaxed(&break_at_start);
    return start != 0 && address % 16 == 0 && address >= start &&
           address < (uintptr_t)sys_program_break();
}

void *os_next_definition(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

void os_foreign_free(void *p)
{
    void (*next)(void *);
    *(void **)&next = os_next_definition("free");
    if (next != NULL)
        next(p);
}

size_t os_foreign_usable_size(void *p)
{
    size_t (*next)(void *);
    *(void **)&next = os_next_definition("malloc_usable_size");
    return next != NULL ? next(p) : 0;
}

void *os_foreign_realloc(void *p, size_t bytes)
{
    void *(*next)(void *, size_t);
    *(void **)&next = os_next_definition("realloc");
    return next != NULL ? next(p, bytes) : NULL;
}
