/* SPDX-License-Identifier: MIT */
/*
 * Blocks that belong to other heaps: collected by owner and class in the outboxes of the thread
 * that frees them, then left in the owner's inbox with one push a batch (mem/inbox.h). Blocks of a
 * group are a batch each: when it ends, none of them may be under way.
 *
 * Runs on the thread that frees; no lock is held.
 */
#include "heap/heap.h"

static uint32_t outbox_capacity(uint32_t owner, unsigned class)
{
    if (heap_is_group(heap_by_number(owner)))
        return 1;
    return (uint32_t)max_size(min_size(OUTBOX_MAX_BLOCKS, OUTBOX_MAX_BYTES / class_bytes(class)),
                              1);
}

void heap_push(uint32_t owner, unsigned class, const struct chain *chain)
{
    inbox_push(&heap_by_number(owner)->inboxes[class], chain);
}

static void push_and_tidy(uint32_t owner, unsigned class, const struct chain *chain)
{
    heap_push(owner, class, chain);
    /* Nobody empties the inbox of a parked heap until a thread adopts it: do it now. A heap that is
     * parked in this very moment is tidied by the next push, or when it is adopted. */
    struct heap *heap = heap_by_number(owner);
    if (UNLIKELY(atomic_get_relaxed(&heap->state) == HEAP_PARKED))
        heap_tidy_parked(heap, class);
    else if (UNLIKELY(heap_is_group(heap)))
        group_give(&heap->group, chain->n * class_bytes(class), chain->n);
}

NOINLINE static void outbox_flush(struct heap *heap, struct outbox *outbox)
{
    if (outbox->n == 0)
        return;
    /* Freed twice, and handed out or linked anew since: the push would write into it. */
    if (UNLIKELY(!block_is_sealed(outbox->tail, BLOCK_END, block_secret)))
        block_corrupted(outbox->tail, class_bytes(outbox->class));
    struct chain chain = {outbox->head, outbox->tail, outbox->n};
    push_and_tidy(outbox->owner, outbox->class, &chain);
    heap->outbox_bytes -= chain.n * class_bytes(outbox->class);
    outbox->n = 0;
}

static void count_free(struct heap *heap, unsigned class)
{
    counter_add(&heap->shelves[class].n_remote_frees, 1);
}

static void outbox_add(struct outbox *outbox, struct block *block, uintptr_t secret)
{
    bool is_first = outbox->n++ == 0;
    if (is_first)
        outbox->tail = block;
    block_link(block, is_first ? BLOCK_END : outbox->head, secret);
    outbox->head = block;
}

ALWAYS_INLINE void outbox_put(struct heap *heap, struct outbox *outbox, struct block *block)
{
    outbox_add(outbox, block, heap->front.secret);
    heap->outbox_bytes += class_bytes(outbox->class);
    if (outbox->n >= outbox->capacity)
        outbox_flush(heap, outbox);
    else if (UNLIKELY(heap->outbox_bytes > OUTBOXES_MAX_BYTES))
        heap_flush_outboxes(heap);
}

/* What was in it goes out, to make room for another address. */
NOINLINE static void outbox_put_anew(struct heap *heap, struct outbox *outbox, struct block *block,
                                     unsigned class, uint32_t owner)
{
    outbox_flush(heap, outbox);
    outbox->owner = owner;
    outbox->class = (uint8_t) class;
    outbox->capacity = (uint8_t)outbox_capacity(owner, class);
    outbox_put(heap, outbox, block);
}

void heap_free_remote(struct heap *heap, struct block *block, unsigned class, uint32_t owner)
{
    struct outbox *outbox = &heap->outboxes[(owner * OUTBOX_STRIDE + class) % N_OUTBOXES];
    count_free(heap, class);
    if (LIKELY(outbox->owner == owner && outbox->class == class))
        outbox_put(heap, outbox, block);
    else
        outbox_put_anew(heap, outbox, block, class, owner);
}

void heap_free_uncounted(struct block *block, unsigned class, uint32_t owner)
{
    struct chain chain = {block, block, 1};
    push_and_tidy(owner, class, &chain);
}

void heap_free_remote_now(struct heap *heap, struct block *block, unsigned class, uint32_t owner)
{
    heap_free_uncounted(block, class, owner);
    count_free(heap, class);
}

void heap_flush_outboxes(struct heap *heap)
{
    for (size_t i = 0; i < N_OUTBOXES; i++)
        outbox_flush(heap, &heap->outboxes[i]);
}
