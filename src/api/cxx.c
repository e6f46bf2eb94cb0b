/* SPDX-License-Identifier: MIT */
/*
 * operator new and delete under their mangled names, at addresses of their own (tools tell C from
 * C++ by them).
 *
 * Only success is handled here. When memory runs out the next definition of the same operator,
 * which is the C++ runtime's, takes over: it calls the new-handler, comes back through malloc or
 * through us, and throws a real std::bad_alloc. This file is compiled with -fexceptions so that it
 * may.
 */
#include "heap/alloc.h"
#include "os/panic.h"
#include "os/process.h"

typedef void *new_function(size_t);
typedef void *new_nothrow_function(size_t, const void *);
typedef void *new_aligned_function(size_t, size_t);
typedef void *new_aligned_nothrow_function(size_t, size_t, const void *);

NORETURN COLD static void no_runtime(void)
{
    panic("out of memory in operator new, and no C++ runtime to throw bad_alloc", NULL, 0);
}

/* No size above this can be had; libstdc++'s aligned operators overflow where they round such up.
 */
static size_t sane(size_t bytes)
{
    return min_size(bytes, PTRDIFF_MAX);
}

NOINLINE static void *new_slow(const char *name, size_t bytes)
{
    void *p = alloc_slow(bytes);
    if (LIKELY(p != NULL))
        return p;
    new_function *next;
    *(void **)&next = os_next_definition(name);
    if (next == NULL)
        no_runtime();
    return next(sane(bytes));
}

NOINLINE static void *new_nothrow_slow(const char *name, size_t bytes, const void *nothrow)
{
    void *p = alloc_slow(bytes);
    if (LIKELY(p != NULL))
        return p;
    new_nothrow_function *next;
    *(void **)&next = os_next_definition(name);
    return next != NULL ? next(sane(bytes), nothrow) : NULL;
}

COLD static void *new_aligned_failed(const char *name, size_t bytes, size_t align)
{
    new_aligned_function *next;
    *(void **)&next = os_next_definition(name);
    if (next == NULL)
        no_runtime();
    return next(sane(bytes), align);
}

COLD static void *new_aligned_nothrow_failed(const char *name, size_t bytes, size_t align,
                                             const void *nothrow)
{
    new_aligned_nothrow_function *next;
    *(void **)&next = os_next_definition(name);
    return next != NULL ? next(sane(bytes), align, nothrow) : NULL;
}

#define OPERATOR_NEW(name)                                                                         \
    new_function name;                                                                             \
    EXPORT void *name(size_t bytes)                                                                \
    {                                                                                              \
        void *p = heap_alloc_fast(bytes);                                                          \
        return LIKELY(p != NULL) ? p : new_slow(#name, bytes);                                     \
    }

#define OPERATOR_NEW_NOTHROW(name)                                                                 \
    new_nothrow_function name;                                                                     \
    EXPORT void *name(size_t bytes, const void *nothrow)                                           \
    {                                                                                              \
        void *p = heap_alloc_fast(bytes);                                                          \
        return LIKELY(p != NULL) ? p : new_nothrow_slow(#name, bytes, nothrow);                    \
    }

#define OPERATOR_NEW_ALIGNED(name)                                                                 \
    new_aligned_function name;                                                                     \
    EXPORT void *name(size_t bytes, size_t align)                                                  \
    {                                                                                              \
        void *p = heap_alloc_aligned(align, bytes);                                                \
        return LIKELY(p != NULL) ? p : new_aligned_failed(#name, bytes, align);                    \
    }

#define OPERATOR_NEW_ALIGNED_NOTHROW(name)                                                         \
    new_aligned_nothrow_function name;                                                             \
    EXPORT void *name(size_t bytes, size_t align, const void *nothrow)                             \
    {                                                                                              \
        void *p = heap_alloc_aligned(align, bytes);                                                \
        return LIKELY(p != NULL) ? p : new_aligned_nothrow_failed(#name, bytes, align, nothrow);   \
    }

/* Sizes, alignments and tags that delete is told are not needed: the map knows. */
#define OPERATOR_DELETE(name, ...)                                                                 \
    void name(void *p __VA_ARGS__);                                                                \
    EXPORT void name(void *p __VA_ARGS__)                                                          \
    {                                                                                              \
        heap_free(p);                                                                              \
    }

#define SIZE    , __attribute__((unused)) size_t bytes
#define ALIGN   , __attribute__((unused)) size_t align
#define NOTHROW , __attribute__((unused)) const void *nothrow

OPERATOR_NEW(_Znwm)
OPERATOR_NEW(_Znam)
OPERATOR_NEW_NOTHROW(_ZnwmRKSt9nothrow_t)
OPERATOR_NEW_NOTHROW(_ZnamRKSt9nothrow_t)
OPERATOR_NEW_ALIGNED(_ZnwmSt11align_val_t)
OPERATOR_NEW_ALIGNED(_ZnamSt11align_val_t)
OPERATOR_NEW_ALIGNED_NOTHROW(_ZnwmSt11align_val_tRKSt9nothrow_t)
OPERATOR_NEW_ALIGNED_NOTHROW(_ZnamSt11align_val_tRKSt9nothrow_t)

OPERATOR_DELETE(_ZdlPv)
OPERATOR_DELETE(_ZdaPv)
OPERATOR_DELETE(_ZdlPvm, SIZE)
OPERATOR_DELETE(_ZdaPvm, SIZE)
OPERATOR_DELETE(_ZdlPvRKSt9nothrow_t, NOTHROW)
OPERATOR_DELETE(_ZdaPvRKSt9nothrow_t, NOTHROW)
OPERATOR_DELETE(_ZdlPvSt11align_val_t, ALIGN)
OPERATOR_DELETE(_ZdaPvSt11align_val_t, ALIGN)
OPERATOR_DELETE(_ZdlPvmSt11align_val_t, SIZE ALIGN)
OPERATOR_DELETE(_ZdaPvmSt11align_val_t, SIZE ALIGN)
OPERATOR_DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, ALIGN NOTHROW)
OPERATOR_DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, ALIGN NOTHROW)
