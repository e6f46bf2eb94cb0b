/* SPDX-License-Identifier: MIT */
/*
 * What would serve if we were not here: the definition of a function that the loader finds after
 * ours.
 */
#ifndef POOLALLOC_API_NEXT_H
#define POOLALLOC_API_NEXT_H

#include "base/atomic.h"
#include "os/process.h"

/* The next definition of `name`, looked up once; NULL if there is none. */
static inline void *next_known(_Atomic(void *) *known, const char *name)
{
    void *next = atomic_get_relaxed(known);
    if (UNLIKELY(next == NULL)) {
        next = os_next_definition(name);
        atomic_put_relaxed(known, next);
    }
    return next;
}

/* In a program that brings a malloc of its own: return what the next definition returns. Where
 * there is none, we are better than nothing. */
#define NEXT_IF_BYPASSED(name, ...)                                                                \
    do {                                                                                           \
        if (os_is_bypassed()) {                                                                    \
            static _Atomic(void *) known;                                                          \
            __typeof__(name) *next;                                                                \
            *(void **)&next = next_known(&known, #name);                                           \
            if (next != NULL)                                                                      \
                return next(__VA_ARGS__);                                                          \
        }                                                                                          \
    } while (0)

#endif
