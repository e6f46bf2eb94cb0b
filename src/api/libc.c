/* SPDX-License-Identifier: MIT */
/*
 * The C functions. Each body is one call into heap/alloc.h, and what the standard, POSIX and glibc
 * say about arguments, errno and edge cases around it.
 */
#include "api/next.h"
#include "base/bits.h"
#include "heap/alloc.h"
#include "heap/checked.h"
#include "os/pages.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

/* Through a macro, so that a test may rename what is inside. */
#define NAME_OF(function) #function
#define NAME(function)    NAME_OF(function)

/* In no header of this libc. */
void free_sized(void *p, size_t bytes);
void free_aligned_sized(void *p, size_t align, size_t bytes);
void cfree(void *p);

NOINLINE static void *malloc_slow(size_t bytes)
{
    NEXT_IF_BYPASSED(malloc, bytes);
    return alloc_slow(bytes);
}

EXPORT void *malloc(size_t bytes)
{
    void *p = heap_alloc_fast(bytes);
    return LIKELY(p != NULL) ? p : malloc_slow(bytes);
}

#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmissing-attributes" /* aliases need no promises of their own */
#endif

/* For os_is_bypassed(). */
__typeof__(malloc) our_malloc __attribute__((alias(NAME(malloc)), visibility("hidden")));

EXPORT void free(void *p)
{
    heap_free(p);
}

EXPORT void *calloc(size_t n, size_t each)
{
    NEXT_IF_BYPASSED(calloc, n, each);
    return heap_calloc(n, each);
}

EXPORT void *realloc(void *p, size_t bytes)
{
    NEXT_IF_BYPASSED(realloc, p, bytes);
    return heap_realloc(p, bytes);
}

EXPORT void *reallocarray(void *p, size_t n, size_t each)
{
    size_t bytes;
    NEXT_IF_BYPASSED(reallocarray, p, n, each);
    if (UNLIKELY(__builtin_mul_overflow(n, each, &bytes))) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(p, bytes);
}

/* Answers by its return value: errno is the program's. */
EXPORT int posix_memalign(void **result, size_t align, size_t bytes)
{
    NEXT_IF_BYPASSED(posix_memalign, result, align, bytes);
    if (!is_power_of_two(align) || align % sizeof(void *) != 0)
        return EINVAL;
    int saved_errno = errno;
    void *p = heap_alloc_aligned(align, bytes);
    errno = saved_errno;
    if (p == NULL)
        return ENOMEM;
    *result = p;
    return 0;
}

EXPORT void *aligned_alloc(size_t align, size_t bytes)
{
    NEXT_IF_BYPASSED(aligned_alloc, align, bytes);
    if (!is_power_of_two(align)) {
        errno = EINVAL;
        return NULL;
    }
    return heap_alloc_aligned(align, bytes);
}

/* As glibc: an alignment that is no power of two is rounded up to one. */
EXPORT void *memalign(size_t align, size_t bytes)
{
    NEXT_IF_BYPASSED(memalign, align, bytes);
    if (align > SIZE_MAX / 2 + 1) {
        errno = EINVAL;
        return NULL;
    }
    if (!is_power_of_two(align))
        align = align < 2 ? 1 : (size_t)2 << log2_floor(align);
    return heap_alloc_aligned(align, bytes);
}

EXPORT void *valloc(size_t bytes)
{
    NEXT_IF_BYPASSED(valloc, bytes);
    return heap_alloc_aligned(os_page_bytes(), bytes);
}

EXPORT void *pvalloc(size_t bytes)
{
    size_t page = os_page_bytes();
    NEXT_IF_BYPASSED(pvalloc, bytes);
    if (bytes > SIZE_MAX - page) {
        errno = ENOMEM;
        return NULL;
    }
    return heap_alloc_aligned(page, max_size(round_up(bytes, page), page));
}

/* C23. The map knows both; what the caller says of them is not needed, but looked at where that
 * costs nothing. */
NOINLINE static void free_slow_sized(void *p, size_t align, size_t bytes)
{
    const struct freeing freeing = {FAMILY_MALLOC, bytes, align};
    free_slow_as(p, &freeing);
}

EXPORT void free_sized(void *p, size_t bytes)
{
    if (UNLIKELY(!heap_free_fast(p)))
        free_slow_sized(p, 1, bytes);
}

EXPORT void free_aligned_sized(void *p, size_t align, size_t bytes)
{
    if (UNLIKELY(!heap_free_fast(p)))
        free_slow_sized(p, align, bytes);
}

/* Programs of before 2017. */
EXPORT void cfree(void *p)
{
    heap_free(p);
}

EXPORT size_t malloc_usable_size(void *p)
{
    NEXT_IF_BYPASSED(malloc_usable_size, p);
    return p != NULL ? heap_usable_size(p) : 0;
}

/* ---- glibc's names for the same ----
 *
 * For wrappers that define malloc themselves and go on to these: their blocks are then ours like
 * all others.
 */

EXPORT __typeof__(malloc) __libc_malloc __attribute__((alias(NAME(malloc))));
EXPORT __typeof__(free) __libc_free __attribute__((alias(NAME(free))));
EXPORT __typeof__(free) __libc_cfree __attribute__((alias(NAME(free))));
EXPORT __typeof__(calloc) __libc_calloc __attribute__((alias(NAME(calloc))));
EXPORT __typeof__(realloc) __libc_realloc __attribute__((alias(NAME(realloc))));
EXPORT __typeof__(memalign) __libc_memalign __attribute__((alias(NAME(memalign))));
EXPORT __typeof__(valloc) __libc_valloc __attribute__((alias(NAME(valloc))));
EXPORT __typeof__(pvalloc) __libc_pvalloc __attribute__((alias(NAME(pvalloc))));
EXPORT __typeof__(posix_memalign) __posix_memalign __attribute__((alias(NAME(posix_memalign))));
