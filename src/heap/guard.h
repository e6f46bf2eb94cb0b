/* SPDX-License-Identifier: MIT */
/*
 * Guarded blocks: a few allocations (sample.h says which) are put against a page that nobody may
 * touch, at its left or at its right. What reaches beyond such a block, or before it, or into it
 * after it was freed, is a fault of the processor's in that very instruction; a report says which
 * block it was, and who allocated and freed it. Then the signal takes its course as if we had not
 * been there.
 *
 * All lie in one area: page, room for a block, page, room and so on. A room that was freed is
 * closed and used again last. So memory and mappings are bounded. How many rooms may be in use
 * rises slowly with the calls that wanted one, so that blocks that live for long never have them
 * all; when as many are, a call is not guarded.
 *
 * Any thread; the area's lock guards all records. A fault is looked at without it: a record that
 * changes in that moment is of a room that is being freed, which is what is reported.
 * Tests: tests/guard/program.c, tests/unit/test_sample.c.
 */
#ifndef POOLALLOC_HEAP_GUARD_H
#define POOLALLOC_HEAP_GUARD_H

#include "base/atomic.h"

#include <signal.h>

enum { GUARD_MAX_BYTES = 32 * 1024 };

/* [const] after guard_init */
extern uintptr_t guard_area_begin;
extern size_t guard_area_bytes; /* 0: nothing is guarded */

ALWAYS_INLINE bool guard_owns(const void *p)
{
    return (uintptr_t)p - guard_area_begin < guard_area_bytes;
}

/* False: there is no room for the area, or no handler for the faults, as SIGSEGV is ignored. */
bool guard_init(void);

/* NULL: too large, or no room. Not inside. */
void *guard_alloc(size_t bytes, size_t align);

/* A fault unless p is a live guarded block, all of whose surroundings are as they were. p is of the
 * area. Not inside. */
void guard_free(void *p);

/* 0: no block begins there. */
size_t guard_usable_size(const void *p);

/* The handler of SIGSEGV where the program has none: after the report, if there is cause for one,
 * the fault happens again and ends the process; so does a signal that somebody has sent. */
void guard_on_fault(int signal, siginfo_t *info, void *context);

/* The report alone, if the fault is one that has to do with a guarded block, in a program whose
 * handler runs next; of so many the first few. */
void guard_report_fault(const siginfo_t *info);

void guard_fork_prepare(void);
void guard_fork_parent(void);
void guard_fork_child(void);

/* heap/fork.c: a bare fork. */
void guard_fork_unnoticed(void);

#endif
