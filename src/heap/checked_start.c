/* SPDX-License-Identifier: MIT */
/*
 * How the checked mode begins, and what it looks at when the program ends.
 */
#include "heap/alloc.h"
#include "heap/checked.h"
#include "heap/held.h"
#include "heap/live.h"
#include "heap/sites.h"
#include "mem/large.h"
#include "os/log.h"
#include "os/maps.h"
#include "os/process.h"

/* ---- the end ----
 *
 * What nobody would look at any more: blocks that the thread which ends the program holds back, and
 * those that are free in its heap.
 */

/* Found under a lock, told without. */
struct damages {
    size_t n;
    struct {
        void *p;
        size_t at;
    } all[16]; /* more are not looked for */
};

/* Not where another thread may be about to hand blocks out, which it fills. */
static void find_damages_in(const struct span *slab, struct damages *found)
{
    if (slab->slab.was_in_use)
        return;
    for (size_t i = 0; i < slab->slab.n_carved && found->n < ARRAY_LEN(found->all); i++) {
        void *p = (void *)(slab->base + i * class_bytes(slab->class));
        size_t at = checked_find_damage(p);
        if (at == 0)
            continue;
        found->all[found->n].p = p;
        found->all[found->n++].at = at;
    }
}

static void find_damages(struct heap *heap, struct damages *found)
{
    lock_take(&heap->lock);
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        const struct shelf *shelf = &heap->shelves[class];
        if (shelf->slab != NULL)
            find_damages_in(shelf->slab, found);
        for (const struct span *slab = shelf->partial; slab != NULL; slab = slab->slab.next)
            find_damages_in(slab, found);
        for (const struct span *slab = shelf->full; slab != NULL; slab = slab->slab.next)
            find_damages_in(slab, found);
    }
    lock_release(&heap->lock);
}

static void look_at_free(struct heap *heap)
{
    struct damages found = {0};
    find_damages(heap, &found);
    for (size_t i = 0; i < found.n; i++)
        checked_tell_damage(found.all[i].p, found.all[i].at);
}

static void at_exit(void)
{
    if (!heap_enter())
        return;
    struct heap *heap = heap_attach();
    struct heap *host = heap == NULL ? heap_visit() : NULL;
    if (heap == NULL)
        heap = host;
    if (heap != NULL) {
        held_see(heap, checked_look_at_held);
        look_at_free(heap);
    }
    if (host != NULL)
        heap_visit_end(host);
    heap_leave();
}

/* ---- start ---- */

/* False: other threads have heaps, and fast paths that go past all checks. */
static bool is_alone(void)
{
    for (uint32_t i = 1; i <= heap_number_max(); i++) {
        const struct heap *heap = heap_by_number(i);
        if (atomic_get_relaxed(&heap->state) == HEAP_LIVE && &heap->front != front_own)
            return false;
    }
    return true;
}

/* For the slabs that there are. */
static bool make_ledgers_in(struct leaf *leaf)
{
    for (size_t i = 0; i < LEAF_GRAINS; i++) {
        uint64_t word = atomic_get_relaxed(&leaf->slab_words[i]);
        uintptr_t leaf_base = (uintptr_t)(word & ((UINT64_C(1) << MAP_OWNER_SHIFT) - 1));
        leaf_base = round_down(leaf_base, (size_t)1 << LEAF_SHIFT);
        uintptr_t base = map_base_of(word, leaf_base, i);
        if (word == 0 || map_grain(base) != i)
            continue;
        const struct span *slab = *map_span_entry(base);
        if (!ledger_make(base, slab->class, slab->slab.n_carved))
            return false;
    }
    return true;
}

static bool make_ledgers(void)
{
    for (size_t i = 0; i < ARRAY_LEN(map_root); i++) {
        struct leaf *leaf = atomic_get_relaxed(&map_root[i]);
        if (leaf != NULL && !make_ledgers_in(leaf))
            return false;
    }
    return true;
}

/* False: there are no stacks. Takes memory of the program's like any other call. */
static bool start_tracking(void)
{
    if (os_stack_is_there() && sites_init() && live_init())
        return true;
    log_warn("track: no stacks are to be had here", NULL, NULL);
    return false;
}

/* Guards take no more than half of the mappings that there may be, two a block. */
enum { MAPS_SHARE = 4 };

/* From here on no block may be handed out but by a checked call. */
static bool start_checking(uint64_t level)
{
    if (!heap_enter())
        return false;
    bool is_ready = is_alone() && make_ledgers();
    if (is_ready) {
        options.check = level;
        if (level == CHECK_ALL)
            large_guards_begin(os_maps_max() / MAPS_SHARE);
        heap_is_checked = true;
        fault_describe_all();
    }
    heap_leave();
    return is_ready;
}

void checked_start(void)
{
    uint64_t level = options.check;
    if (level == CHECK_OFF && !options.track)
        return;
    options.check = CHECK_OFF;
    options.track = options.track && start_tracking();
    if (level == CHECK_OFF && options.track)
        level = CHECK_FREES;
    if (level == CHECK_OFF)
        return;
    if (start_checking(level)) {
        if (level >= CHECK_WRITES)
            (void)os_at_exit(at_exit);
        return;
    }
    log_warn("check: cannot begin now, blocks are not checked", NULL, NULL);
    options.track = 0;
}
