/* SPDX-License-Identifier: MIT */
/*
 * For the shared library alone: what it owes to the loader and to libc, and what it does at the
 * moment when the loader has relocated it.
 */
#include "base/compiler.h"
#include "heap/heap.h"

/* The library is linked without the compiler's start files: they would make every program that
 * starts look up symbols that we have no use for. This one of theirs libc asks for; it tells libc
 * which library a handler belongs to. Ours is never unloaded. */
extern void *const __dso_handle;
void *const __dso_handle = NULL;

/* The loader gives thread-local variables their values after it has relocated all libraries and the
 * program; until then they are zero. But it calls ifunc resolvers while it relocates, and one that
 * calls malloc would find no front. A resolver of our own is called as soon as we are relocated,
 * and sees to it. What it sets is set again by the loader, like everything that calls leave
 * there. */

static void nothing(void)
{
}

typedef void function(void);

static __attribute__((used)) function *resolve_relocated(void)
{
    heap_guest_early();
    return nothing;
}

static void relocated(void) __attribute__((ifunc("resolve_relocated")));

/* Its relocation is what calls the resolver. */
static __attribute__((used)) function *const relocated_address = relocated;
