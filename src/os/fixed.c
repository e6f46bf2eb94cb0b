/* SPDX-License-Identifier: MIT */
#include "os/fixed.h"

#include "base/bits.h"
#include "os/pages.h"
#include "os/sys.h"

#include <link.h>

/* Says by where it lies which of the loaded objects is ours. Not zero, or it would be elsewhere. */
static volatile int fixed FIXED = 1;

struct range {
    uintptr_t begin;
    uintptr_t end;
};

/* The loader rounds both ends down. */
static int find(struct dl_phdr_info *object, size_t bytes, void *argument)
{
    struct range *range = argument;
    (void)bytes;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];
        uintptr_t begin = object->dlpi_addr + header->p_vaddr;
        if (header->p_type != PT_GNU_RELRO || (uintptr_t)&fixed - begin >= header->p_memsz)
            continue;
        range->begin = round_down(begin, os_page_bytes());
        range->end = round_down(begin + header->p_memsz, os_page_bytes());
        return 1;
    }
    return 0;
}

/* None: nothing has made it read-only. */
static struct range range_find(void)
{
    struct range range = {0, 0};
    (void)dl_iterate_phdr(find, &range);
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
