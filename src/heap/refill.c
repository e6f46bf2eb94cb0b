/* SPDX-License-Identifier: MIT */
/*
 * Blocks for an empty bin: what is nearest first, and from slabs the lowest addresses first, so
 * that the rest of the slabs can become empty.
 *
 * Runs on the owner's thread, takes the heap's lock; tries, never waits for, the lock of a heap
 * that is not in use.
 */
#include "base/check.h"
#include "conf/options.h"
#include "heap/checked.h"
#include "heap/held.h"
#include "heap/sample.h"
#include "mem/arena.h"
#include "mem/slab.h"

enum {
    CARVE_MAX_BYTES = PAGE_BYTES, /* fresh memory is touched a page at a time, not sooner, */
    CARVE_LARGE_MAX = 8,          /* or so many blocks, */
    CARVE_CAP_SHARE = 4,          /* if they are no more than this part of the cap */
    POPULATE_MIN_SLABS = 16,      /* of the class, and one more will be used up as well */
    REFILLS_PER_SWEEP = 64,       /* of a thread that takes no new memory */
    PARTIAL_LOOKS = 4,            /* slabs compared to find a full one */
    UNUSED_LOOKS = 4,             /* unused heaps asked for a slab before one is made */
    UNUSED_LOOKS_SHORT = 64,      /* while memory is short */
};

static void bin_install(struct heap *heap, unsigned class, struct block *head, size_t n)
{
    heap->front.bins[class].head = head;
    heap->shelves[class].balance += (int64_t)n;
}

uint32_t heap_cap_first(unsigned class)
{
    return class_is_small(class) ? (uint32_t)max_size(CARVE_MAX_BYTES / class_bytes(class), 2) : 1;
}

void heap_open_shelf(struct heap *heap, unsigned class)
{
    struct shelf *shelf = &heap->shelves[class];
    shelf->cap = heap_cap_first(class);
    if (class_is_small(class))
        heap->caps_bytes += shelf->cap * class_bytes(class);
    heap_set_left(heap, class, class_is_small(class) ? shelf->cap : 0);
}

/* A list's slab to draw from: a full one, so that the emptier ones get the chance to become empty.
 */
static struct span *partial_choose(const struct shelf *shelf)
{
    struct span *best = shelf->partial;
    struct span *slab = best;
    for (int i = 1; i < PARTIAL_LOOKS && slab != NULL; i++) {
        slab = slab->slab.next;
        if (slab != NULL && slab->slab.n_out > best->slab.n_out)
            best = slab;
    }
    return best;
}

/* A slab of this class out of a heap that is not in use, made ours (map.h: M3). */
static struct span *slab_from(struct heap *unused, struct heap *heap, unsigned class)
{
    heap_take_in_mail_locked(unused, class);
    struct span *slab = unused->shelves[class].partial;
    if (slab != NULL) {
        heap_list_remove(unused, slab);
        slab->slab.was_in_use |= atomic_get_relaxed(&unused->state) == HEAP_LIVE;
        shelf_drop_slab(&unused->shelves[class]);
        shelf_add_slab(&heap->shelves[class]);
        map_set_slab(slab->base, class, heap->front.tag);
    }
    return slab;
}

static struct span *slab_from_unused(struct heap *heap, unsigned class)
{
    struct span *slab = NULL;
    if (heap_is_group(heap))
        return NULL;
    int n_looks = UNLIKELY(heap_caches_are_short()) ? UNUSED_LOOKS_SHORT : UNUSED_LOOKS;
    for (int i = 0; i < n_looks && slab == NULL; i++) {
        struct heap *unused = heap_unused_take(heap);
        if (unused == NULL)
            return NULL;
        slab = slab_from(unused, heap, class);
        lock_release(&unused->lock);
    }
    return slab;
}

static struct span *slab_made(struct heap *heap, unsigned class)
{
    struct span *slab = slab_new(class);
    if (slab == NULL)
        return NULL;
    if (class_is_small(class) &&
        atomic_get_relaxed(&heap->shelves[class].n_slabs) >= POPULATE_MIN_SLABS)
        slab_populate(slab);
    shelf_add_slab(&heap->shelves[class]);
    map_set_slab(slab->base, class, heap->front.tag);
    return slab;
}

/* Makes the current slab one that has blocks. [lock] */
static struct span *slab_with_blocks(struct heap *heap, unsigned class)
{
    struct shelf *shelf = &heap->shelves[class];
    if (shelf->slab != NULL && slab_has_blocks(shelf->slab))
        return shelf->slab;
    struct span *slab = partial_choose(shelf);
    if (slab != NULL)
        heap_list_remove(heap, slab);
    if (slab == NULL)
        slab = slab_from_unused(heap, class);
    if (slab == NULL)
        slab = slab_made(heap, class);
    if (slab == NULL)
        return NULL;
    if (shelf->slab != NULL)
        heap_list_add(heap, shelf->slab);
    shelf->slab = slab;
    return slab;
}

/* One round of dealing a chain out to piles at random, and putting these one on the other. */
static struct chain chain_deal(struct heap *heap, const struct chain *chain)
{
    enum { PILE_BITS = 4, N_PILES = 1 << PILE_BITS };
    struct chain piles[N_PILES] = {{NULL, NULL, 0}};
    struct chain all = {BLOCK_END, NULL, 0};
    struct block *block = chain->head;
    uint64_t random = 0;
    for (size_t i = 0; i < chain->n; i++, random >>= PILE_BITS) {
        struct block *next = i + 1 < chain->n ? block->next : BLOCK_END;
        if (i % (64 / PILE_BITS) == 0)
            random = held_random(heap);
        chain_append(&piles[random % N_PILES], block);
        block = next;
    }
    for (size_t i = 0; i < N_PILES; i++) {
        if (piles[i].n == 0)
            continue;
        chain_append(&all, piles[i].head);
        all.tail = piles[i].tail;
        all.n += piles[i].n - 1;
    }
    return all;
}

/* In two rounds the blocks of a page come into any order. */
static void chain_shuffle(struct heap *heap, struct chain *chain)
{
    *chain = chain_deal(heap, chain);
    *chain = chain_deal(heap, chain);
    chain_close(chain);
}

/* Never used blocks to take at a time. Of a class with a cap that has grown more than one, if they
 * are large: it will come to them. */
static size_t carve_count(const struct shelf *shelf, unsigned class)
{
    size_t n = min_size(shelf->cap / CARVE_CAP_SHARE, CARVE_LARGE_MAX);
    return max_size(max_size(CARVE_MAX_BYTES / class_bytes(class), 1), n);
}

/* Of a medium class: a block that had gone home would have been of use. */
static void note_wanted(struct heap *heap, unsigned class)
{
    heap->medium_missed |= heap->shelves[class].gave_up;
    heap->shelves[class].gave_up = false;
}

static bool refill_from_slab(struct heap *heap, unsigned class)
{
    struct span *slab = slab_with_blocks(heap, class);
    if (slab == NULL)
        return false;
    struct shelf *shelf = &heap->shelves[class];
    struct chain chain = slab_take_free(slab, shelf->cap);
    note_wanted(heap, class);
    if (chain.n == 0) {
        chain = slab_carve(slab, carve_count(shelf, class));
        if (UNLIKELY(options.check))
            checked_carved(&chain, class_bytes(class));
    }
    if (UNLIKELY(options.check == CHECK_ALL))
        chain_shuffle(heap, &chain);
    bin_install(heap, class, chain.head, chain.n);
    shelf->refilled_from_slab = true;
    shelf->is_draining = false;
    return true;
}

static void refill_from_magazine(struct heap *heap, unsigned class)
{
    struct shelf *shelf = &heap->shelves[class];
    if (!class_is_small(class)) {
        bin_install(heap, class, heap_medium_take_locked(heap, class), 1);
        return;
    }
    bin_install(heap, class, shelf->magazine, shelf->n_magazine);
    shelf->n_magazine = 0;
}

static bool refill_locked(struct heap *heap, unsigned class)
{
    if (heap->shelves[class].n_magazine > 0) {
        refill_from_magazine(heap, class);
        return true;
    }
    /* Those of the magazine had their chance when they were freed into the bin; but for mail that a
     * sweep has left there, which is not sampled this time. */
    struct chain chain = inbox_take(&heap->inboxes[class], class_bytes(class));
    if (chain.n > 0)
        bin_install(heap, class, chain.head, chain.n);
    else if (!refill_from_slab(heap, class))
        return false;
    if (UNLIKELY(sample_is_on) && !heap_is_group(heap))
        sample_entered(heap, class, bin_count(heap, class)); /* it was empty */
    return true;
}

static bool refill(struct heap *heap, unsigned class)
{
    lock_take(&heap->lock);
    bool done = refill_locked(heap, class);
    if (!class_is_small(class))
        heap_medium_keep_one_locked(heap, class);
    lock_release(&heap->lock);
    return done;
}

bool heap_refill(struct heap *heap, unsigned class)
{
    ASSERT(heap->front.bins[class].head == BLOCK_END);
    if (UNLIKELY(heap->shelves[class].cap == 0))
        heap_open_shelf(heap, class);
    if (LIKELY(refill(heap, class))) {
        /* Not sooner: with its lock held this heap would be left out. A thread that passes all its
         * blocks on does not look at its bins, nor take more memory than comes back. */
        if (UNLIKELY(span_was_taken || ++heap->n_looks % REFILLS_PER_SWEEP == 0))
            (void)heap_sweep_due();
        return true;
    }
    /* Out of memory: what other classes have set aside may make up a slab. */
    heap_flush(heap);
    (void)arena_purge_all();
    if (refill(heap, class))
        return true;
    if (arena_refuses(class_is_small(class) ? SPAN_SLAB : SPAN_LARGE, class_slab_bytes(class)))
        return false;
    /* Records may be lacking, while the address space that they need is free. */
    arena_unmap_free();
    return refill(heap, class);
}

/* A medium block's slab that was used before is cleared where it has been touched. */
static void *take_zeroed_medium(struct heap *heap, unsigned class)
{
    struct span *slab =
        inbox_is_empty(&heap->inboxes[class]) ? slab_with_blocks(heap, class) : NULL;
    if (slab == NULL || slab_has_free(slab))
        return NULL;
    note_wanted(heap, class);
    if (!slab->slab.is_zero)
        arena_clear(slab);
    slab->slab.is_zero = true;
    return slab_carve_zeroed(slab);
}

void *heap_take_zeroed(struct heap *heap, unsigned class)
{
    struct shelf *shelf = &heap->shelves[class];
    void *block = NULL;
    lock_take(&heap->lock);
    struct span *slab = shelf->slab;
    if (shelf->n_magazine == 0 && !class_is_small(class))
        block = take_zeroed_medium(heap, class);
    else if (slab != NULL && shelf->n_magazine == 0 && !slab_has_free(slab))
        block = slab_carve_zeroed(slab);
    lock_release(&heap->lock);
    if (block != NULL) {
        shelf->balance++;
        counter_increment(&heap->front.bins[class].allocs);
    }
    return block;
}
