/* SPDX-License-Identifier: MIT */
/*
 * For the shared library alone, which is linked without the compiler's start files: they would make
 * every program that starts look up symbols that we have no use for. This one of theirs libc asks
 * for; it tells libc which library a handler belongs to. Ours is never unloaded.
 */
#include <stddef.h>

extern void *const __dso_handle;
void *const __dso_handle = NULL;
