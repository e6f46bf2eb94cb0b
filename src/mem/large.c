/* SPDX-License-Identifier: MIT */
#include "mem/large.h"

#include "conf/options.h"
#include "mem/arena.h"
#include "os/pages.h"

#include <string.h>

/* Arena blocks of this size that must move to grow get a mapping of their own. */
enum { GROWN_MIN_BYTES = 1 << 20 };

static struct span *take(size_t bytes, size_t align_bytes)
{
    if (bytes > PTRDIFF_MAX)
        return NULL;
    size_t n_pages = div_round_up(bytes, PAGE_BYTES);
    size_t align_pages = max_size(align_bytes >> PAGE_SHIFT, 1);
    uint64_t direct_bytes = option_get(&options.direct_bytes);
    bool fits_arena = bytes < direct_bytes && align_bytes < direct_bytes;
    struct span *span = fits_arena ? arena_take(SPAN_LARGE, n_pages, align_pages)
                                   : arena_take_free(SPAN_LARGE, n_pages, align_pages);
    if (span == NULL)
        span = arena_take_direct(bytes, align_bytes);
    if (UNLIKELY(span == NULL) && arena_refuses(SPAN_LARGE, bytes))
        return NULL;
    /* What is free may be too scattered, or kept from the kernel by us: give all back and try
     * again. */
    if (span == NULL && arena_purge_all())
        span = arena_take(SPAN_LARGE, n_pages, align_pages);
    if (UNLIKELY(span == NULL)) {
        arena_unmap_free();
        span = arena_take_direct(bytes, align_bytes);
    }
    return span;
}

void *large_alloc(size_t bytes, size_t align_bytes)
{
    struct span *span = take(bytes, align_bytes);
    return span != NULL ? (void *)span->base : NULL;
}

void *large_alloc_zeroed(size_t bytes)
{
    struct span *span = take(bytes, 1);
    if (span == NULL)
        return NULL;
    /* Whoever wants so much of it may not use most of it. */
    bool is_vast = bytes >= option_get(&options.direct_bytes);
    if (!span->was_zero && !(is_vast && arena_zero(span)))
        arena_clear(span);
    return (void *)span->base;
}

size_t large_usable(size_t bytes)
{
    return bytes <= PTRDIFF_MAX ? round_up(bytes, max_size(os_page_bytes(), PAGE_BYTES)) : 0;
}

void large_join_group(void *p, struct group *group)
{
    group_join(arena_large_at(p), group);
}

bool large_free(void *p)
{
    return arena_free_large(p);
}

/* A block that outgrew its place once is likely to go on growing: a mapping of its own grows
 * without copying from then on. But memory that is at hand is cheaper to copy to than new pages are
 * to get. */
static void *move_to_grow(struct span *span, size_t bytes)
{
    struct span *to = arena_take_free(SPAN_LARGE, div_round_up(bytes, PAGE_BYTES), 1);
    if (to == NULL)
        to = arena_take_direct(bytes, 1);
    if (to == NULL)
        return NULL;
    void *from = (void *)span->base;
    void *moved = memcpy((void *)to->base, from, span_bytes(span));
    group_pass(span, to);
    (void)large_free(from);
    return moved;
}

void *large_realloc(struct span *span, size_t bytes)
{
    if (bytes > PTRDIFF_MAX)
        return NULL;
    if (span->kind == SPAN_DIRECT)
        return arena_resize_direct(span, bytes) ? (void *)span->base : NULL;
    if (arena_resize(span, div_round_up(bytes, PAGE_BYTES)))
        return (void *)span->base;
    if (bytes > span_bytes(span) && span_bytes(span) >= GROWN_MIN_BYTES)
        return move_to_grow(span, bytes);
    return NULL;
}

/* ---- for the checked mode ---- */

static struct {
    size_t max; /* [const] */
    _Atomic size_t n;
} guarded;

void large_guards_begin(size_t max)
{
    guarded.max = max;
}

static struct span *take_with_guard(size_t bytes, size_t align_bytes)
{
    size_t all;
    if (bytes > PTRDIFF_MAX ||
        __builtin_add_overflow(round_up(bytes, os_page_bytes()), os_page_bytes(), &all))
        return NULL;
    struct span *span = arena_take_direct(all, align_bytes);
    if (span == NULL)
        return NULL;
    span->large.is_guarded = true;
    os_pages_guard((char *)span->base + large_bytes(span), os_page_bytes());
    return span;
}

struct span *large_take_guarded(size_t bytes, size_t align_bytes)
{
    struct span *span = NULL;
    if (atomic_add_relaxed(&guarded.n, 1) < guarded.max)
        span = take_with_guard(bytes, align_bytes);
    if (span == NULL)
        atomic_sub_relaxed(&guarded.n, 1);
    return span;
}

void large_free_guarded(void *p)
{
    if (large_free(p))
        atomic_sub_relaxed(&guarded.n, 1);
}

size_t large_bytes(const struct span *span)
{
    return span_bytes(span) - (span->large.is_guarded ? os_page_bytes() : 0);
}

void large_hide(const struct span *span)
{
    (void)os_pages_discard((void *)span->base, large_bytes(span));
    os_pages_guard((void *)span->base, large_bytes(span));
}
