/* SPDX-License-Identifier: MIT */
#include "os/stack.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "os/process.h"
#include "os/sys.h"

#include <errno.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

enum { OWN_FRAMES_MAX = 8 /* of ours, and what libc adds, below the caller's */ };

/* Weak: a static program shall not get the loader's machinery for its sake. */
extern int backtrace(void **addresses, int n) __attribute__((weak));

/* Where this library's own code is. [const] after os_stack_init */
static struct {
    uintptr_t begin;
    uintptr_t end;
} own;

/* libc's, where there is one beside the program's own function of that name. [const] after
 * os_stack_init */
static __typeof__(backtrace) *walk;

enum state { NOT_READY, BEING_MADE, READY, HAS_NONE };
_Atomic uint32_t os_stack_state;

/* The unwinder may call malloc, with a lock of its own held. */
static THREAD_LOCAL bool is_unwinding;

/* Of a program that the static library is linked into, which its code lies in the middle of: the
 * build gives it a section of its own there. Else NULL. */
extern const char own_text_begin[] __asm__("__start_poolalloc_text")
    __attribute__((weak, visibility("hidden")));
extern const char own_text_end[] __asm__("__stop_poolalloc_text")
    __attribute__((weak, visibility("hidden")));

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

/* The unwinder's code. */
static struct {
    uintptr_t begin;
    uintptr_t end;
} unwinder;

static int find_unwinder(struct dl_phdr_info *object, size_t bytes, void *argument)
{
    (void)bytes;
    (void)argument;
    if (object->dlpi_name == NULL || strstr(object->dlpi_name, "/libgcc_s.so") == NULL)
        return 0;
    for (size_t i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];
        if (header->p_type != PT_LOAD || (header->p_flags & PF_X) == 0)
            continue;
        unwinder.begin = object->dlpi_addr + header->p_vaddr;
        unwinder.end = unwinder.begin + header->p_memsz;
    }
    return 1;
}

bool os_stack_is_unwinder(const void *address)
{
    return atomic_get_acquire(&os_stack_state) == READY &&
           (uintptr_t)address - unwinder.begin < unwinder.end - unwinder.begin;
}

static bool own_text_find(void)
{
    own.begin = (uintptr_t)own_text_begin;
    own.end = (uintptr_t)own_text_end;
    return own.begin != 0 || dl_iterate_phdr(find_own, NULL) != 0;
}

/* Not to be left by a handler that jumps, as it takes locks of the loader's and of its own. */
static size_t unwind(void **addresses, int max)
{
    is_unwinding = true;
    int n = walk != NULL ? walk(addresses, max) : 0;
    is_unwinding = false;
    return n > 0 ? (size_t)n : 0;
}

static bool make_ready(void)
{
    void *addresses[OWN_FRAMES_MAX];
    *(void **)&walk = os_next_function("backtrace");
    if (walk == NULL)
        walk = backtrace;
    if (!own_text_find() || unwind(addresses, OWN_FRAMES_MAX) == 0)
        return false;
    (void)dl_iterate_phdr(find_unwinder, NULL);
    return true;
}

static void init(void)
{
    uint32_t seen = NOT_READY;
    if (atomic_try_acq_rel(&os_stack_state, &seen, BEING_MADE))
        atomic_put_release(&os_stack_state, make_ready() ? READY : HAS_NONE);
}

/* Signals wait meanwhile. */
static size_t init_or_unwind(void **addresses, int max)
{
    uint64_t before = 0;
    size_t n = 0;
    int saved_errno = errno;
    bool is_blocked = sys_signals_block(UINT64_MAX, &before) == 0;
    if (atomic_get_acquire(&os_stack_state) == READY)
        n = unwind(addresses, max);
    else
        init();
    if (is_blocked)
        (void)sys_signals_set(before);
    errno = saved_errno;
    return n;
}

bool os_stack_is_there(void)
{
    return backtrace != NULL;
}

void os_stack_init(void)
{
    if (UNLIKELY(atomic_get_relaxed(&os_stack_state) == NOT_READY) && environ != NULL)
        (void)init_or_unwind(NULL, 0);
}

static bool is_own(const void *address)
{
    return (uintptr_t)address - own.begin < own.end - own.begin;
}

size_t os_stack_take(uintptr_t *frames, size_t max)
{
    void *addresses[OWN_FRAMES_MAX + STACK_FRAMES_MAX];
    if (UNLIKELY(atomic_get_acquire(&os_stack_state) == NOT_READY))
        os_stack_init();
    if (atomic_get_acquire(&os_stack_state) != READY || is_unwinding)
        return 0;
    size_t n = init_or_unwind(addresses, OWN_FRAMES_MAX + (int)min_size(max, STACK_FRAMES_MAX));
    size_t first = 0;
    while (first < n && is_own(addresses[first]))
        first++;
    n = min_size(n - first, min_size(max, STACK_FRAMES_MAX));
    memcpy(frames, addresses + first, n * sizeof *frames);
    return n;
}
