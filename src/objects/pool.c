/* SPDX-License-Identifier: MIT */
#include "objects/pool.h"

#include "heap/alloc.h"
#include "mem/meta.h"

#include <errno.h>
#include <string.h>

static struct slots *slots_of(poolalloc_pool *pool)
{
    return &pool->lanes.slots;
}

static bool is_shared(const poolalloc_pool *pool)
{
    return pool->lanes.slots.is_shared;
}

static poolalloc_pool *pool_of(struct object *object)
{
    return CONTAINER_OF(object, poolalloc_pool, object);
}

/* ---- figures ---- */

/* Read one after the other while threads go on: never below 0. */
static size_t n_in_use(const poolalloc_pool *pool)
{
    size_t n_cached = is_shared(pool) ? lanes_n_cached(&pool->lanes) : 0;
    size_t n_out = atomic_get_relaxed(&pool->lanes.slots.n_out);
    return n_out > n_cached ? n_out - n_cached : 0;
}

static void read_figures(const struct object *object, struct object_figures *figures)
{
    const poolalloc_pool *pool = CONTAINER_OF(object, const poolalloc_pool, object);
    const struct slots *slots = &pool->lanes.slots;
    figures->memory_bytes = atomic_get_relaxed(&slots->memory_bytes) + sizeof *pool;
    figures->piece_bytes = slots->stride;
    figures->pieces = atomic_get_relaxed(&slots->n_slots);
    figures->in_use = n_in_use(pool);
    figures->in_use_peak = atomic_get_relaxed(&slots->peak);
    figures->failures = atomic_get_relaxed(&pool->n_failures);
}

void pool_get_stats(poolalloc_pool *pool, struct poolalloc_pool_stats *stats)
{
    struct object_figures figures = {0};
    read_figures(&pool->object, &figures);
    *stats = (struct poolalloc_pool_stats){
        .object_bytes = figures.piece_bytes,
        .align = pool->align,
        .total = figures.pieces,
        .in_use = figures.in_use,
        .peak = figures.in_use_peak,
        .n_from_malloc = atomic_get_relaxed(&pool->n_from_malloc),
        .bytes = figures.memory_bytes,
        .n_failures = figures.failures,
    };
}

/* ---- alloc ---- */

static void construct(const poolalloc_pool *pool, void *object)
{
    if (pool->construct != NULL)
        pool->construct(object, pool->context);
}

static void destruct(const poolalloc_pool *pool, void *object)
{
    if (pool->destruct != NULL)
        pool->destruct(object, pool->context);
}

static void *alloc_fallback(poolalloc_pool *pool)
{
    void *p = heap_alloc_aligned(pool->align, pool->object_bytes);
    if (p == NULL)
        return NULL;
    atomic_add_relaxed(&pool->n_from_malloc, 1);
    construct(pool, p);
    return p;
}

static void *take_alone(struct slots *slots, bool *is_fresh)
{
    if (!heap_enter())
        return NULL;
    void *p = slots_take(slots, is_fresh);
    heap_leave();
    return p;
}

NOINLINE void *pool_alloc_slow(poolalloc_pool *pool)
{
    bool is_fresh = false;
    void *p = is_shared(pool) ? lanes_take_slow(&pool->lanes, &is_fresh)
                              : take_alone(slots_of(pool), &is_fresh);
    if (p != NULL) {
        if (is_fresh)
            construct(pool, p);
        return p;
    }
    atomic_add_relaxed(&pool->n_failures, 1);
    if (pool->has_fallback)
        return alloc_fallback(pool);
    errno = ENOMEM;
    return NULL;
}

/* ---- free ---- */

/* It is no slot. Whether it is a block that we got for an object the heap alone can tell. */
static bool free_fallback(poolalloc_pool *pool, void *object)
{
    if (atomic_get_relaxed(&pool->n_from_malloc) == 0 ||
        heap_usable_size(object) < pool->object_bytes)
        return false;
    atomic_sub_relaxed(&pool->n_from_malloc, 1);
    destruct(pool, object);
    heap_free(object);
    return true;
}

static int refuse(const poolalloc_pool *pool, const void *object, int error)
{
    object_report(&pool->object,
                  error == EALREADY ? "free of an object that is free already"
                                    : "free of what is no object of this pool",
                  object);
    errno = error;
    return -1;
}

static enum lanes_fault give_alone(struct slots *slots, void *p)
{
    struct slot slot;
    if (!slot_find(slots, p, &slot))
        return LANES_NOT_A_SLOT;
    if (atomic_get_relaxed(&slot.part->links[slot.index]) < SLOT_LIVE)
        return LANES_FREE_ALREADY;
    slots_give_at(slots, &slot, p);
    return LANES_GOOD;
}

NOINLINE int pool_free_slow(poolalloc_pool *pool, void *object)
{
    if (object == NULL)
        return 0;
    enum lanes_fault fault = is_shared(pool) ? lanes_give_slow(&pool->lanes, object)
                                             : give_alone(slots_of(pool), object);
    if (fault == LANES_GOOD)
        return 0;
    if (fault == LANES_FREE_ALREADY)
        return refuse(pool, object, EALREADY);
    return pool->has_fallback && free_fallback(pool, object) ? 0 : refuse(pool, object, EINVAL);
}

int pool_owns(poolalloc_pool *pool, const void *p)
{
    struct slot slot;
    return slot_find(slots_of(pool), p, &slot);
}

/* ---- memory back ---- */

/* One part, to be given to part_end. False: there is none left. Inside. */
static bool part_remove(poolalloc_pool *pool, bool any, struct part *part)
{
    if (!is_shared(pool))
        return slots_remove_part(slots_of(pool), any, part);
    lock_take(&pool->lanes.lock);
    bool found = lanes_collect_locked(&pool->lanes) || any || !pool->lanes.has_barrier;
    found = found && slots_remove_part(slots_of(pool), any, part);
    lock_release(&pool->lanes.lock);
    return found;
}

static bool part_remove_from_outside(poolalloc_pool *pool, bool any, struct part *part)
{
    if (!heap_enter())
        return false;
    bool found = part_remove(pool, any, part);
    heap_leave();
    return found;
}

static void part_destruct(poolalloc_pool *pool, const struct part *part)
{
    char *base = atomic_get_relaxed(&part->base);
    for (uint32_t i = 0; i < part->n_carved; i++) {
        if (atomic_get_relaxed(&part->links[i]) <= SLOT_END)
            destruct(pool, base + (size_t)i * slots_of(pool)->stride);
    }
}

static void part_end(poolalloc_pool *pool, struct part *part)
{
    part_destruct(pool, part);
    if (!heap_enter())
        return;
    slots_free_part(part);
    heap_leave();
}

size_t pool_trim(poolalloc_pool *pool)
{
    struct part part;
    size_t bytes = atomic_get_relaxed(&slots_of(pool)->memory_bytes);
    while (part_remove_from_outside(pool, false, &part))
        part_end(pool, &part);
    size_t left = atomic_get_relaxed(&slots_of(pool)->memory_bytes);
    return bytes > left ? bytes - left : 0;
}

/* For any thread, inside: not with destructors, which are the program's. */
static size_t trim_inside(struct object *object)
{
    struct part part;
    poolalloc_pool *pool = pool_of(object);
    size_t bytes = atomic_get_relaxed(&slots_of(pool)->memory_bytes);
    while (pool->destruct == NULL && part_remove(pool, false, &part))
        slots_free_part(&part);
    size_t left = atomic_get_relaxed(&slots_of(pool)->memory_bytes);
    return bytes > left ? bytes - left : 0;
}

/* ---- pools ---- */

static void fork_prepare(struct object *object)
{
    lanes_fork_prepare(&pool_of(object)->lanes);
}

static void fork_parent(struct object *object)
{
    lanes_fork_parent(&pool_of(object)->lanes);
}

static void fork_child(struct object *object)
{
    lanes_fork_child(&pool_of(object)->lanes);
}

static void fork_unnoticed(struct object *object)
{
    lanes_fork_unnoticed(&pool_of(object)->lanes);
}

static const struct object_kind alone_kind = {.kind = "pool", .read = read_figures};
static const struct object_kind shared_kind = {
    .kind = "pool",
    .read = read_figures,
    .trim = trim_inside,
    .fork = {fork_prepare, fork_parent, fork_child, fork_unnoticed},
};

static bool options_are_good(const struct poolalloc_pool_options *options)
{
    uint64_t reserved = 0;
    for (size_t i = 0; i < ARRAY_LEN(options->reserved); i++)
        reserved |= options->reserved[i];
    return reserved == 0 && options->object_bytes > 0 &&
           options->object_bytes <= POOL_OBJECT_MAX_BYTES && options->align <= POOL_ALIGN_MAX &&
           (options->align == 0 || is_power_of_two(options->align)) &&
           (options->flags & ~(unsigned)(POOLALLOC_POOL_SHARED | POOLALLOC_POOL_FALLBACK)) == 0;
}

static void init(poolalloc_pool *pool, const struct poolalloc_pool_options *options)
{
    memset(pool, 0, sizeof *pool);
    pool->has_fallback = (options->flags & POOLALLOC_POOL_FALLBACK) != 0;
    pool->construct = options->construct;
    pool->destruct = options->destruct;
    pool->context = options->context;
    pool->object_bytes = options->object_bytes;
    pool->align = options->align != 0 ? options->align : POOL_ALIGN;
    lanes_init(&pool->lanes, pool->construct == NULL && pool->destruct == NULL);
    slots_init(slots_of(pool), pool->object_bytes, pool->align, options->first,
               options->max != 0 ? options->max : SIZE_MAX,
               (options->flags & POOLALLOC_POOL_SHARED) != 0);
    object_init(&pool->object, is_shared(pool) ? &shared_kind : &alone_kind, options->name);
}

static poolalloc_pool *record_take(void)
{
    if (!heap_enter())
        return NULL;
    poolalloc_pool *pool = meta_take(sizeof *pool);
    heap_leave();
    return pool;
}

_Static_assert(sizeof(poolalloc_pool) <= META_REUSE_MAX_BYTES, "its memory is used again");

poolalloc_pool *pool_create(const struct poolalloc_pool_options *options)
{
    if (options == NULL || !options_are_good(options)) {
        errno = EINVAL;
        return NULL;
    }
    poolalloc_pool *pool = record_take();
    if (pool == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    init(pool, options);
    registry_add(&pool->object);
    return pool;
}

size_t pool_destroy(poolalloc_pool *pool)
{
    if (pool == NULL)
        return 0;
    int saved_errno = errno;
    struct part part;
    registry_remove(&pool->object);
    size_t n_out = n_in_use(pool) + atomic_get_relaxed(&pool->n_from_malloc);
    while (part_remove_from_outside(pool, true, &part))
        part_end(pool, &part);
    if (heap_enter()) {
        lanes_destroy(&pool->lanes);
        meta_give(pool, sizeof *pool);
        heap_leave();
    }
    errno = saved_errno;
    return n_out;
}
