/* SPDX-License-Identifier: MIT */
#include "model.h"
#include "arena_now.h"

#include "mem/arena.h"
#include "obs/stats.h"

#include <errno.h>

struct heap *my_heap(void)
{
    check(front_own != &front_empty);
    return heap_of(front_own);
}

void attach(void)
{
    heap_free(heap_alloc(1));
}

void check_parked(uint32_t number)
{
    struct heap *heap = heap_by_number(number);
    check(heap != NULL);
    check_equal(atomic_get_relaxed(&heap->state), HEAP_PARKED);
    lock_take(&heap->lock);
    heap_check(heap);
    lock_release(&heap->lock);
}

size_t inbox_count(uint32_t number, unsigned class)
{
    return atomic_get_relaxed(&heap_by_number(number)->inboxes[class].word) & INBOX_COUNT_MAX;
}

uint32_t owner_of(const void *p)
{
    struct place place = map_place((uintptr_t)p);
    check(place.is_slab);
    return place.owner;
}

size_t arena_bytes_in_use(void)
{
    struct arena_stats stats = arena_now();
    return stats.mapped_bytes - stats.free_bytes + stats.direct_bytes;
}

uint64_t live_blocks(unsigned class)
{
    struct stats stats;
    stats_read(&stats);
    return stats.classes[class].allocs - stats.classes[class].frees;
}

static void check_block(const struct model_block *block, size_t align)
{
    check((uintptr_t)block->p % align == 0 && (uintptr_t)block->p % BLOCK_ALIGN == 0);
    size_t usable = heap_usable_size(block->p);
    check(usable >= block->bytes);
    if (block->bytes <= CLASS_MAX_BYTES && align <= BLOCK_ALIGN)
        check_equal(usable, class_bytes(class_of(block->bytes)));
}

static bool make(struct model_block *block, struct random *random, size_t limit)
{
    size_t align = BLOCK_ALIGN;
    block->bytes = random_bytes(random, limit) - 1;
    switch (random_below(random, 4)) {
    case 0:
        block->p = heap_alloc_zeroed(block->bytes);
        check(block->p == NULL || is_zero(block->p, block->bytes));
        break;
    case 1:
        align = (size_t)1 << random_below(random, 17);
        block->p = heap_alloc_aligned(align, block->bytes);
        break;
    default:
        block->p = heap_alloc(block->bytes);
        break;
    }
    if (block->p == NULL)
        return false;
    check_block(block, align);
    block->seed = random_next(random);
    pattern_fill(block->p, block->bytes, block->seed);
    return true;
}

static bool resize(struct model_block *block, struct random *random, size_t limit)
{
    size_t bytes = random_bytes(random, limit);
    char *p = heap_realloc(block->p, bytes);
    if (p == NULL)
        return false;
    check(pattern_holds(p, min_size(bytes, block->bytes), block->seed));
    check(heap_usable_size(p) >= bytes);
    block->p = p;
    block->bytes = bytes;
    pattern_fill(p, bytes, block->seed);
    return true;
}

void model_free(struct model_block *block)
{
    if (block->p == NULL)
        return;
    check(pattern_holds(block->p, block->bytes, block->seed));
    errno = EXDEV;
    heap_free(block->p);
    check_equal((unsigned)errno, EXDEV);
    block->p = NULL;
}

bool model_step(struct model_block *block, struct random *random, size_t limit)
{
    if (block->p == NULL)
        return make(block, random, limit);
    check(pattern_holds(block->p, block->bytes, block->seed));
    if (random_below(random, 3) == 0)
        return resize(block, random, limit);
    model_free(block);
    return true;
}
