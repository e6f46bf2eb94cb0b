/* SPDX-License-Identifier: MIT */
#include "os/pages.h"

#include "base/atomic.h"
#include "os/calls.h"
#include "os/process.h"
#include "os/sys.h"

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
