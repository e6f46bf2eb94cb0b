/* SPDX-License-Identifier: MIT */
/*
 * The C functions. Each body is one call into heap/alloc.h, and what the standard, POSIX and glibc
 * say about arguments, errno and edge cases around it.
 */
#include "base/bits.h"
#include "heap/alloc.h"
#include "os/pages.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

EXPORT void *malloc(size_t bytes)
{
    return heap_alloc(bytes);
}

EXPORT void free(void *p)
{
    heap_free(p);
}

EXPORT void *calloc(size_t n, size_t each)
{
    size_t bytes;
    if (UNLIKELY(__builtin_mul_overflow(n, each, &bytes))) {
        errno = ENOMEM;
        return NULL;
    }
    return heap_alloc_zeroed(bytes);
}

/* As glibc: size 0 frees and returns NULL. */
EXPORT void *realloc(void *p, size_t bytes)
{
    if (p == NULL)
        return heap_alloc(bytes);
    if (bytes == 0) {
        heap_free(p);
        return NULL;
    }
    return heap_realloc(p, bytes);
}

EXPORT void *reallocarray(void *p, size_t n, size_t each)
{
    size_t bytes;
    if (UNLIKELY(__builtin_mul_overflow(n, each, &bytes))) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(p, bytes);
}

/* Answers by its return value: errno is the program's. */
EXPORT int posix_memalign(void **result, size_t align, size_t bytes)
{
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
    if (!is_power_of_two(align)) {
        errno = EINVAL;
        return NULL;
    }
    return heap_alloc_aligned(align, bytes);
}

/* As glibc: an alignment that is no power of two is rounded up to one. */
EXPORT void *memalign(size_t align, size_t bytes)
{
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
    return heap_alloc_aligned(os_page_bytes(), bytes);
}

EXPORT void *pvalloc(size_t bytes)
{
    size_t page = os_page_bytes();
    if (bytes > SIZE_MAX - page) {
        errno = ENOMEM;
        return NULL;
    }
    return heap_alloc_aligned(page, max_size(round_up(bytes, page), page));
}

EXPORT size_t malloc_usable_size(void *p)
{
    return p != NULL ? heap_usable_size(p) : 0;
}
