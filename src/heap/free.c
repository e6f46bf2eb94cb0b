/* SPDX-License-Identifier: MIT */
/*
 * What the fast path of free falls back to. Any thread.
 */
#include "heap/alloc.h"

#include "heap/checked.h"
#include "heap/emergency.h"
#include "heap/guard.h"
#include "heap/sample.h"
#include "mem/large.h"
#include "os/process.h"

const char free_of_no_block[] = "free of a pointer that is no block";
const char free_of_wrong_size[] = "free with a wrong size";

/* p is in its bin already, at the head of it until it has been looked at; it is passed because that
 * is what the fast path has at hand. */
NOINLINE void free_look_at_bin(void *p, size_t scaled)
{
    (void)p;
    (void)heap_enter();                      /* whose bin it is was not inside */
    if (LIKELY(front_own != &front_empty)) { /* or a bare fork has cost us the heap */
        heap_look_at_bin(heap_of(front_own), (unsigned)(scaled / CLASS_SCALE));
        heap_shrink_due(heap_of(front_own));
    }
    heap_finish();
}

void heap_free_into_bin(struct heap *heap, struct block *block, unsigned class)
{
    struct bin *bin = &heap->front.bins[class];
    block_link(block, bin->head, heap->front.secret);
    bin->head = block;
    if (counter_decrement_below_zero(&bin->left))
        heap_look_at_bin(heap, class);
}

void heap_give_to(struct heap *heap, struct block *block, struct place place)
{
    if (heap->number == place.owner)
        heap_free_into_bin(heap, block, place.class);
    else
        heap_free_remote_now(heap, block, place.class, place.owner);
}

NOINLINE static void free_as_guest(struct block *block, struct place place)
{
    struct heap *host = heap_visit();
    if (host == NULL) { /* no memory even for one heap */
        heap_free_uncounted(block, place.class, place.owner);
        return;
    }
    heap_give_to(host, block, place);
    heap_visit_end(host);
}

bool free_is_foreign(const void *p, const char *fault)
{
    if (options.foreign != FOREIGN_ABORT && os_foreign_is_libc_block(p))
        return true;
    fault_report_plain(fault, p, 0);
    return false;
}

COLD static void free_foreign(void *p)
{
    if (options.foreign == FOREIGN_IGNORE)
        return;
    if (free_is_foreign(p, free_of_no_block))
        os_foreign_free(p);
}

void heap_give(struct block *block, struct place place)
{
    struct heap *heap = heap_attach();
    if (UNLIKELY(heap == NULL)) {
        free_as_guest(block, place);
        return;
    }
    if (UNLIKELY(place.owner != heap->number)) {
        heap_free_remote(heap, block, place.class, place.owner);
        return;
    }
    /* Mine after all, in another 4 GiB window: let the fast path look there from now on. */
    heap->front.words = map_leaf((uintptr_t)block)->slab_words;
    heap_free_into_bin(heap, block, place.class);
}

/* Every block that a handler could not free itself is freed in the next call that can. */
COLD void heap_free_put_off(void)
{
    static const struct freeing freeing = {FAMILY_UNKNOWN, SIZE_MAX, 1};
    struct block *block = emergency_put_off_take();
    while (block != NULL) {
        struct block *next = emergency_put_off_next(block);
        if (UNLIKELY(options.check))
            checked_put_off(block);
        free_slow_as(block, &freeing);
        block = next;
    }
}

static bool free_large(void *p)
{
    if (UNLIKELY(sample_is_on))
        sample_forget(p);
    (void)heap_sweep_due(); /* a program may live on large blocks alone */
    return large_free(p);
}

/* No block of the heap. */
static void free_elsewhere(void *p)
{
    if (guard_owns(p))
        guard_free(p);
    else if (!emergency_free_own(p))
        free_foreign(p);
}

/* As far as the class can tell: a block may have been shrunk to half of it, or be aligned. */
static void check_size(const void *p, struct place place, const struct freeing *freeing)
{
    size_t bytes = class_bytes(place.class);
    bool is_too_small = freeing->align == 1 && bytes > BLOCK_ALIGN && freeing->bytes < bytes / 2;
    if (freeing->bytes != SIZE_MAX && (freeing->bytes > bytes || is_too_small))
        fault_report_plain(free_of_wrong_size, p, bytes);
}

static bool free_unchecked(void *p, struct place place, const struct freeing *freeing)
{
    if (UNLIKELY(!place.is_slab))
        return free_large(p);
    if (UNLIKELY(!place_is_block(place))) {
        fault_report_plain(free_of_no_block, p, class_bytes(place.class));
        return true;
    }
    if (UNLIKELY(freeing->bytes != SIZE_MAX))
        check_size(p, place, freeing);
    heap_give(p, place);
    return true;
}

void free_slow_as(void *p, const struct freeing *freeing)
{
    if (p == NULL)
        return;
    uint32_t site = UNLIKELY(options.track) ? checked_call_site() : 0;
    if (UNLIKELY(!heap_enter())) {
        if (!guard_owns(p)) /* its room stays in use */
            emergency_free(p);
        return;
    }
    struct place place = map_place((uintptr_t)p);
    bool done = LIKELY(options.check == CHECK_OFF) ? free_unchecked(p, place, freeing)
                                                   : checked_free(p, place, freeing, site);
    heap_finish();
    if (UNLIKELY(!done))
        free_elsewhere(p);
    if (UNLIKELY(emergency_has_put_off()))
        heap_free_put_off();
}

/* What most slow frees are, of threads that pass blocks on: of another heap's block, by a thread
 * that has a heap and is not inside, while nothing is checked. False: it is something else. */
ALWAYS_INLINE bool free_remote(void *p)
{
    struct front *front = atomic_get_relaxed(&front_mine);
    struct place place = map_place((uintptr_t)p);
    if (front == &front_empty || front == &front_inside || !place.is_slab ||
        place.owner == heap_of(front)->number || !place_is_block(place) || emergency_has_put_off())
        return false;
    heap_go_inside();
    if (UNLIKELY(front_own != front)) { /* a bare fork has cost us the heap */
        heap_finish();
        return false;
    }
    heap_note_active(heap_of(front));
    heap_shrink_due(heap_of(front));
    heap_free_remote(heap_of(front), p, place.class, place.owner);
    heap_finish();
    return true;
}

NOINLINE void free_slow(void *p)
{
    static READ_BY_ALL const struct freeing freeing = {FAMILY_MALLOC, SIZE_MAX, 1};
    if (p != NULL && !free_remote(p))
        free_slow_as(p, &freeing);
}
