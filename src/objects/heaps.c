/* SPDX-License-Identifier: MIT */
#include "objects/heaps.h"

#include "heap/alloc.h"
#include "heap/emergency.h"
#include "mem/meta.h"

#include <errno.h>
#include <string.h>

/* ---- figures ---- */

void heaps_get_stats(const poolalloc_heap *heap, struct poolalloc_heap_stats *stats)
{
    const struct group *group = &heap->heap->group;
    *stats = (struct poolalloc_heap_stats){
        .bytes = heap_group_memory(heap->heap) + sizeof *heap->heap + sizeof *heap,
        .n_live = atomic_get_relaxed(&group->n_live),
        .live_bytes = atomic_get_relaxed(&group->live_bytes),
        .peak_bytes = atomic_get_relaxed(&group->peak_bytes),
        .n_failures = atomic_get_relaxed(&heap->n_failures),
    };
}

static void read_figures(const struct object *object, struct object_figures *figures)
{
    struct poolalloc_heap_stats stats;
    heaps_get_stats(CONTAINER_OF(object, const poolalloc_heap, object), &stats);
    figures->memory_bytes = stats.bytes;
    figures->piece_bytes = 1;
    figures->pieces = stats.bytes;
    figures->in_use = stats.live_bytes;
    figures->in_use_peak = stats.peak_bytes;
    figures->failures = stats.n_failures;
}

/* Forks and malloc_trim() come by the group's heap already. */
static const struct object_kind heap_kind = {.kind = "heap", .read = read_figures};

/* ---- blocks ---- */

/* The end of what allocates, also where it could not begin. */
static void *finish(poolalloc_heap *heap, void *p)
{
    if (LIKELY(p != NULL))
        return p;
    atomic_add_relaxed(&heap->n_failures, 1);
    errno = ENOMEM;
    return NULL;
}

struct request {
    poolalloc_heap *heap;
    size_t align;
    size_t bytes;
    void *(*make)(const struct request *request); /* inside */
};

static void *make_inside(const struct request *request)
{
    void *p = request->make(request);
    heap_finish();
    return p;
}

static void *alloc(struct request request)
{
    size_t most = max_size(request.bytes, request.align);
    void *p = heap_enter() ? make_inside(&request) : NULL;
    for (unsigned n = 0; p == NULL && heap_try_again_in(request.heap->heap, most, n); n++)
        p = make_inside(&request);
    return finish(request.heap, p);
}

static void *make_plain(const struct request *request)
{
    return heap_group_alloc(request->heap->heap, request->bytes);
}

void *heaps_alloc(poolalloc_heap *heap, size_t bytes)
{
    return alloc((struct request){heap, BLOCK_ALIGN, bytes, make_plain});
}

static void *make_zeroed(const struct request *request)
{
    return heap_group_alloc_zeroed(request->heap->heap, request->bytes);
}

void *heaps_calloc(poolalloc_heap *heap, size_t n, size_t each)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, each, &bytes))
        return finish(heap, NULL);
    return alloc((struct request){heap, BLOCK_ALIGN, bytes, make_zeroed});
}

static void *make_aligned(const struct request *request)
{
    return heap_group_alloc_aligned(request->heap->heap, request->align, request->bytes);
}

void *heaps_alloc_aligned(poolalloc_heap *heap, size_t align, size_t bytes)
{
    if (!is_power_of_two(align)) {
        errno = EINVAL;
        return NULL;
    }
    return alloc((struct request){heap, align, bytes, make_aligned});
}

void *heaps_realloc(poolalloc_heap *heap, void *p, size_t bytes)
{
    if (p == NULL)
        return heaps_alloc(heap, bytes);
    void *resized = heap_realloc(p, bytes);
    return bytes > 0 ? finish(heap, resized) : resized;
}

size_t heaps_trim(poolalloc_heap *heap)
{
    if (!heap_enter())
        return 0;
    size_t bytes = heap_group_trim(heap->heap);
    heap_finish();
    return bytes;
}

/* ---- heaps ---- */

static bool options_are_good(const struct poolalloc_heap_options *options)
{
    uint64_t reserved = 0;
    for (size_t i = 0; i < ARRAY_LEN(options->reserved); i++)
        reserved |= options->reserved[i];
    return reserved == 0;
}

static poolalloc_heap *make(size_t max_bytes)
{
    poolalloc_heap *heap = meta_take(sizeof *heap);
    if (heap == NULL)
        return NULL;
    memset(heap, 0, sizeof *heap);
    heap->heap = heap_group_new(max_bytes);
    if (heap->heap == NULL) {
        meta_give(heap, sizeof *heap);
        return NULL;
    }
    return heap;
}

static poolalloc_heap *make_from_outside(size_t max_bytes)
{
    if (!heap_enter())
        return NULL;
    poolalloc_heap *heap = make(max_bytes);
    heap_leave();
    return heap;
}

poolalloc_heap *heaps_create(const struct poolalloc_heap_options *options)
{
    static const struct poolalloc_heap_options none;
    if (options == NULL)
        options = &none;
    if (!options_are_good(options)) {
        errno = EINVAL;
        return NULL;
    }
    poolalloc_heap *heap =
        make_from_outside(options->max_bytes != 0 ? options->max_bytes : SIZE_MAX);
    if (heap == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    object_init(&heap->object, &heap_kind, options->name);
    registry_add(&heap->object);
    return heap;
}

size_t heaps_destroy(poolalloc_heap *heap)
{
    if (heap == NULL)
        return 0;
    int saved_errno = errno;
    size_t n_live = 0;
    registry_remove(&heap->object);
    if (emergency_has_put_off())
        heap_free_put_off(); /* some may be of this heap */
    if (heap_enter()) {
        n_live = heap_group_end(heap->heap);
        meta_give(heap, sizeof *heap);
        heap_finish();
    }
    errno = saved_errno;
    return n_live;
}
