/* SPDX-License-Identifier: MIT */
/*
 * Groups: blocks that a program takes together, frees one by one if it likes, by plain free, and
 * ends all at once. poolalloc.h calls a group a heap.
 *
 * A group has a heap of its own that is no thread's. Whoever allocates from it works in it for the
 * time of a call, under its guest lock, as guests do in parked heaps. Every free is a remote one,
 * and is pushed at once: once it has returned, its block is in the inbox, so that whoever ends a
 * group after its last free finds all blocks in its slabs, bins and inboxes. Since slabs neither
 * come to the heap nor leave it, what is out of them then is live, and nobody else's.
 *
 * Large blocks are in a list of the arena's (mem/group.h).
 *
 * Fork: the heap is locked like all others, and whole in the child. After a bare fork that cut
 * somebody short in it, it is an ORPHAN: nothing can be had from it, and its slabs are lost.
 *
 * Tests: tests/unit/test_heap_group.c, tests/race/race_group.c, tests/objects/heap_test.c.
 */
#include "conf/options.h"
#include "heap/heap.h"
#include "mem/arena.h"
#include "mem/large.h"
#include "mem/ledger.h"

#include <string.h>

struct heap *heap_group_new(size_t max_bytes)
{
    struct heap *heap = heap_for_group();
    if (heap != NULL)
        heap->group.max_bytes = max_bytes;
    return heap;
}

/* ---- alloc ---- */

/* What was freed comes back in one chain, as long as it may be. */
static void keep_bin_short(struct heap *heap, unsigned class)
{
    if (bin_count(heap, class) * class_bytes(class) > options.cache_class_bytes)
        heap_empty_bin(heap, class);
}

/* All that the checked mode knows of it is that it may be freed, once. */
COLD static void note_unchecked(const struct block *block)
{
    struct entry *entry = ledger_entry((uintptr_t)block, map_place((uintptr_t)block));
    if (entry != NULL)
        atomic_put_release(&entry->what, ENTRY_OLD);
}

/* With the guest lock. False: the group has ended. */
static bool is_used_now(struct heap *heap)
{
    if (UNLIKELY(!heap_is_group(heap)))
        return false;
    atomic_put_relaxed(&heap->active, atomic_get_relaxed(&idle_epoch));
    return true;
}

static void *take_block(struct heap *heap, unsigned class, size_t bytes)
{
    void *block = NULL;
    lock_take(&heap->guest_lock);
    if (LIKELY(is_used_now(heap))) {
        block = heap_alloc_from(heap, class, bytes);
        keep_bin_short(heap, class);
    }
    if (UNLIKELY(options.check) && block != NULL)
        note_unchecked(block);
    lock_release(&heap->guest_lock);
    return block;
}

static void *alloc_small(struct heap *heap, unsigned class, size_t bytes)
{
    if (!group_take(&heap->group, class_bytes(class), 1))
        return NULL;
    void *block = take_block(heap, class, bytes);
    if (block == NULL)
        group_give(&heap->group, class_bytes(class), 1);
    return block;
}

static void *take_fresh(struct heap *heap, unsigned class)
{
    void *block = NULL;
    if (options.check || !group_take(&heap->group, class_bytes(class), 1))
        return NULL;
    lock_take(&heap->guest_lock);
    if (LIKELY(is_used_now(heap)) && heap->front.bins[class].head == BLOCK_END)
        block = heap_take_zeroed(heap, class);
    lock_release(&heap->guest_lock);
    if (block == NULL)
        group_give(&heap->group, class_bytes(class), 1);
    return block;
}

/* make(bytes, align) makes the block. */
static void *alloc_large(struct heap *heap, size_t bytes, size_t align,
                         void *(*make)(size_t bytes, size_t align))
{
    size_t usable = large_usable(bytes);
    if (usable == 0 || !group_take(&heap->group, usable, 1))
        return NULL;
    void *p = make(bytes, align);
    if (p != NULL)
        large_join_group(p, &heap->group);
    else
        group_give(&heap->group, usable, 1);
    return p;
}

static void *make_zeroed(size_t bytes, size_t align)
{
    (void)align;
    return large_alloc_zeroed(bytes);
}

void *heap_group_alloc(struct heap *heap, size_t bytes)
{
    if (bytes > CLASS_MAX_BYTES)
        return alloc_large(heap, bytes, 1, large_alloc);
    return alloc_small(heap, class_of(bytes), bytes);
}

void *heap_group_alloc_to_grow(struct heap *heap, size_t bytes)
{
    return alloc_large(heap, bytes, 1, large_alloc);
}

void *heap_group_alloc_zeroed(struct heap *heap, size_t bytes)
{
    if (bytes > CLASS_MAX_BYTES)
        return alloc_large(heap, bytes, 1, make_zeroed);
    unsigned class = class_of(bytes);
    void *block = !class_is_small(class) ? take_fresh(heap, class) : NULL;
    if (block != NULL)
        return block;
    block = alloc_small(heap, class, bytes);
    return block != NULL ? memset(block, 0, bytes) : NULL;
}

void *heap_group_alloc_aligned(struct heap *heap, size_t align, size_t bytes)
{
    unsigned class = 0;
    size_t bytes_if_large = heap_choose_aligned(align, bytes, &class);
    if (bytes_if_large > 0)
        return alloc_large(heap, bytes_if_large, align, large_alloc);
    return alloc_small(heap, class, bytes);
}

bool heap_group_has_room(const struct heap *heap, size_t bytes)
{
    const struct group *group = &heap->group;
    size_t usable = heap_room_of(bytes);
    return heap_is_group(heap) && usable > 0 &&
           usable <= group->max_bytes - atomic_get_relaxed(&group->live_bytes);
}

void *heap_group_realloc_large(struct heap *heap, struct span *span, size_t bytes)
{
    size_t before = span_bytes(span);
    size_t after = large_usable(bytes);
    size_t more = after > before ? after - before : 0;
    if (after == 0 || !group_take(&heap->group, more, 0))
        return NULL;
    void *p = large_realloc(span, bytes);
    if (p == NULL)
        group_give(&heap->group, more, 0);
    else if (after < before)
        group_give(&heap->group, before - after, 0);
    return p;
}

/* ---- giving memory back ---- */

static size_t slab_memory(const struct heap *heap)
{
    size_t bytes = 0;
    for (unsigned class = 0; class < N_CLASSES; class ++)
        bytes += atomic_get_relaxed(&heap->shelves[class].n_slabs) * class_slab_bytes(class);
    return bytes;
}

size_t heap_group_memory(const struct heap *heap)
{
    return slab_memory(heap) + atomic_get_relaxed(&heap->group.large_bytes);
}

size_t heap_group_trim(struct heap *heap)
{
    size_t bytes = 0;
    lock_take(&heap->guest_lock);
    if (heap_is_group(heap)) {
        bytes = slab_memory(heap);
        heap_flush(heap);
        bytes -= slab_memory(heap);
    }
    lock_release(&heap->guest_lock);
    return bytes;
}

/* Counts the blocks as freed, without a change of what is in the bin. */
static void count_ended(struct heap *heap, unsigned class, size_t n)
{
    counter_add(&heap->front.bins[class].frees_base, n);
    heap->shelves[class].balance -= (int64_t)n;
}

static size_t give_up_slabs(struct heap *heap)
{
    size_t n_live = 0;
    heap_flush(heap);
    lock_take(&heap->lock);
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        size_t n = heap_give_up_slabs_locked(heap, class);
        count_ended(heap, class, n);
        n_live += n;
    }
    lock_release(&heap->lock);
    return n_live;
}

size_t heap_group_end(struct heap *heap)
{
    size_t n_live = group_free_large(&heap->group);
    lock_take(&heap->guest_lock);
    bool is_whole = heap_is_group(heap);
    if (is_whole) {
        n_live += give_up_slabs(heap);
        heap_close_shelves(heap);
        heap->group = (struct group){0};
    }
    lock_release(&heap->guest_lock);
    if (is_whole)
        heap_vacate(heap);
    return n_live;
}
