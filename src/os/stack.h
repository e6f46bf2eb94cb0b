/* SPDX-License-Identifier: MIT */
/*
 * Who called: the return addresses on this thread's stack, through libc's backtrace(), which needs
 * no frame pointers.
 */
#ifndef POOLALLOC_OS_STACK_H
#define POOLALLOC_OS_STACK_H

#include "base/compiler.h"

#include <stdbool.h>

enum { STACK_FRAMES_MAX = 16 };

/* Once, before the first os_stack_take, with no lock held: libc loads its unwinder, which takes
 * memory. False: there is none, as in static programs; then every stack is empty. */
bool os_stack_init(void);

/* Up to `max` return addresses, at most STACK_FRAMES_MAX, from the first caller that is not this
 * library up. Returns how many; 0 also when the unwinder itself has called. Takes no memory; not to
 * be called with a lock held. */
size_t os_stack_take(uintptr_t *frames, size_t max);

/* What is known of a code address without taking a lock: the object's file, the exported symbol that
 * it lies in, how far. */
struct os_symbol {
    const char *object; /* never NULL */
    const char *name;   /* NULL: none is known */
    size_t offset;      /* from the symbol; else from where the object is loaded, or from 0 */
};

struct os_symbol os_symbol_at(uintptr_t address);

#endif
