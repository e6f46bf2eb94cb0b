/* SPDX-License-Identifier: MIT */
/*
 * Who called: the return addresses on this thread's stack, through libc's backtrace(), which needs
 * no frame pointers.
 */
#ifndef POOLALLOC_OS_STACK_H
#define POOLALLOC_OS_STACK_H

#include "base/atomic.h"

#include <stdbool.h>

enum { STACK_FRAMES_MAX = 16 };

/* libc loads its unwinder, which takes memory: best done by the first slow path of all, with no
 * lock held; else the first os_stack_take does it. Before libc's own constructor has run nothing is
 * done: to load a library then would leave the program without its environment. */
void os_stack_init(void);

extern _Atomic uint32_t os_stack_state; /* 0 until then */

ALWAYS_INLINE bool os_stack_is_begun(void)
{
    return atomic_get_relaxed(&os_stack_state) != 0;
}

/* libc has an unwinder; in static programs it has none. */
bool os_stack_is_there(void);

/* Up to `max` return addresses, at most STACK_FRAMES_MAX, from the first caller that is not this
 * library up. Returns how many; 0 also when the unwinder itself has called, or there is none, as in
 * static programs. Not to be called with a lock held. */
size_t os_stack_take(uintptr_t *frames, size_t max);

/* Code of the unwinder's. What it allocates it may allocate under a lock that it takes to unwind:
 * no stack may be taken in such a call. */
bool os_stack_is_unwinder(const void *address);

/* What is known of a code address without taking a lock: the object's file, the exported symbol
 * that it lies in, how far. */
struct os_symbol {
    const char *object; /* never NULL */
    const char *name;   /* NULL: none is known */
    size_t offset;      /* from the symbol; else from where the object is loaded, or from 0 */
};

struct os_symbol os_symbol_at(uintptr_t address);

/* "0x5591e74f01d4 parse+0x34 /usr/bin/prog", of a return address: what is named is the call. */
struct text;
void os_symbol_add(struct text *text, uintptr_t address);

#endif
