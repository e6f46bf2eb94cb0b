/* SPDX-License-Identifier: MIT */
/*
 * Blocks of libc's allocator that reach us: a library bound to libc's malloc before we were there,
 * or past us (RTLD_DEEPBIND). libc's main heap is the brk area, which nobody else grows.
 */
#include "base/bits.h"
#include "os/process.h"
#include "os/sys.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/auxv.h>

/* The end of the program's own image, which the brk area lies above. */
static uintptr_t program_end(void)
{
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    size_t n = headers != NULL ? getauxval(AT_PHNUM) : 0;
    uintptr_t offset = 0; /* of a position-independent program */
    uintptr_t end = 0;
    for (size_t i = 0; i < n; i++) {
        if (headers[i].p_type == PT_PHDR)
            offset = (uintptr_t)headers - headers[i].p_vaddr;
        if (headers[i].p_type == PT_LOAD)
            end = max_size(end, headers[i].p_vaddr + headers[i].p_memsz);
    }
    return offset + end;
}

bool os_foreign_is_libc_block(const void *p)
{
    uintptr_t address = (uintptr_t)p;
    return address % 16 == 0 && address >= program_end() &&
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
