/* SPDX-License-Identifier: MIT */
/*
 * Blocks on their way back: from a bin that is over its cap to the magazine, from there to the
 * bitmaps of their slabs, and slabs that have become empty to the arena.
 *
 * Runs on the owner's thread, or on any thread for a parked heap; the heap's lock is held wherever
 * a slab is touched. A block whose slab has moved to another heap in the meantime is sent there.
 */
#include "base/check.h"
#include "conf/options.h"
#include "heap/checked.h"
#include "heap/sample.h"
#include "mem/arena.h"
#include "mem/slab.h"
#include "os/clock.h"
#include "os/panic.h"

enum {
    DRAIN_BLOCKS_MIN = 8,
    DRAIN_BLOCKS_MAX = 32,
    LOOKS_PER_REVIEW = 64,
    REVIEW_MS = 20,
    CAPS_SHIFT_SHORT = 3,
    IN_ORDER_CAP = 1024,                  /* doubles only for blocks that lie in order, */
    ORDER_STEPS = 64,                     /* as so many of them show, */
    IN_ANY_ORDER_BYTES = 2 * 1024 * 1024, /* or while so little is in use */
};

enum {
    MEDIUM_LEAST_BYTES = 256 * 1024, /* in magazines of medium classes; this, or of a thread's */
    MEDIUM_PART = 32,                /* heap its share of this part of what is in use; */
    MEDIUM_SHARE = 2,                /* and at most this part of what all caps may sum up to */
};

static struct span **list_of(struct heap *heap, const struct span *slab)
{
    struct shelf *shelf = &heap->shelves[slab->class];
    return slab->slab.list == SLAB_FULL ? &shelf->full : &shelf->partial;
}

void heap_list_add(struct heap *heap, struct span *slab)
{
    slab->slab.list = slab_has_blocks(slab) ? SLAB_PARTIAL : SLAB_FULL;
    struct span **first = list_of(heap, slab);
    slab->slab.next = *first;
    slab->slab.prev = NULL;
    slab->slab.epoch = (uint8_t)atomic_get_relaxed(&idle_epoch);
    if (*first != NULL)
        (*first)->slab.prev = slab;
    *first = slab;
}

void heap_list_remove(struct heap *heap, struct span *slab)
{
    struct slab_part *part = &slab->slab;
    *(part->prev != NULL ? &part->prev->slab.next : list_of(heap, slab)) = part->next;
    if (part->next != NULL)
        part->next->slab.prev = part->prev;
    part->list = SLAB_ALONE;
    if (heap->purge_at == slab)
        heap->purge_at = part->next;
}

static void slab_retire(struct heap *heap, struct span *slab)
{
    if (slab->slab.list != SLAB_ALONE)
        heap_list_remove(heap, slab);
    shelf_drop_slab(&heap->shelves[slab->class]);
    map_clear_slab(slab->base, slab->class);
    slab_delete(slab);
}

static struct place home_of(const struct block *block, unsigned class)
{
    struct place place = map_place((uintptr_t)block);
    if (UNLIKELY(!place.is_slab || place.class != class))
        panic("double free", block, class_bytes(class));
    return place;
}

static void slab_settle(struct heap *heap, unsigned class, struct span *slab)
{
    struct shelf *shelf = &heap->shelves[class];
    if (slab == shelf->slab) {
        if (class_is_small(class))
            return;
        shelf->slab = NULL; /* it is empty: a medium block is set aside in magazines only */
    }
    if (slab_is_empty(slab)) {
        slab_retire(heap, slab);
    } else if (slab->slab.list == SLAB_FULL) {
        heap_list_remove(heap, slab);
        heap_list_add(heap, slab);
    }
}

/* The first block of the chain goes to another heap. */
static struct chain send_on(struct chain chain, unsigned class)
{
    struct block *block = chain.head;
    struct chain one = {block, block, 1};
    uint32_t owner = home_of(block, class).owner; /* it may be no block at all */
    chain.head = block_next_checked(block, class_bytes(class));
    chain.n--;
    heap_push(owner, class, &one);
    return chain;
}

void heap_send_home_locked(struct heap *heap, unsigned class, struct block *head, size_t n)
{
    const struct way_home way = way_home(class);
    struct chain chain = {head, NULL, n};
    const struct block *last = head;
    while (chain.n > 0) {
        if (UNLIKELY(chain.head == BLOCK_END))
            block_corrupted(last, class_bytes(class)); /* freed twice: the chain is cut short */
        struct span *slab = map_slab_of((uintptr_t)chain.head, class, heap->front.tag);
        if (LIKELY(slab != NULL)) {
            last = slab_put_run(slab, &way, &chain);
            slab_settle(heap, class, slab);
        } else {
            last = chain.head;
            chain = send_on(chain, class);
        }
    }
}

/* The current slab becomes one among others; or the arena's, when it is empty. */
static void current_slab_release_locked(struct heap *heap, unsigned class)
{
    struct span *slab = heap->shelves[class].slab;
    heap->shelves[class].slab = NULL;
    if (slab == NULL)
        return;
    if (slab_is_empty(slab))
        slab_retire(heap, slab);
    else
        heap_list_add(heap, slab);
}

static void magazine_send_home_locked(struct heap *heap, unsigned class)
{
    struct shelf *shelf = &heap->shelves[class];
    if (shelf->n_magazine == 0)
        return;
    heap_send_home_locked(heap, class, shelf->magazine, shelf->n_magazine);
    shelf_count_magazine(heap, class, -(int64_t)shelf->n_magazine);
}

static void bin_send_home_locked(struct heap *heap, unsigned class)
{
    struct bin *bin = &heap->front.bins[class];
    size_t n = bin_count(heap, class);
    heap_send_home_locked(heap, class, bin->head, n);
    bin->head = BLOCK_END;
    heap->shelves[class].balance -= (int64_t)n;
}

void heap_empty_bin(struct heap *heap, unsigned class)
{
    lock_take(&heap->lock);
    bin_send_home_locked(heap, class);
    lock_release(&heap->lock);
}

/* ---- the bin's cap ---- */

static _Atomic unsigned caps_shift;

void heap_caches_set_short(bool is_short)
{
    atomic_put_relaxed(&caps_shift, is_short ? CAPS_SHIFT_SHORT : 0);
}

bool heap_caches_are_short(void)
{
    return atomic_get_relaxed(&caps_shift) > 0;
}

/* What the caps of one heap may sum up to: a fair share of what all may. */
static size_t caps_max(void)
{
    size_t all = option_get(&options.cache_bytes) >> atomic_get_relaxed(&caps_shift);
    size_t mine = options.cache_thread_bytes >> atomic_get_relaxed(&caps_shift);
    return min_size(all / heap_live_count(), mine);
}

void heap_set_left(struct heap *heap, unsigned class, size_t left)
{
    if (UNLIKELY(sample_is_on))
        left = min_size(left, sample_frees_between(heap, class));
    bin_set_left(&heap->front.bins[class], left);
}

static bool are_near(const struct block *a, const struct block *b)
{
    return (uintptr_t)a - (uintptr_t)b + PAGE_BYTES < 2 * (uintptr_t)PAGE_BYTES;
}

/* Whether neighbours in the bin are so in memory, too; or every other, where two lists have been
 * freed in turn. */
static bool is_in_order(struct heap *heap, unsigned class)
{
    const struct block *before = NULL;
    const struct block *block = heap->front.bins[class].head;
    unsigned n_near = 0;
    for (int i = 0; i < ORDER_STEPS && block != BLOCK_END; i++) {
        const struct block *next = block_next_checked(block, class_bytes(class));
        n_near += are_near(next, block) || are_near(next, before);
        before = block;
        block = next;
    }
    return n_near >= ORDER_STEPS / 2;
}

/* What is in a bin does not go home, and comes into disorder while the program goes on; from slabs
 * it would come in order again. To use memory here and there costs a program more than a large bin
 * saves, if it is more memory than the processor has at hand. */
static bool may_be_large(struct heap *heap, unsigned class, size_t n)
{
    return n <= ORDER_STEPS || atomic_get_relaxed(&arena_used_bytes) <= IN_ANY_ORDER_BYTES ||
           is_in_order(heap, class);
}

static void cap_halve(struct heap *heap, unsigned class)
{
    struct shelf *shelf = &heap->shelves[class];
    uint32_t cap = max_size(shelf->cap / 2, 1);
    heap->caps_bytes -= (shelf->cap - cap) * class_bytes(class);
    shelf->cap = cap;
    if (bin_count(heap, class) <= cap)
        return;
    heap_empty_bin(heap, class);
    heap_set_left(heap, class, cap);
}

/* Takes room from a class other than `spared` that has not been looked at for a round of the hand.
 * False: all have. */
static bool caps_shrink(struct heap *heap, unsigned spared)
{
    for (unsigned i = 0; i < N_CLASSES; i++) {
        unsigned class = heap->cap_hand++ % N_CLASSES;
        struct shelf *shelf = &heap->shelves[class];
        bool was_hot = shelf->is_hot;
        shelf->is_hot = false;
        if (!was_hot && class != spared && shelf->cap > heap_cap_first(class)) {
            cap_halve(heap, class);
            return true;
        }
    }
    return false;
}

static void cap_grow(struct heap *heap, unsigned class)
{
    struct shelf *shelf = &heap->shelves[class];
    size_t bytes = shelf->cap * class_bytes(class);
    if (bytes * 2 > max_size(options.cache_class_bytes, 4 * class_bytes(class)))
        return;
    while (heap->caps_bytes + bytes > caps_max()) {
        if (!caps_shrink(heap, class))
            return;
    }
    shelf->cap *= 2;
    heap->caps_bytes += bytes;
}

/* The bin becomes the magazine. If there is one already, two caps of blocks have come back and none
 * was wanted: the program is giving up memory, and what bins keep of it would hold on to slabs that
 * are nearly empty. From then on all goes home at once, until slabs are drawn from again. */
static void bin_overflow(struct heap *heap, unsigned class, size_t n)
{
    struct shelf *shelf = &heap->shelves[class];
    struct bin *bin = &heap->front.bins[class];
    /* A larger one would have saved this, and that it had to be filled from slabs before. */
    bool is_to_grow =
        shelf->refilled_from_slab && (shelf->cap < IN_ORDER_CAP || may_be_large(heap, class, n));
    lock_take(&heap->lock);
    if (shelf->n_magazine > 0) {
        magazine_send_home_locked(heap, class);
        shelf->is_draining = true;
    }
    if (shelf->is_draining) {
        heap_send_home_locked(heap, class, bin->head, n);
        current_slab_release_locked(heap, class);
    } else {
        shelf->magazine = bin->head;
        shelf_count_magazine(heap, class, (int64_t)n);
        heap->swept = 0;
    }
    lock_release(&heap->lock);
    bin->head = BLOCK_END;
    shelf->balance -= (int64_t)n;
    shelf->refilled_from_slab = false;
    if (is_to_grow)
        cap_grow(heap, class);
}

/* ---- medium blocks ----
 *
 * They are set aside in magazines, not in bins: while their owner does nothing others can give them
 * back. The magazines of all medium classes share one budget.
 */

/* The first n of the magazine. */
static void magazine_shorten_locked(struct heap *heap, unsigned class, uint32_t n)
{
    struct shelf *shelf = &heap->shelves[class];
    struct block *head = shelf->magazine;
    for (uint32_t i = 0; i < n; i++)
        shelf->magazine = block_next_checked(shelf->magazine, class_bytes(class));
    shelf_count_magazine(heap, class, -(int64_t)n);
    heap_send_home_locked(heap, class, head, n);
}

static size_t medium_first(const struct heap *heap)
{
    if (heap_is_group(heap))
        return MEDIUM_LEAST_BYTES;
    size_t part = atomic_get_relaxed(&arena_used_bytes) / MEDIUM_PART;
    return max_size(part / heap_live_count(), MEDIUM_LEAST_BYTES);
}

/* One went back that was wanted again: with more room for them both ways would have been saved. A
 * program that comes by many sizes, as its arrays grow, has no use for more. */
static size_t medium_max(struct heap *heap)
{
    size_t most = caps_max() / MEDIUM_SHARE;
    size_t max = max_size(heap->medium_max, medium_first(heap));
    if (heap->medium_bytes > max && heap->medium_missed) {
        heap->medium_missed = false;
        heap->medium_max = max < most ? 2 * max : max;
    }
    return min_size(max_size(heap->medium_max, max), most);
}

static unsigned longest_medium_magazine(const struct heap *heap)
{
    unsigned longest = N_SMALL_CLASSES;
    for (unsigned class = longest + 1; class < N_CLASSES; class ++) {
        if (heap->shelves[class].n_magazine > heap->shelves[longest].n_magazine)
            longest = class;
    }
    return longest;
}

static void medium_evict_locked(struct heap *heap)
{
    size_t max = medium_max(heap);
    while (heap->medium_bytes > max) {
        unsigned class = longest_medium_magazine(heap);
        magazine_shorten_locked(heap, class, 1);
        heap->shelves[class].gave_up = true;
    }
}

/* The block keeps its marks. */
static void relink(struct block *block, struct block *next)
{
    unsigned marks = block_marks_take(block);
    block_link(block, next, block_secret);
    block_mark(block, marks);
}

struct block *heap_medium_take_locked(struct heap *heap, unsigned class)
{
    struct shelf *shelf = &heap->shelves[class];
    struct block *block = shelf->magazine;
    shelf->magazine = block_next_checked(block, class_bytes(class));
    shelf_count_magazine(heap, class, -1);
    relink(block, BLOCK_END);
    map_slab_span(class, (uintptr_t)block)->slab.is_set_aside = false;
    return block;
}

static void medium_set_aside_locked(struct heap *heap, unsigned class, struct block *block)
{
    struct shelf *shelf = &heap->shelves[class];
    bool is_mine = home_of(block, class).owner == heap->number; /* no heap takes them over */
    struct span *slab = is_mine ? map_slab_span(class, (uintptr_t)block) : NULL;
    if (UNLIKELY(slab == NULL || slab->slab.is_set_aside))
        panic("double free", block, class_bytes(class));
    slab->slab.is_set_aside = true;
    relink(block, shelf->n_magazine > 0 ? shelf->magazine : BLOCK_END);
    shelf->magazine = block;
    shelf_count_magazine(heap, class, 1);
    heap->swept = 0;
}

/* All but the first n that are in the bin go into the magazine. */
static void medium_keep_locked(struct heap *heap, unsigned class, size_t n)
{
    struct bin *bin = &heap->front.bins[class];
    size_t n_more = bin_count(heap, class) - n;
    struct block *last = NULL;
    struct block *block = bin->head;
    for (; n > 0; n--) {
        last = block;
        block = block_next_checked(block, class_bytes(class));
    }
    if (last != NULL)
        relink(last, BLOCK_END);
    else
        bin->head = BLOCK_END;
    heap->shelves[class].balance -= (int64_t)n_more;
    for (; n_more > 0; n_more--) {
        struct block *next = block_next_checked(block, class_bytes(class));
        medium_set_aside_locked(heap, class, block);
        block = next;
    }
    medium_evict_locked(heap);
}

void heap_medium_keep_one_locked(struct heap *heap, unsigned class)
{
    if (bin_count(heap, class) > 1)
        medium_keep_locked(heap, class, 1);
}

static void medium_overflow(struct heap *heap, unsigned class)
{
    lock_take(&heap->lock);
    medium_keep_locked(heap, class, 0);
    lock_release(&heap->lock);
}

/* ---- looks ---- */

/* Blocks in the bin before it overflows. While draining few enough to be in the processor's cache
 * still, and too few to hold on to many of the slabs. */
static size_t bin_limit(const struct shelf *shelf)
{
    size_t limit = shelf->cap;
    if (UNLIKELY(shelf->is_draining)) {
        size_t half_the_slabs = atomic_get_relaxed(&shelf->n_slabs) / 2;
        limit =
            min_size(limit, min_size(max_size(half_the_slabs, DRAIN_BLOCKS_MIN), DRAIN_BLOCKS_MAX));
    }
    return limit;
}

/* A thread that finds all it needs in its bins never comes to the arena. And there may be more
 * threads than when the caps grew. */
static void review(struct heap *heap, unsigned class)
{
    heap->reviewed_ms = (uint32_t)os_clock_ms();
    arena_purge_due();
    (void)heap_sweep_due();
    if (heap->caps_bytes > caps_max())
        (void)caps_shrink(heap, class);
}

/* A program may live on a few medium blocks, each of which costs a look. */
static bool is_to_be_reviewed(struct heap *heap, unsigned class)
{
    if (class_is_small(class))
        return ++heap->n_looks % LOOKS_PER_REVIEW == 0;
    return (uint32_t)os_clock_ms() - heap->reviewed_ms >= REVIEW_MS;
}

void heap_look_at_bin(struct heap *heap, unsigned class)
{
    struct bin *bin = &heap->front.bins[class];
    struct shelf *shelf = &heap->shelves[class];
    size_t left_max = SIZE_MAX;
    SETTLE(shelf); /* or it is computed again for each use */
    if (UNLIKELY(sample_is_on))
        left_max = sample_look(heap, bin, shelf);
    if (UNLIKELY(shelf->cap == 0)) {
        heap_open_shelf(heap, class);
        if (class_is_small(class))
            return;
    }
    shelf->is_hot = true;
    if (UNLIKELY(is_to_be_reviewed(heap, class)))
        review(heap, class);
    size_t n = bin_count(heap, class);
    if (UNLIKELY(shelf->cap / 2 >= IN_ORDER_CAP) && !may_be_large(heap, class, n)) {
        cap_halve(heap, class);
        n = bin_count(heap, class);
    }
    if (n >= bin_limit(shelf)) {
        if (class_is_small(class))
            bin_overflow(heap, class, n);
        else
            medium_overflow(heap, class);
        n = 0;
    }
    /* At least half of the limit until the next look: a bin that stays near it is not looked
     * at on every free. */
    size_t limit = bin_limit(shelf);
    size_t room = limit > n ? limit - n : 0;
    size_t left = max_size(room, limit / 2 + 1) - 1;
    bin_set_left(bin, min_size(left, left_max));
}

/* ---- all of it ---- */

void heap_take_in_mail_locked(struct heap *heap, unsigned class)
{
    struct chain left = inbox_take(&heap->inboxes[class], class_bytes(class));
    heap_send_home_locked(heap, class, left.head, left.n);
}

bool heap_take_in_some_locked(struct heap *heap, unsigned class, struct sweep_budget *budget)
{
    struct shelf *shelf = &heap->shelves[class];
    if (shelf->n_magazine == 0) {
        struct chain left = inbox_take(&heap->inboxes[class], class_bytes(class));
        shelf->magazine = left.head;
        shelf_count_magazine(heap, class, (int64_t)left.n);
        heap->swept = 0;
    }
    uint32_t n = (uint32_t)min_size(shelf->n_magazine, budget->n_blocks);
    magazine_shorten_locked(heap, class, n);
    budget->n_blocks -= n;
    return shelf->n_magazine > 0;
}

/* What the heap's lock guards of a class; its thread may go on meanwhile. */
static void flush_shared_locked(struct heap *heap, unsigned class)
{
    magazine_send_home_locked(heap, class);
    heap_take_in_mail_locked(heap, class);
    current_slab_release_locked(heap, class);
}

static void flush_class_locked(struct heap *heap, unsigned class)
{
    bin_send_home_locked(heap, class);
    flush_shared_locked(heap, class);
}

void heap_flush(struct heap *heap)
{
    if (UNLIKELY(options.check))
        checked_release(heap);
    lock_take(&heap->lock);
    for (unsigned class = 0; class < N_CLASSES; class ++)
        flush_class_locked(heap, class);
    lock_release(&heap->lock);
}

static void medium_begin_again(struct heap *heap)
{
    heap->medium_max = 0;
    heap->medium_missed = false;
    for (unsigned class = N_SMALL_CLASSES; class < N_CLASSES; class ++)
        heap->shelves[class].gave_up = false;
}

void heap_close_shelves(struct heap *heap)
{
    for (unsigned class = 0; class < N_CLASSES; class ++)
        heap->shelves[class].cap = 0;
    heap->caps_bytes = 0;
    medium_begin_again(heap);
}

void heap_empty_bins_locked(struct heap *heap)
{
    for (unsigned class = 0; class < N_CLASSES; class ++)
        bin_send_home_locked(heap, class);
    heap_close_shelves(heap);
}

_Atomic uint32_t heap_shrink_epoch;

void heap_shrink_all(void)
{
    (void)atomic_add_relaxed(&heap_shrink_epoch, 1);
}

/* Caps as they are in the beginning. */
static void caps_begin_again(struct heap *heap)
{
    heap->caps_bytes = 0;
    medium_begin_again(heap);
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        if (heap->shelves[class].cap > 0)
            heap_open_shelf(heap, class);
    }
}

COLD void heap_shrink(struct heap *heap)
{
    heap->shrunk = atomic_get_relaxed(&heap_shrink_epoch);
    heap_flush_outboxes(heap);
    heap_flush(heap);
    caps_begin_again(heap);
}

void heap_flush_shared_locked(struct heap *heap)
{
    for (unsigned class = 0; class < N_CLASSES; class ++)
        flush_shared_locked(heap, class);
}

/* The bins only where the caller has them to itself. */
static void flush_as_it_is(struct heap *heap)
{
    uint32_t state = atomic_get_relaxed(&heap->state);
    if (state == HEAP_PARKED || state == HEAP_GROUP) {
        heap_flush(heap);
    } else if (state == HEAP_LIVE) {
        lock_take(&heap->lock);
        heap_flush_shared_locked(heap);
        lock_release(&heap->lock);
    }
}

void heap_flush_all(bool with_pages)
{
    if (front_own != &front_empty) {
        heap_flush_outboxes(heap_of(front_own));
        heap_flush(heap_of(front_own));
    }
    for (uint32_t i = 1; i <= heap_number_max(); i++) {
        struct heap *heap = heap_by_number(i);
        lock_take(&heap->guest_lock); /* so that the state stays what it is */
        flush_as_it_is(heap);
        lock_release(&heap->guest_lock);
        if (with_pages && atomic_get_relaxed(&heap->state) != HEAP_ORPHAN)
            heap_purge_slabs(heap);
    }
}

static size_t give_up_list_locked(struct heap *heap, struct span **first)
{
    size_t n_out = 0;
    while (*first != NULL) {
        n_out += (*first)->slab.n_out;
        (*first)->slab.n_out = 0;
        slab_retire(heap, *first);
    }
    return n_out;
}

size_t heap_give_up_slabs_locked(struct heap *heap, unsigned class)
{
    struct shelf *shelf = &heap->shelves[class];
    return give_up_list_locked(heap, &shelf->partial) + give_up_list_locked(heap, &shelf->full);
}

void heap_count_bins(struct heap *heap)
{
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        size_t n = block_count(heap->front.bins[class].head, class_bytes(class));
        heap->shelves[class].balance += (int64_t)(n - bin_count(heap, class));
    }
}

void heap_tidy_parked(struct heap *heap, unsigned class)
{
    if (!lock_try(&heap->lock))
        return;
    if (atomic_get_relaxed(&heap->state) == HEAP_PARKED)
        heap_take_in_mail_locked(heap, class);
    lock_release(&heap->lock);
}
