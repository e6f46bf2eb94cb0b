/* SPDX-License-Identifier: MIT */
#include "os/fixed.h"

#include "base/bits.h"
#include "os/pages.h"
#include "os/sys.h"

#include <link.h>

/* The linker's: the header of the object that we are linked into. Not dl_iterate_phdr, which a
 * program with a sanitizer has one of its own of, that does not work before its constructors. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((weak, visibility("hidden")));

struct range {
    uintptr_t begin;
    uintptr_t end;
};

/* What the loader has made read-only, both ends rounded down as it does; empty: nothing. */
static struct range range_find(void)
{
    struct range range = {0, 0};
    uintptr_t header_at = (uintptr_t)&__ehdr_start;
    if (header_at == 0)
        return range;
    const ElfW(Phdr) *headers = (const void *)(header_at + __ehdr_start.e_phoff);
    uintptr_t bias = 0;
    for (size_t i = 0; i < __ehdr_start.e_phnum; i++) {
        uintptr_t begin = bias + headers[i].p_vaddr;
        if (headers[i].p_type == PT_LOAD && headers[i].p_offset == 0)
            bias = header_at - headers[i].p_vaddr;
        if (headers[i].p_type != PT_GNU_RELRO)
            continue;
        range.begin = round_down(begin, os_page_bytes());
        range.end = round_down(begin + headers[i].p_memsz, os_page_bytes());
    }
    return range;
}

bool os_fixed_open(void)
{
    struct range range = range_find();
    return range.begin >= range.end ||
           sys_protect_write((void *)range.begin, range.end - range.begin) == 0;
}

void os_fixed_close(void)
{
    struct range range = range_find();
    if (range.begin < range.end)
        (void)sys_protect_read((void *)range.begin, range.end - range.begin);
}
