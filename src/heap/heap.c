/* SPDX-License-Identifier: MIT */
#include "heap/heap.h"

#include "base/check.h"
#include "mem/arena.h"
#include "mem/meta.h"
#include "mem/slab.h"

/* clang-format off */
#define EMPTY_BIN   {.head = BLOCK_END}
#define EMPTY_BINS4 EMPTY_BIN, EMPTY_BIN, EMPTY_BIN, EMPTY_BIN
#define EMPTY_BINS24 EMPTY_BINS4, EMPTY_BINS4, EMPTY_BINS4, EMPTY_BINS4, EMPTY_BINS4, EMPTY_BINS4
/* clang-format on */

#define EMPTY_FRONT                                                                                \
    {                                                                                              \
        .words = map_first_leaf.slab_words, .tag = MAP_TAG_BIT,                                    \
        .bins = {EMPTY_BINS24, EMPTY_BINS24, EMPTY_BINS24, EMPTY_BINS24},                          \
    }
_Static_assert(N_CLASSES == 96, "EMPTY_FRONT lists its bins");

const struct front front_empty = EMPTY_FRONT;
const struct front front_inside = EMPTY_FRONT;

THREAD_LOCAL _Atomic(struct front *) front_mine = (struct front *)&front_empty;
THREAD_LOCAL struct front *front_own = (struct front *)&front_empty;

bool heap_is_checked;

_Atomic(struct heap *) heap_table[HEAPS_MAX];

_Atomic(heap_observer_call *) heap_observer;
_Atomic(const struct heap_pressure_hooks *) heap_pressure;

/* Not in a signal handler, nor between the handlers of fork: later then. */
COLD void heap_look(void)
{
    const struct heap_pressure_hooks *pressure = atomic_get_acquire(&heap_pressure);
    if (pressure != NULL && !handler_runs() && !lock_is_fork_thread())
        pressure->look();
}

struct heap *heap_new(uint32_t number, enum heap_state state)
{
    struct heap *heap = meta_take(sizeof *heap);
    if (UNLIKELY(heap == NULL)) { /* the address space may be what is lacking, and is free */
        arena_unmap_free();
        heap = meta_take(sizeof *heap);
    }
    if (heap == NULL)
        return NULL;
    heap->front.words = map_first_leaf.slab_words;
    heap->front.tag = map_tag(number);
    heap->front.secret = block_secret;
    heap->number = number;
    atomic_put_relaxed(&heap->state, state);
    heap->lock = (struct lock)LOCK_INIT(LOCK_HEAP);
    heap->guest_lock = (struct lock)LOCK_INIT(LOCK_GUEST);
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        heap->front.bins[class].head = BLOCK_END;
        heap->front.bins[class].reciprocal = class_reciprocal_table[class];
    }
    atomic_put_release(&heap_table[number], heap);
    return heap;
}

static size_t chain_length(const struct block *head, unsigned class)
{
    size_t n = 0;
    for (; head != BLOCK_END; n++) {
        struct place place = map_place((uintptr_t)head);
        HOLDS(place.is_slab && place.class == class);
        HOLDS(class_is_block_start(class_reciprocal_table[class], place.offset));
        head = block_next_checked(head, class_bytes(class));
    }
    return n;
}

static void check_slab(const struct heap *heap, unsigned class, const struct span *slab)
{
    struct place place = map_place(slab->base);
    HOLDS(place.is_slab && place.owner == heap->number && place.class == class);
    HOLDS(slab->class == class && map_slab_span(class, slab->base) == slab);
    slab_check(slab);
}

static uint32_t check_list(const struct heap *heap, unsigned class, const struct span *first,
                           enum slab_list list)
{
    uint32_t n = 0;
    const struct span *prev = NULL;
    for (const struct span *slab = first; slab != NULL; slab = slab->slab.next, n++) {
        HOLDS(slab->slab.list == list && slab->slab.prev == prev);
        HOLDS(slab_has_blocks(slab) == (list == SLAB_PARTIAL));
        check_slab(heap, class, slab);
        prev = slab;
    }
    return n;
}

void heap_check(struct heap *heap)
{
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        const struct shelf *shelf = &heap->shelves[class];
        HOLDS(chain_length(heap->front.bins[class].head, class) == bin_count(heap, class));
        const struct block *magazine = shelf->n_magazine > 0 ? shelf->magazine : BLOCK_END;
        HOLDS(chain_length(magazine, class) == shelf->n_magazine);
        uint32_t n_slabs = check_list(heap, class, shelf->partial, SLAB_PARTIAL) +
                           check_list(heap, class, shelf->full, SLAB_FULL);
        if (shelf->slab != NULL) {
            HOLDS(shelf->slab->slab.list == SLAB_ALONE);
            check_slab(heap, class, shelf->slab);
            n_slabs++;
        }
        HOLDS(atomic_get_relaxed(&shelf->n_slabs) == n_slabs);
    }
}
