/* SPDX-License-Identifier: MIT */
#include "os/stack.h"

#include "base/atomic.h"
#include "base/bits.h"

#include <errno.h>
#include <link.h>
#include <string.h>

enum { OWN_FRAMES_MAX = 8 /* of ours, and what libc adds, below the caller's */ };

/* Weak: a static program shall not get the loader's machinery for its sake. */
extern int backtrace(void **addresses, int n) __attribute__((weak));

/* Where this library's own code is. [const] after os_stack_init */
static struct {
    uintptr_t begin;
    uintptr_t end;
} own;

static _Atomic bool is_ready;

/* The unwinder may call malloc, with a lock of its own held. */
static THREAD_LOCAL bool is_unwinding;

static int find_own(struct dl_phdr_info *object, size_t bytes, void *argument)
{
    uintptr_t here = (uintptr_t)&find_own;
    (void)bytes;
    (void)argument;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];
        uintptr_t begin = object->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_LOAD && here - begin < header->p_memsz) {
            own.begin = begin;
            own.end = begin + header->p_memsz;
            return 1;
        }
    }
    return 0;
}

bool os_stack_init(void)
{
    void *addresses[OWN_FRAMES_MAX];
    int saved_errno = errno;
    if (backtrace == NULL || dl_iterate_phdr(find_own, NULL) == 0)
        return false;
    bool works = backtrace(addresses, OWN_FRAMES_MAX) > 0;
    atomic_put_release(&is_ready, works);
    errno = saved_errno;
    return works;
}

static bool is_own(const void *address)
{
    return (uintptr_t)address - own.begin < own.end - own.begin;
}

size_t os_stack_take(uintptr_t *frames, size_t max)
{
    void *addresses[OWN_FRAMES_MAX + STACK_FRAMES_MAX];
    if (!atomic_get_acquire(&is_ready) || is_unwinding)
        return 0;
    int saved_errno = errno;
    is_unwinding = true;
    size_t n = (size_t)backtrace(addresses, OWN_FRAMES_MAX + (int)min_size(max, STACK_FRAMES_MAX));
    is_unwinding = false;
    errno = saved_errno;
    size_t first = 0;
    while (first < n && is_own(addresses[first]))
        first++;
    n = min_size(n - first, min_size(max, STACK_FRAMES_MAX));
    memcpy(frames, addresses + first, n * sizeof *frames);
    return n;
}
