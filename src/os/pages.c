/* SPDX-License-Identifier: MIT */
#include "os/pages.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "os/calls.h"
#include "os/process.h"
#include "os/sys.h"

#include <errno.h>

#define OS_CALL_NAME(kind, name, meaning) #name,
const char *const os_call_names[] = {OS_CALLS(OS_CALL_NAME)};

struct os_call_count os_call_counts[N_OS_CALLS];

size_t os_page_bytes(void)
{
    static _Atomic size_t page_bytes;
    size_t bytes = atomic_get_relaxed(&page_bytes);
    if (UNLIKELY(bytes == 0)) {
        bytes = os_auxv_page_bytes();
        atomic_put_relaxed(&page_bytes, bytes);
    }
    return bytes;
}

static void *pointer_or_null(long result)
{
    return result < 0 && result >= -4095 ? NULL : (void *)result;
}

void *os_pages_map(void *hint, size_t bytes)
{
    return pointer_or_null(OS_CALL_COUNTED(OS_CALL_MAP, sys_map(hint, bytes)));
}

void os_pages_unmap(void *p, size_t bytes)
{
    /* The kernel may need a new map entry to split one and have none: then at least the memory
     * goes. */
    if (OS_CALL_COUNTED(OS_CALL_UNMAP, sys_unmap(p, bytes)) < 0)
        (void)os_pages_discard(p, bytes);
}

bool os_pages_discard(void *p, size_t bytes)
{
    return OS_CALL_COUNTED(OS_CALL_DISCARD, sys_discard(p, bytes)) == 0;
}

void os_pages_populate(void *p, size_t bytes)
{
    (void)OS_CALL_COUNTED(OS_CALL_POPULATE, sys_populate(p, bytes));
}

void os_pages_huge_on(void *p, size_t bytes)
{
    (void)OS_CALL_COUNTED(OS_CALL_HUGE, sys_huge_on(p, bytes));
}

void os_pages_huge_off(void *p, size_t bytes)
{
    (void)OS_CALL_COUNTED(OS_CALL_HUGE, sys_huge_off(p, bytes));
}

/* A call that is about nothing succeeds if the kernel knows the advice, and only then. */
bool os_pages_knows_huge_now(void)
{
    return sys_huge_now(NULL, 0) == 0;
}

bool os_pages_huge_now(void *p, size_t bytes)
{
    long code = OS_CALL_COUNTED(OS_CALL_HUGE, sys_huge_now(p, bytes));
    return code == 0 || code == -EINVAL; /* that it is not to be is another matter */
}

size_t os_pages_count_present(void *p, size_t bytes)
{
    enum { AT_ONCE = 512 };
    unsigned char pages[AT_ONCE];
    size_t n = 0;
    for (size_t at = 0; at < bytes; at += AT_ONCE * os_page_bytes()) {
        size_t some = min_size(bytes - at, AT_ONCE * os_page_bytes());
        if (OS_CALL_COUNTED(OS_CALL_HUGE, sys_present((char *)p + at, some, pages)) != 0)
            return 0;
        for (size_t i = 0; i < some / os_page_bytes(); i++)
            n += pages[i] & 1;
    }
    return n;
}

void os_pages_guard(void *p, size_t bytes)
{
    (void)OS_CALL_COUNTED(OS_CALL_PROTECT, sys_protect_none(p, bytes));
}

bool os_pages_open(void *p, size_t bytes)
{
    return OS_CALL_COUNTED(OS_CALL_PROTECT, sys_protect_write(p, bytes)) == 0;
}

void *os_pages_map_guarded(size_t bytes)
{
    size_t guard = os_page_bytes();
    char *p = os_pages_map(NULL, bytes + 2 * guard);
    if (p == NULL)
        return NULL;
    os_pages_guard(p, guard);
    os_pages_guard(p + guard + bytes, guard);
    return p + guard;
}

bool os_pages_resize(void *p, size_t old_bytes, size_t new_bytes)
{
    long result = OS_CALL_COUNTED(OS_CALL_REMAP, sys_resize(p, old_bytes, new_bytes));
    return pointer_or_null(result) != NULL;
}

bool os_pages_move(void *p, size_t old_bytes, size_t new_bytes, void *to)
{
    long result = OS_CALL_COUNTED(OS_CALL_REMAP, sys_move(p, old_bytes, new_bytes, to));
    return pointer_or_null(result) != NULL;
}
