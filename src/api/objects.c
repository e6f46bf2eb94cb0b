/* SPDX-License-Identifier: MIT */
/*
 * The exported functions of poolalloc.h: each body is one call.
 */
#include "base/compiler.h"
#include "heap/alloc.h"
#include "objects/buffers.h"
#include "objects/bump.h"
#include "objects/frame.h"
#include "objects/heaps.h"
#include "objects/pool.h"
#include "poolalloc.h"

#include <errno.h>
#include <string.h>

/* ---- malloc ---- */

EXPORT void *poolalloc_malloc(size_t bytes)
{
    return heap_alloc(bytes);
}

EXPORT void *poolalloc_calloc(size_t n, size_t each)
{
    return heap_calloc(n, each);
}

EXPORT void *poolalloc_realloc(void *p, size_t bytes)
{
    return heap_realloc(p, bytes);
}

EXPORT void *poolalloc_aligned_alloc(size_t align, size_t bytes)
{
    if (UNLIKELY(!is_power_of_two(align))) {
        errno = EINVAL;
        return NULL;
    }
    return heap_alloc_aligned(align, bytes);
}

EXPORT void poolalloc_free(void *p)
{
    heap_free(p);
}

EXPORT size_t poolalloc_usable_size(const void *p)
{
    return p != NULL ? heap_usable_size((void *)p) : 0;
}

EXPORT size_t poolalloc_good_size(size_t bytes)
{
    return heap_good_size(bytes);
}

/* ---- heaps ---- */

EXPORT poolalloc_heap *poolalloc_heap_create(const struct poolalloc_heap_options *options)
{
    return heaps_create(options);
}

EXPORT size_t poolalloc_heap_destroy(poolalloc_heap *heap)
{
    return heaps_destroy(heap);
}

EXPORT void *poolalloc_heap_malloc(poolalloc_heap *heap, size_t bytes)
{
    return heaps_alloc(heap, bytes);
}

EXPORT void *poolalloc_heap_calloc(poolalloc_heap *heap, size_t n, size_t each)
{
    return heaps_calloc(heap, n, each);
}

EXPORT void *poolalloc_heap_realloc(poolalloc_heap *heap, void *p, size_t bytes)
{
    return heaps_realloc(heap, p, bytes);
}

EXPORT void *poolalloc_heap_aligned_alloc(poolalloc_heap *heap, size_t align, size_t bytes)
{
    return heaps_alloc_aligned(heap, align, bytes);
}

EXPORT size_t poolalloc_heap_trim(poolalloc_heap *heap)
{
    return heaps_trim(heap);
}

EXPORT void poolalloc_heap_get_stats(const poolalloc_heap *heap, struct poolalloc_heap_stats *stats)
{
    heaps_get_stats(heap, stats);
}

/* ---- pools ---- */

EXPORT poolalloc_pool *poolalloc_pool_create(const struct poolalloc_pool_options *options)
{
    return pool_create(options);
}

EXPORT size_t poolalloc_pool_destroy(poolalloc_pool *pool)
{
    return pool_destroy(pool);
}

EXPORT void *poolalloc_pool_alloc(poolalloc_pool *pool)
{
    return pool_alloc(pool);
}

EXPORT int poolalloc_pool_free(poolalloc_pool *pool, void *object)
{
    return pool_free(pool, object);
}

EXPORT int poolalloc_pool_owns(poolalloc_pool *pool, const void *p)
{
    return pool_owns(pool, p);
}

EXPORT size_t poolalloc_pool_trim(poolalloc_pool *pool)
{
    return pool_trim(pool);
}

EXPORT void poolalloc_pool_get_stats(poolalloc_pool *pool, struct poolalloc_pool_stats *stats)
{
    pool_get_stats(pool, stats);
}

/* ---- arenas ---- */

EXPORT poolalloc_arena *poolalloc_arena_create(const struct poolalloc_arena_options *options)
{
    return bump_create(NULL, options);
}

EXPORT poolalloc_arena *poolalloc_arena_create_child(poolalloc_arena *parent,
                                                     const struct poolalloc_arena_options *options)
{
    return bump_create(parent, options);
}

EXPORT void poolalloc_arena_destroy(poolalloc_arena *arena)
{
    bump_destroy(arena);
}

EXPORT void poolalloc_arena_reset(poolalloc_arena *arena)
{
    bump_reset(arena);
}

EXPORT size_t poolalloc_arena_trim(poolalloc_arena *arena)
{
    return bump_trim(arena);
}

EXPORT void *poolalloc_arena_alloc(poolalloc_arena *arena, size_t bytes)
{
    return bump_alloc(arena, bytes);
}

EXPORT void *poolalloc_arena_alloc_aligned(poolalloc_arena *arena, size_t align, size_t bytes)
{
    return bump_alloc_checked(arena, align, bytes);
}

EXPORT void *poolalloc_arena_calloc(poolalloc_arena *arena, size_t n, size_t each)
{
    return bump_calloc(arena, n, each);
}

EXPORT void *poolalloc_arena_memdup(poolalloc_arena *arena, const void *from, size_t bytes)
{
    return bump_memdup(arena, BUMP_ALIGN, from, bytes);
}

EXPORT char *poolalloc_arena_strdup(poolalloc_arena *arena, const char *string)
{
    return bump_memdup(arena, 1, string, strlen(string) + 1);
}

EXPORT char *poolalloc_arena_printf(poolalloc_arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *string = bump_printf(arena, format, arguments);
    va_end(arguments);
    return string;
}

EXPORT char *poolalloc_arena_vprintf(poolalloc_arena *arena, const char *format, va_list arguments)
{
    return bump_printf(arena, format, arguments);
}

EXPORT poolalloc_mark poolalloc_arena_mark(const poolalloc_arena *arena)
{
    return bump_mark(arena);
}

EXPORT int poolalloc_arena_release(poolalloc_arena *arena, poolalloc_mark mark)
{
    return bump_release(arena, mark);
}

EXPORT int poolalloc_arena_on_end(poolalloc_arena *arena, void (*clean_up)(void *), void *argument)
{
    return bump_on_end(arena, clean_up, argument);
}

EXPORT void poolalloc_arena_get_stats(const poolalloc_arena *arena,
                                      struct poolalloc_arena_stats *stats)
{
    bump_get_stats(arena, stats);
}

/* ---- frames ---- */

EXPORT poolalloc_frame *poolalloc_frame_create(unsigned n,
                                               const struct poolalloc_arena_options *options)
{
    return frame_create(n, options);
}

EXPORT void poolalloc_frame_destroy(poolalloc_frame *frame)
{
    frame_destroy(frame);
}

EXPORT poolalloc_arena *poolalloc_frame_begin(poolalloc_frame *frame)
{
    return frame_begin(frame);
}

EXPORT void *poolalloc_frame_alloc(poolalloc_frame *frame, size_t bytes)
{
    return bump_alloc(frame->now, bytes);
}

/* ---- buffers ---- */

EXPORT poolalloc_buffers *poolalloc_buffers_create(const struct poolalloc_buffers_options *options)
{
    return buffers_create(options);
}

EXPORT size_t poolalloc_buffers_destroy(poolalloc_buffers *set)
{
    return buffers_destroy(set);
}

EXPORT poolalloc_buffer *poolalloc_buffers_try(poolalloc_buffers *set)
{
    return buffers_try(set);
}

EXPORT poolalloc_buffer *poolalloc_buffers_acquire(poolalloc_buffers *set)
{
    return buffers_acquire(set, NULL);
}

EXPORT poolalloc_buffer *poolalloc_buffers_acquire_until(poolalloc_buffers *set,
                                                         const struct timespec *deadline)
{
    return buffers_acquire(set, deadline);
}

EXPORT size_t poolalloc_buffers_trim(poolalloc_buffers *set)
{
    return buffers_trim(set);
}

EXPORT void poolalloc_buffers_get_stats(poolalloc_buffers *set,
                                        struct poolalloc_buffers_stats *stats)
{
    buffers_get_stats(set, stats);
}

EXPORT void *poolalloc_buffer_data(const poolalloc_buffer *buffer)
{
    return buffer->data;
}

EXPORT size_t poolalloc_buffer_bytes(const poolalloc_buffer *buffer)
{
    return buffer->set->bytes;
}

EXPORT poolalloc_buffer *poolalloc_buffer_retain(poolalloc_buffer *buffer)
{
    return buffer_retain(buffer);
}

EXPORT int poolalloc_buffer_release(poolalloc_buffer *buffer)
{
    return buffer_release(buffer);
}

EXPORT unsigned poolalloc_buffer_holders(const poolalloc_buffer *buffer)
{
    return atomic_get_relaxed(&buffer->n_holders);
}

EXPORT int poolalloc_slice_make(poolalloc_buffer *buffer, size_t offset, size_t bytes,
                                poolalloc_slice *slice)
{
    const poolalloc_slice all = {buffer->data, buffer->set->bytes, buffer};
    return slice_cut(&all, offset, bytes, slice);
}

EXPORT int poolalloc_slice_cut(const poolalloc_slice *from, size_t offset, size_t bytes,
                               poolalloc_slice *slice)
{
    return slice_cut(from, offset, bytes, slice);
}

EXPORT int poolalloc_slice_release(poolalloc_slice *slice)
{
    return slice_release(slice);
}
