/* SPDX-License-Identifier: MIT */
#include "objects/slots.h"

#include "mem/large.h"

#include <string.h>

void slots_init(struct slots *slots, size_t object_bytes, size_t align, size_t first, size_t max,
                bool is_shared)
{
    memset(slots, 0, sizeof *slots);
    slots->stride = (uint32_t)round_up(max_size(object_bytes, SLOT_STRIDE_MIN), align);
    slots->reciprocal = UINT64_MAX / slots->stride + 1;
    slots->align = align;
    slots->first = first;
    slots->max = max;
    slots->is_shared = is_shared;
    slots->head = SLOT_END;
}

/* ---- parts ---- */

static char *part_base(struct part *part)
{
    return atomic_get_relaxed(&part->base);
}

static uint32_t part_bytes(struct part *part)
{
    return atomic_get_relaxed(&part->bytes);
}

static void add(_Atomic size_t *figure, size_t n)
{
    atomic_put_relaxed(figure, atomic_get_relaxed(figure) + n);
}

static struct part *part_unused(struct slots *slots)
{
    for (size_t i = 0; i < SLOTS_PARTS_MAX; i++) {
        if (part_base(&slots->parts[i]) == NULL)
            return &slots->parts[i];
    }
    return NULL;
}

/* As many slots as there are already, at least a page of them, and what more its pages hold. */
static size_t part_n_slots(const struct slots *slots)
{
    size_t n_now = atomic_get_relaxed(&slots->n_slots);
    size_t n = max_size(max_size(slots->first, n_now), 1);
    n = min_size(min_size(n, SLOTS_PART_MAX), SLOTS_PART_MAX_BYTES / slots->stride);
    n = round_up(n * slots->stride, PAGE_BYTES) / slots->stride;
    return min_size(min_size(n, SLOTS_PART_MAX), slots->max - n_now);
}

static size_t links_bytes(const struct slots *slots, size_t n)
{
    return n * sizeof *slots->links * (slots->is_shared ? 2 : 1);
}

static bool part_alloc(const struct slots *slots, struct part *part, size_t n)
{
    size_t bytes = n * slots->stride;
    atomic_put_release(&part->bytes, (uint32_t)bytes); /* after base is NULL: see slot_find_in */
    part->n_slots = (uint32_t)n;
    part->n_carved = 0;
    part->head = SLOT_END;
    part->links = large_alloc_zeroed(links_bytes(slots, n)); /* none is taken */
    char *base = large_alloc(bytes, slots->align);
    bool is_whole = part->links != NULL && base != NULL;
    if (!is_whole) {
        atomic_put_relaxed(&part->base, base);
        slots_free_part(part);
        base = NULL;
    }
    atomic_put_release(&part->base, base);
    return is_whole;
}

void slots_free_part(struct part *part)
{
    if (part_base(part) != NULL)
        (void)large_free(part_base(part));
    if (part->links != NULL)
        (void)large_free((void *)part->links);
}

static size_t part_memory_bytes(const struct slots *slots, struct part *part)
{
    return part_bytes(part) + links_bytes(slots, part->n_slots);
}

static struct part *part_new(struct slots *slots)
{
    struct part *part = part_unused(slots);
    size_t n = part_n_slots(slots);
    if (part == NULL || n == 0 || !part_alloc(slots, part, n))
        return NULL;
    add(&slots->n_slots, n);
    add(&slots->memory_bytes, part_memory_bytes(slots, part));
    return part;
}

/* The fast paths work on this part from now on. */
static void part_make_current(struct slots *slots, struct part *part)
{
    if (slots->base != NULL)
        slots->parts[slots->current].head = slots->head;
    slots->current = (uint32_t)(part - slots->parts);
    slots->base = part_base(part);
    slots->links = part->links;
    slots->bytes = part_bytes(part);
    slots->head = part->head;
    slots->missed = NULL;
}

/* ---- taking ---- */

/* The current one too: its list is empty, whatever its `head` says. */
static struct part *part_with_free(struct slots *slots)
{
    slots->parts[slots->current].head = slots->head;
    for (size_t i = 0; i < SLOTS_PARTS_MAX; i++) {
        struct part *part = &slots->parts[i];
        if (part_base(part) != NULL && part->head != SLOT_END)
            return part;
    }
    return NULL;
}

static struct part *part_with_fresh(struct slots *slots)
{
    for (size_t i = 0; i < SLOTS_PARTS_MAX; i++) {
        struct part *part = &slots->parts[i];
        if (part_base(part) != NULL && part->n_carved < part->n_slots)
            return part;
    }
    return part_new(slots);
}

static void *carve(struct slots *slots, struct part *part)
{
    uint32_t index = part->n_carved++;
    atomic_put_relaxed(&part->links[index], SLOT_LIVE);
    counter_increment(&slots->n_out);
    add(&slots->n_carved, 1);
    size_t n_carved = atomic_get_relaxed(&slots->n_carved);
    if (n_carved > atomic_get_relaxed(&slots->peak))
        atomic_put_relaxed(&slots->peak, n_carved);
    return part_base(part) + (size_t)index * slots->stride;
}

void *slots_take_used(struct slots *slots)
{
    void *p = slots_take_fast(slots);
    if (p != NULL || atomic_get_relaxed(&slots->n_out) == atomic_get_relaxed(&slots->n_carved))
        return p;
    part_make_current(slots, part_with_free(slots));
    return slots_take_fast(slots);
}

void *slots_take(struct slots *slots, bool *is_fresh)
{
    void *p = slots_take_used(slots);
    struct part *part = p == NULL ? part_with_fresh(slots) : NULL;
    *is_fresh = part != NULL;
    if (part == NULL)
        return p;
    part_make_current(slots, part);
    return carve(slots, part);
}

size_t slots_n_in_row(struct slots *slots)
{
    enum { LINKS_A_LINE = CACHE_LINE_BYTES / sizeof(uint32_t), SHARE = 8 };
    const struct part *part = &slots->parts[slots->current];
    size_t n_to_come = slots->max - atomic_get_relaxed(&slots->n_carved);
    size_t n_in_line = round_up(part->n_carved, LINKS_A_LINE) - part->n_carved;
    size_t n_left = min_size(part->n_slots - part->n_carved, n_to_come / SHARE);
    return min_size(min_size(n_in_line, n_left), PAGE_BYTES / slots->stride);
}

void *slots_take_next(struct slots *slots)
{
    return carve(slots, &slots->parts[slots->current]);
}

/* ---- giving back ---- */

bool slot_find(struct slots *slots, const void *p, struct slot *slot)
{
    for (size_t i = 0; i < SLOTS_PARTS_MAX; i++) {
        if (slot_find_in(slots, &slots->parts[i], p, slot))
            return true;
    }
    return false;
}

void slots_give(struct slots *slots, void *p)
{
    struct slot slot;
    if (!slots_give_fast(slots, p) && slot_find(slots, p, &slot))
        slots_give_at(slots, &slot, p);
}

void slots_give_at(struct slots *slots, const struct slot *slot, void *p)
{
    struct part *part = slot->part;
    if (part == slots->missed || slots->head == SLOT_END) {
        part_make_current(slots, part);
        (void)slots_give_fast(slots, p);
        return;
    }
    slots->missed = part;
    atomic_put_relaxed(&part->links[slot->index], part->head);
    part->head = (uint32_t)((char *)p - part_base(part));
    counter_decrement(&slots->n_out);
}

/* ---- parts that are not needed ---- */

static size_t part_n_out(const struct part *part)
{
    size_t n = 0;
    for (uint32_t i = 0; i < part->n_carved; i++)
        n += atomic_get_relaxed(&part->links[i]) > SLOT_END;
    return n;
}

static void part_forget(struct slots *slots, struct part *part, size_t n_out)
{
    add(&slots->n_slots, (size_t)0 - part->n_slots);
    add(&slots->n_carved, (size_t)0 - part->n_carved);
    counter_add(&slots->n_out, (uint64_t)0 - n_out);
    add(&slots->memory_bytes, (size_t)0 - part_memory_bytes(slots, part));
    if (part == &slots->parts[slots->current]) {
        slots->base = NULL;
        slots->bytes = 0;
        slots->head = SLOT_END;
    }
    part->head = SLOT_END;
    atomic_put_release(&part->base, NULL);
}

bool slots_remove_part(struct slots *slots, bool any, struct part *removed)
{
    for (size_t i = 0; i < SLOTS_PARTS_MAX; i++) {
        struct part *part = &slots->parts[i];
        if (part_base(part) == NULL)
            continue;
        size_t n_out = part_n_out(part);
        if (!any && n_out > 0)
            continue;
        removed->links = part->links;
        atomic_put_relaxed(&removed->bytes, part_bytes(part));
        removed->n_slots = part->n_slots;
        removed->n_carved = part->n_carved;
        removed->head = part->head;
        atomic_put_relaxed(&removed->base, part_base(part));
        part_forget(slots, part, n_out);
        return true;
    }
    return false;
}
