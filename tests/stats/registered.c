/* SPDX-License-Identifier: MIT */
/*
 * Frames that a program has registered itself, as compilers at run time do: the first unwinding of
 * all sorts them, and allocates for it under the lock that unwinding takes. To take a stack in such
 * a call would be to wait for oneself.
 */
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

void __register_frame(void *frames);

/* This program's own, once more. */
static int register_frames(struct dl_phdr_info *object, size_t bytes, void *unused)
{
    (void)bytes;
    (void)unused;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        if (object->dlpi_phdr[i].p_type != PT_GNU_EH_FRAME)
            continue;
        char *header = (char *)object->dlpi_addr + object->dlpi_phdr[i].p_vaddr;
        int offset;
        memcpy(&offset, header + 4, sizeof offset);
        __register_frame(header + 4 + offset);
        return 1;
    }
    return 0;
}

static _Unwind_Reason_Code go_on(struct _Unwind_Context *context, void *unused)
{
    (void)context;
    (void)unused;
    return _URC_NO_REASON;
}

int main(void)
{
    void *volatile p = malloc(100000); /* the unwinder is ready from here on */
    free(p);
    (void)dl_iterate_phdr(register_frames, NULL);
    (void)_Unwind_Backtrace(go_on, NULL);
    puts("unwound");
    return EXIT_SUCCESS;
}
