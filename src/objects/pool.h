/* SPDX-License-Identifier: MIT */
/*
 * Pools, as poolalloc.h describes them: slots.h alone for one thread, lanes.h for several; on top
 * of these constructors, the fallback, and words for misuse.
 *
 * The program's constructors and destructors run outside of the slow paths (heap.h) and of locks.
 *
 *   pool_alloc(pool)
 *     slots_take_fast                  one thread's: the current part's list
 *     lanes_take_fast                  shared: this thread's lane
 *     pool_alloc_slow                  another part, a fresh slot, lanes_take_slow, the fallback
 */
#ifndef POOLALLOC_OBJECTS_POOL_H
#define POOLALLOC_OBJECTS_POOL_H

#include "objects/lanes.h"
#include "objects/registry.h"
#include "poolalloc.h"

enum { POOL_ALIGN = 16, POOL_ALIGN_MAX = 1 << 20, POOL_OBJECT_MAX_BYTES = 1 << 30 };

struct poolalloc_pool {
    struct lanes lanes; /* of the pool of one thread only `slots` is used */
    bool has_fallback;
    void (*construct)(void *object, void *context);
    void (*destruct)(void *object, void *context);
    void *context;
    size_t object_bytes;
    size_t align;
    _Atomic size_t n_from_malloc;
    _Atomic uint64_t n_failures;
    struct object object;
};

poolalloc_pool *pool_create(const struct poolalloc_pool_options *options);
size_t pool_destroy(poolalloc_pool *pool);
void *pool_alloc_slow(poolalloc_pool *pool);
int pool_free_slow(poolalloc_pool *pool, void *object);
int pool_owns(poolalloc_pool *pool, const void *p);
size_t pool_trim(poolalloc_pool *pool);
void pool_get_stats(poolalloc_pool *pool, struct poolalloc_pool_stats *stats);

ALWAYS_INLINE void *pool_alloc(poolalloc_pool *pool)
{
    void *p = UNLIKELY(pool->lanes.slots.is_shared) ? lanes_take_fast(&pool->lanes)
                                                    : slots_take_fast(&pool->lanes.slots);
    return LIKELY(p != NULL) ? p : pool_alloc_slow(pool);
}

ALWAYS_INLINE int pool_free(poolalloc_pool *pool, void *object)
{
    bool done = UNLIKELY(pool->lanes.slots.is_shared) ? lanes_give_fast(&pool->lanes, object)
                                                      : slots_give_fast(&pool->lanes.slots, object);
    return LIKELY(done) ? 0 : pool_free_slow(pool, object);
}

#endif
