/* SPDX-License-Identifier: MIT */
#include "heap/held.h"

#include "base/bits.h"
#include "conf/options.h"
#include "heap/heap.h"
#include "mem/meta.h"

enum { HELD_MAX = 4096, HELD_LARGE_MAX = 128 };

struct held_item {
    void *block;
    size_t bytes;
};

/* Items in no order. */
struct held_list {
    struct held_item *items;
    size_t max;
    size_t n;
    size_t bytes;
    size_t victim; /* that leaves next; below n unless that is 0 */
};

struct held {
    struct held_list blocks;
    struct held_list large;
    struct held_item items[HELD_MAX];
    struct held_item large_items[HELD_LARGE_MAX];
};

static struct held *held_of(struct heap *heap)
{
    struct held *held = heap->held;
    if (LIKELY(held != NULL))
        return held;
    held = meta_take(sizeof *held);
    if (held == NULL)
        return NULL;
    held->blocks = (struct held_list){.items = held->items, .max = HELD_MAX};
    held->large = (struct held_list){.items = held->large_items, .max = HELD_LARGE_MAX};
    heap->held = held;
    return held;
}

uint64_t held_random(struct heap *heap)
{
    heap->random += UINT64_C(0x9e3779b97f4a7c15);
    return mix_bits(heap->random ^ block_secret ^ mix_bits(heap->number));
}

static void leave(struct heap *heap, struct held_list *list, struct held_out *out)
{
    struct held_item *item = &list->items[list->victim];
    out->blocks[out->n++] = item->block;
    list->bytes -= item->bytes;
    *item = list->items[--list->n];
    /* The next is chosen now, so that it is at hand when it leaves. */
    list->victim = list->n > 0 ? held_random(heap) % list->n : 0;
    __builtin_prefetch(list->items[list->victim].block);
}

static void put(struct heap *heap, struct held_list *list, struct held_item item, size_t max_bytes,
                struct held_out *out)
{
    if (list->n == list->max)
        leave(heap, list, out);
    list->items[list->n++] = item;
    list->bytes += item.bytes;
    while (list->bytes > max_bytes && out->n < HELD_OUT_MAX)
        leave(heap, list, out);
}

/* Without memory to hold it in, it leaves at once. */
static void pass(void *block, struct held_out *out)
{
    out->blocks[out->n++] = block;
}

void held_put(struct heap *heap, void *block, size_t bytes, struct held_out *out)
{
    struct held *held = held_of(heap);
    out->n = 0;
    if (held == NULL)
        pass(block, out);
    else
        put(heap, &held->blocks, (struct held_item){block, bytes}, options.quarantine_bytes, out);
}

void held_put_large(struct heap *heap, void *block, size_t bytes, struct held_out *out)
{
    struct held *held = held_of(heap);
    out->n = 0;
    if (held == NULL)
        pass(block, out);
    else
        put(heap, &held->large, (struct held_item){block, bytes}, options.quarantine_large_bytes,
            out);
}

void held_take(struct heap *heap, struct held_out *out)
{
    struct held *held = heap->held;
    out->n = 0;
    if (held == NULL)
        return;
    while (held->blocks.n > 0 && out->n < HELD_OUT_MAX)
        leave(heap, &held->blocks, out);
    while (held->large.n > 0 && out->n < HELD_OUT_MAX)
        leave(heap, &held->large, out);
}
