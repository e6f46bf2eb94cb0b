/* SPDX-License-Identifier: MIT */
/*
 * Blocks of libc's allocator that reach us: a library bound to libc's malloc before we were there,
 * or past us (RTLD_DEEPBIND). libc's main heap is the brk area, which nobody else grows. And
 * programs with a malloc of their own, whose blocks are all foreign.
 */
#include "base/atomic.h"
#include "base/bits.h"
#include "os/process.h"
#include "os/sys.h"

#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <sys/auxv.h>

struct range {
    uintptr_t begin;
    uintptr_t end;
};

/* The program's own image. */
static struct range program_image(void)
{
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    size_t n = headers != NULL ? getauxval(AT_PHNUM) : 0;
    uintptr_t offset = 0; /* of a position-independent program */
    struct range image = {UINTPTR_MAX, 0};
    for (size_t i = 0; i < n; i++) {
        uintptr_t begin = headers[i].p_vaddr;
        if (headers[i].p_type == PT_PHDR)
            offset = (uintptr_t)headers - begin;
        if (headers[i].p_type == PT_LOAD) {
            image.begin = min_size(image.begin, begin);
            image.end = max_size(image.end, begin + headers[i].p_memsz);
        }
    }
    return (struct range){image.begin + offset, image.end + offset};
}

/* Ours, whichever the loader finds first; there is none in the unit tests. */
extern __typeof__(malloc) our_malloc __attribute__((weak, visibility("hidden")));

/* A program that is not position-independent and takes malloc's address has a stub of that name,
 * which stands for malloc wherever that is found; the symbol is undefined there all the same. */
static bool is_defined_at(uintptr_t address)
{
    Dl_info info;
    const ElfW(Sym) *symbol = NULL;
    return dladdr1((void *)address, &info, (void **)&symbol, RTLD_DL_SYMENT) == 0 ||
           symbol == NULL || symbol->st_shndx != SHN_UNDEF;
}

/* What another preloaded library defines calls ours, sooner or later: it is no concern of ours. */
COLD static bool program_has_malloc(void)
{
    enum { UNKNOWN, NO, YES };
    static _Atomic int known = UNKNOWN;
    int answer = atomic_get_relaxed(&known);
    if (answer == UNKNOWN) {
        struct range image = program_image();
        uintptr_t found = (uintptr_t)&malloc;
        answer = found >= image.begin && found < image.end && is_defined_at(found) ? YES : NO;
        atomic_put_relaxed(&known, answer);
    }
    return answer == YES;
}

bool os_is_bypassed(void)
{
    return UNLIKELY(&malloc != &our_malloc) && &our_malloc != NULL && program_has_malloc();
}

/* The end of the brk area before libc took any of it. */
static uintptr_t break_at_start = UINTPTR_MAX;

void os_foreign_init(void)
{
    break_at_start = (uintptr_t)sys_program_break();
}

bool os_foreign_is_libc_block(const void *p)
{
    uintptr_t address = (uintptr_t)p;
    return os_is_bypassed() || (address % 16 == 0 && address >= break_at_start &&
                                address < (uintptr_t)sys_program_break());
}

void *os_next_definition(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

void *os_next_operator(const char *name)
{
    void *next = os_next_definition(name);
    return next != NULL ? next : os_next_function(name);
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
