/* SPDX-License-Identifier: MIT */
/*
 * operator new and delete under their mangled names, at addresses of their own (tools tell C from
 * C++ by them).
 *
 * A program may replace any of them, and most that do replace two: new(size_t) and delete(void *).
 * With the C++ runtime all other forms then end up in these, so with us they must as well:
 *
 *     new[]     -> new         delete[]                  -> delete         and the same of
 *     nothrow   -> throwing    sized, nothrow            -> unsized        the aligned ones
 *
 * An arrow is a jump to the definition that the loader finds first (see OPERATOR). Only a nothrow
 * new cannot jump: it has to catch, which C cannot do. It allocates itself if what it would call is
 * ours, and otherwise leaves it to the runtime.
 *
 * Only success is handled here. When memory runs out the next definition of the same operator,
 * which is the C++ runtime's, takes over: it calls the new-handler, comes back through malloc or
 * through us, and throws a real std::bad_alloc. This file is compiled with -fexceptions so that it
 * may.
 */
#include "api/next.h"
#include "base/bits.h"
#include "heap/alloc.h"
#include "os/panic.h"
#include "os/process.h"

/* A call of one of these need not reach our definition: the compiler knows by -fsemantic-interposition,
 * and those called from here are listed in replaceable.list, for to the linker all else that the
 * library exports is its own. Weak they are in the static library alone, where the program's own come
 * before ours: valgrind puts its own in the place of a malloc and a new that are not weak. */
#define OPERATOR(name, ...) EXPORT __VA_ARGS__ __asm__(name)

typedef void *new_function(size_t);
typedef void *new_nothrow_function(size_t, const void *);
typedef void *new_aligned_function(size_t, size_t);
typedef void *new_aligned_nothrow_function(size_t, size_t, const void *);

#define NEW                       "_Znwm"
#define NEW_ARRAY                 "_Znam"
#define NEW_NOTHROW               "_ZnwmRKSt9nothrow_t"
#define NEW_ARRAY_NOTHROW         "_ZnamRKSt9nothrow_t"
#define NEW_ALIGNED               "_ZnwmSt11align_val_t"
#define NEW_ARRAY_ALIGNED         "_ZnamSt11align_val_t"
#define NEW_ALIGNED_NOTHROW       "_ZnwmSt11align_val_tRKSt9nothrow_t"
#define NEW_ARRAY_ALIGNED_NOTHROW "_ZnamSt11align_val_tRKSt9nothrow_t"

OPERATOR(NEW, new_function new_plain);
OPERATOR(NEW_ARRAY, new_function new_array);
OPERATOR(NEW_NOTHROW, new_nothrow_function new_nothrow);
OPERATOR(NEW_ARRAY_NOTHROW, new_nothrow_function new_array_nothrow);
OPERATOR(NEW_ALIGNED, new_aligned_function new_aligned);
OPERATOR(NEW_ARRAY_ALIGNED, new_aligned_function new_array_aligned);
OPERATOR(NEW_ALIGNED_NOTHROW, new_aligned_nothrow_function new_aligned_nothrow);
OPERATOR(NEW_ARRAY_ALIGNED_NOTHROW, new_aligned_nothrow_function new_array_aligned_nothrow);

/* Sizes, alignments and tags that delete is told are not needed: the map knows. */
#define SIZE    __attribute__((unused)) size_t bytes
#define ALIGN   __attribute__((unused)) size_t align
#define NOTHROW __attribute__((unused)) const void *nothrow

OPERATOR("_ZdlPv", void delete_plain(void *p));
OPERATOR("_ZdaPv", void delete_array(void *p));
OPERATOR("_ZdlPvm", void delete_sized(void *p, SIZE));
OPERATOR("_ZdaPvm", void delete_array_sized(void *p, SIZE));
OPERATOR("_ZdlPvRKSt9nothrow_t", void delete_nothrow(void *p, NOTHROW));
OPERATOR("_ZdaPvRKSt9nothrow_t", void delete_array_nothrow(void *p, NOTHROW));
OPERATOR("_ZdlPvSt11align_val_t", void delete_aligned(void *p, ALIGN));
OPERATOR("_ZdaPvSt11align_val_t", void delete_array_aligned(void *p, ALIGN));
OPERATOR("_ZdlPvmSt11align_val_t", void delete_aligned_sized(void *p, SIZE, ALIGN));
OPERATOR("_ZdaPvmSt11align_val_t", void delete_array_aligned_sized(void *p, SIZE, ALIGN));
OPERATOR("_ZdlPvSt11align_val_tRKSt9nothrow_t",
         void delete_aligned_nothrow(void *p, ALIGN, NOTHROW));
OPERATOR("_ZdaPvSt11align_val_tRKSt9nothrow_t",
         void delete_array_aligned_nothrow(void *p, ALIGN, NOTHROW));

/* ---- new ---- */

/* The runtime's, for static programs: they have no next definition, and no new-handler with us. */
NORETURN __attribute__((weak)) void throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv");

NORETURN COLD static void no_next(void)
{
    if (throw_bad_alloc != NULL)
        throw_bad_alloc();
    panic("out of memory in operator new, and no C++ runtime to throw bad_alloc", NULL, 0);
}

/* No size above this can be had; libstdc++'s aligned operators overflow where they round such up.
 */
static size_t sane(size_t bytes)
{
    return min_size(bytes, PTRDIFF_MAX);
}

/* In a program with a malloc of its own, the runtime's operators get there. */
static void *slow_unless_bypassed(size_t bytes)
{
    return os_is_bypassed() ? NULL : alloc_slow(bytes);
}

NOINLINE static void *new_slow(size_t bytes)
{
    void *p = slow_unless_bypassed(bytes);
    if (LIKELY(p != NULL))
        return p;
    new_function *next;
    *(void **)&next = os_next_definition(NEW);
    if (next == NULL)
        no_next();
    return next(sane(bytes));
}

void *new_plain(size_t bytes)
{
    void *p = heap_alloc_fast(bytes);
    return LIKELY(p != NULL) ? p : new_slow(bytes);
}

void *new_array(size_t bytes)
{
    return new_plain(bytes);
}

/* NULL as well for an alignment that is none: the runtime decides what comes of it. */
static void *alloc_aligned(size_t bytes, size_t align)
{
    if (UNLIKELY(!is_power_of_two(align) || os_is_bypassed()))
        return NULL;
    return heap_alloc_aligned(align, bytes);
}

COLD static void *new_aligned_failed(size_t bytes, size_t align)
{
    new_aligned_function *next;
    *(void **)&next = os_next_definition(NEW_ALIGNED);
    if (next == NULL)
        no_next();
    return next(sane(bytes), align);
}

void *new_aligned(size_t bytes, size_t align)
{
    void *p = alloc_aligned(bytes, align);
    return LIKELY(p != NULL) ? p : new_aligned_failed(bytes, align);
}

void *new_array_aligned(size_t bytes, size_t align)
{
    return new_aligned(bytes, align);
}

/* ---- new that returns NULL ----
 *
 * The static library goes without these: linked into one program, the runtime's call its operators
 * or ours, and can catch.
 */

/* Our definitions, whichever the loader finds first. */
static new_function our_new_plain __attribute__((alias(NEW)));
static new_function our_new_array __attribute__((alias(NEW_ARRAY)));
static new_aligned_function our_new_aligned __attribute__((alias(NEW_ALIGNED)));
static new_aligned_function our_new_array_aligned __attribute__((alias(NEW_ARRAY_ALIGNED)));

static bool plain_is_ours(void)
{
    return LIKELY(new_plain == our_new_plain);
}

static bool array_is_ours(void)
{
    return LIKELY(new_array == our_new_array) && plain_is_ours();
}

static bool aligned_is_ours(void)
{
    return LIKELY(new_aligned == our_new_aligned);
}

static bool array_aligned_is_ours(void)
{
    return LIKELY(new_array_aligned == our_new_array_aligned) && aligned_is_ours();
}

COLD static void *next_nothrow(const char *name, size_t bytes, const void *nothrow)
{
    new_nothrow_function *next;
    *(void **)&next = os_next_definition(name);
    return next != NULL ? next(sane(bytes), nothrow) : NULL;
}

NOINLINE static void *new_nothrow_slow(const char *name, size_t bytes, const void *nothrow)
{
    void *p = slow_unless_bypassed(bytes);
    return LIKELY(p != NULL) ? p : next_nothrow(name, bytes, nothrow);
}

void *new_nothrow(size_t bytes, const void *nothrow)
{
    if (!plain_is_ours())
        return next_nothrow(NEW_NOTHROW, bytes, nothrow);
    void *p = heap_alloc_fast(bytes);
    return LIKELY(p != NULL) ? p : new_nothrow_slow(NEW_NOTHROW, bytes, nothrow);
}

void *new_array_nothrow(size_t bytes, const void *nothrow)
{
    if (!array_is_ours())
        return next_nothrow(NEW_ARRAY_NOTHROW, bytes, nothrow);
    void *p = heap_alloc_fast(bytes);
    return LIKELY(p != NULL) ? p : new_nothrow_slow(NEW_ARRAY_NOTHROW, bytes, nothrow);
}

COLD static void *next_aligned_nothrow(const char *name, size_t bytes, size_t align,
                                       const void *nothrow)
{
    new_aligned_nothrow_function *next;
    *(void **)&next = os_next_definition(name);
    return next != NULL ? next(sane(bytes), align, nothrow) : NULL;
}

void *new_aligned_nothrow(size_t bytes, size_t align, const void *nothrow)
{
    void *p = aligned_is_ours() ? alloc_aligned(bytes, align) : NULL;
    return LIKELY(p != NULL) ? p : next_aligned_nothrow(NEW_ALIGNED_NOTHROW, bytes, align, nothrow);
}

void *new_array_aligned_nothrow(size_t bytes, size_t align, const void *nothrow)
{
    void *p = array_aligned_is_ours() ? alloc_aligned(bytes, align) : NULL;
    return LIKELY(p != NULL)
               ? p
               : next_aligned_nothrow(NEW_ARRAY_ALIGNED_NOTHROW, bytes, align, nothrow);
}

/* ---- delete ---- */

/* In a program with a malloc of its own, the runtime's operators get to its free. */
NOINLINE static void delete_slow(void *p)
{
    if (os_is_bypassed()) {
        static _Atomic(void *) known;
        void (*next)(void *);
        *(void **)&next = next_known(&known, "_ZdlPv");
        if (next != NULL) {
            next(p);
            return;
        }
    }
    free_slow(p);
}

void delete_plain(void *p)
{
    heap_free_or(p, delete_slow);
}

void delete_array(void *p)
{
    delete_plain(p);
}

void delete_sized(void *p, SIZE)
{
    delete_plain(p);
}

void delete_array_sized(void *p, SIZE)
{
    delete_array(p);
}

void delete_nothrow(void *p, NOTHROW)
{
    delete_plain(p);
}

void delete_array_nothrow(void *p, NOTHROW)
{
    delete_array(p);
}

void delete_aligned(void *p, ALIGN)
{
    heap_free_or(p, delete_slow);
}

void delete_array_aligned(void *p, ALIGN)
{
    delete_aligned(p, align);
}

void delete_aligned_sized(void *p, SIZE, ALIGN)
{
    delete_aligned(p, align);
}

void delete_array_aligned_sized(void *p, SIZE, ALIGN)
{
    delete_array_aligned(p, align);
}

void delete_aligned_nothrow(void *p, ALIGN, NOTHROW)
{
    delete_aligned(p, align);
}

void delete_array_aligned_nothrow(void *p, ALIGN, NOTHROW)
{
    delete_array_aligned(p, align);
}
