/* SPDX-License-Identifier: MIT */
/*
 * The system calls that the allocator's work costs: how often each kind was called, and how long
 * that took. Any thread; lock-free. Two readings of the clock and two additions, 55 ns in all,
 * where a madvise that has nothing to do takes 300, and one that has 3,000.
 */
#ifndef POOLALLOC_OS_CALLS_H
#define POOLALLOC_OS_CALLS_H

#include "base/atomic.h"
#include "os/clock.h"

/* Kind, name, what it is. */
#define OS_CALLS(X)                                                                                \
    X(MAP, mmap, "memory from the kernel")                                                         \
    X(UNMAP, munmap, "memory and its address space to the kernel")                                 \
    X(DISCARD, madvise_dontneed, "free memory to the kernel")                                      \
    X(POPULATE, madvise_populate, "pages asked for together instead of by a fault each")           \
    X(HUGE, madvise_hugepage, "huge pages, where huge= says so, and what is in memory")            \
    X(REMAP, mremap, "large blocks that become longer, shorter, or move")                          \
    X(PROTECT, mprotect, "guards around our own records and guarded blocks")                       \
    X(WAIT, futex_wait, "waiting for a lock that another thread holds")

#define OS_CALL_ENUM(kind, name, meaning) OS_CALL_##kind,
enum os_call { OS_CALLS(OS_CALL_ENUM) N_OS_CALLS };

struct os_call_count {
    _Atomic uint64_t n;
    _Atomic uint64_t ns;
};

extern struct os_call_count os_call_counts[N_OS_CALLS];
extern const char *const os_call_names[N_OS_CALLS];

ALWAYS_INLINE void os_call_note(enum os_call call, uint64_t began_ns)
{
    (void)atomic_add_relaxed(&os_call_counts[call].n, 1);
    (void)atomic_add_relaxed(&os_call_counts[call].ns, os_clock_ns() - began_ns);
}

/* What `expression`, a call of os/sys.h, returns; counted and timed. */
#define OS_CALL_COUNTED(call, expression)                                                          \
    __extension__({                                                                                \
        uint64_t began_ns = os_clock_ns();                                                         \
        long result_of_call = (expression);                                                        \
        os_call_note(call, began_ns);                                                              \
        result_of_call;                                                                            \
    })

#endif
