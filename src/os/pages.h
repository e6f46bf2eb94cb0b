/* SPDX-License-Identifier: MIT */
/*
 * Memory from and to the kernel. Callable from any thread, with or without locks held; all
 * addresses and sizes are multiples of os_page_bytes(). A failing call is an answer, never fatal.
 */
#ifndef POOLALLOC_OS_PAGES_H
#define POOLALLOC_OS_PAGES_H

#include "base/compiler.h"

#include <stdbool.h>

/* The kernel's page size, at least 4 KiB; one binary serves kernels of 4, 16 and 64 KiB. */
size_t os_page_bytes(void);

/* Zeroed memory, at `hint` if that is free; NULL when the kernel has none. */
void *os_pages_map(void *hint, size_t bytes);
void os_pages_unmap(void *p, size_t bytes);

/* Makes the pages present, as if each were written to; or does nothing. */
void os_pages_populate(void *p, size_t bytes);

/* Gives the pages' memory back; they read as zero afterwards. False: they still hold their data
 * (locked memory, a seccomp filter). */
bool os_pages_discard(void *p, size_t bytes);

/* From then on the kernel may use huge pages there, or must not. Failure is ignored. */
void os_pages_huge_on(void *p, size_t bytes);
void os_pages_huge_off(void *p, size_t bytes);

/* The kernel can make huge pages at once, of what is there. */
bool os_pages_knows_huge_now(void);

/* Does that; where nothing is, it adds zeroes. False: it has no huge page at hand at the moment.
 * Any other failure is ignored. */
bool os_pages_huge_now(void *p, size_t bytes);

/* How many of the kernel's pages there are in memory; 0 also where it does not say. */
size_t os_pages_count_present(void *p, size_t bytes);

/* A guard: any access faults. Failure is ignored, a guard less is no harm to the program. */
void os_pages_guard(void *p, size_t bytes);

/* The end of a guard. False: it stays one. */
bool os_pages_open(void *p, size_t bytes);
/* Zeroed memory between two guards, wherever the kernel likes: our records, which nobody shall
 * reach who writes past the end of what is mapped beside them. NULL when the kernel has none. */
void *os_pages_map_guarded(size_t bytes);

/* Grows or shrinks a mapping where it is. False: nothing changed. */
bool os_pages_resize(void *p, size_t old_bytes, size_t new_bytes);

/* Moves a mapping, without copying, onto the mapping at `to`, which it replaces; it may become
 * longer or shorter by that. False: nothing changed. */
bool os_pages_move(void *p, size_t old_bytes, size_t new_bytes, void *to);

#endif
