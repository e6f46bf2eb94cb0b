/* SPDX-License-Identifier: MIT */
/*
 * The two kinds of check.
 *
 * ASSERT: our own invariants; compiled only in debug builds (POOLALLOC_DEBUG_CHECKS).
 * Misuse by the program and corruption are not asserted: they are always checked where they can
 * show, and reported through os/panic.h, whose words are part of our interface.
 */
#ifndef POOLALLOC_BASE_CHECK_H
#define POOLALLOC_BASE_CHECK_H

#include "base/compiler.h"

#ifdef POOLALLOC_DEBUG_CHECKS
enum { DEBUG_CHECKS = 1 };
#else
enum { DEBUG_CHECKS = 0 };
#endif

/* What the walkers verify, in every build. */
#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (UNLIKELY(!(condition)))                                                                \
            __builtin_trap();                                                                      \
    } while (0)

#define ASSERT(condition)                                                                          \
    do {                                                                                           \
        if (DEBUG_CHECKS && UNLIKELY(!(condition)))                                                \
            __builtin_trap();                                                                      \
    } while (0)

#endif
