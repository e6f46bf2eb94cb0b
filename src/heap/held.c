/* SPDX-License-Identifier: MIT */
#include "heap/held.h"

#include "base/bits.h"
#include "conf/classes.h"
#include "conf/options.h"
#include "heap/heap.h"
#include "mem/meta.h"

#include <string.h>

enum {
    CHUNK_ITEMS = 1024,
    LARGE_MAX = 1024, /* each has a mapping of its own */
};

struct held_item {
    void *block;
    size_t bytes;
};

/* Items in no order. */
struct held_list {
    struct held_item **chunks; /* NULL each, until it is needed */
    size_t max;
    size_t n;
    size_t bytes;
    size_t victim; /* that leaves next; below n */
    bool is_chosen;
};

struct held {
    struct held_list blocks;
    struct held_list large;
    struct held_item *chunks[]; /* of the one, and of the other */
};

static struct held *held_make(void)
{
    size_t max = options.quarantine_bytes / class_bytes(0) + 1;
    size_t n_chunks = div_round_up(max, CHUNK_ITEMS);
    size_t n_large_chunks = div_round_up(LARGE_MAX, CHUNK_ITEMS);
    size_t bytes = sizeof(struct held) + (n_chunks + n_large_chunks) * sizeof(void *);
    struct held *held = meta_take(bytes);
    if (held == NULL)
        return NULL;
    memset(held, 0, bytes);
    held->blocks = (struct held_list){.chunks = held->chunks, .max = max};
    held->large = (struct held_list){.chunks = held->chunks + n_chunks, .max = LARGE_MAX};
    return held;
}

static struct held *held_of(struct heap *heap)
{
    if (UNLIKELY(heap->held == NULL))
        heap->held = held_make();
    return heap->held;
}

static struct held_item *item_at(struct held_list *list, size_t i)
{
    return &list->chunks[i / CHUNK_ITEMS][i % CHUNK_ITEMS];
}

/* For one item more. */
static bool has_room(struct held_list *list)
{
    if (list->n == list->max)
        return false;
    struct held_item **chunk = &list->chunks[list->n / CHUNK_ITEMS];
    if (UNLIKELY(*chunk == NULL))
        *chunk = meta_take(CHUNK_ITEMS * sizeof **chunk);
    return *chunk != NULL;
}

uint64_t held_random(struct heap *heap)
{
    heap->random += UINT64_C(0x9e3779b97f4a7c15);
    return mix_bits(heap->random ^ block_secret ^ mix_bits(heap->number));
}

static void choose(struct heap *heap, struct held_list *list)
{
    list->is_chosen = list->n > 0;
    if (!list->is_chosen)
        return;
    list->victim = held_random(heap) % list->n;
    __builtin_prefetch(item_at(list, list->victim)->block);
}

static void leave(struct heap *heap, struct held_list *list, struct held_out *out)
{
    if (UNLIKELY(!list->is_chosen))
        choose(heap, list);
    struct held_item *item = item_at(list, list->victim);
    out->blocks[out->n++] = item->block;
    list->bytes -= item->bytes;
    *item = *item_at(list, --list->n);
    choose(heap, list); /* now, so that it is at hand when it leaves */
}

/* Without memory to hold it in, it leaves at once. */
static void pass(void *block, struct held_out *out)
{
    out->blocks[out->n++] = block;
}

static void put(struct heap *heap, struct held_list *list, struct held_item item, size_t max_bytes,
                struct held_out *out)
{
    if (!has_room(list)) {
        if (list->n == 0) {
            pass(item.block, out);
            return;
        }
        leave(heap, list, out);
    }
    *item_at(list, list->n++) = item;
    list->bytes += item.bytes;
    while (list->bytes > max_bytes && out->n < HELD_OUT_MAX)
        leave(heap, list, out);
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

void held_see(const struct heap *heap, held_call *see)
{
    struct held *held = heap->held;
    for (size_t i = 0; held != NULL && i < held->blocks.n; i++)
        see(item_at(&held->blocks, i)->block);
}
