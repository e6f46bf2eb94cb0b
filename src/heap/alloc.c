/* SPDX-License-Identifier: MIT */
/*
 * What the fast paths of alloc.h fall back to, and the functions that have no fast path. Any
 * thread.
 */
#include "heap/alloc.h"

#include "heap/checked.h"
#include "heap/emergency.h"
#include "heap/guard.h"
#include "heap/sample.h"
#include "mem/arena.h"
#include "mem/large.h"
#include "os/panic.h"
#include "os/process.h"

#include <errno.h>
#include <string.h>

const char free_of_no_block[] = "free of a pointer that is no block";
const char realloc_of_no_block[] = "realloc of a pointer that is no block";
const char free_of_wrong_size[] = "free with a wrong size";
const char realloc_of_free[] = "realloc of a free block";

/* ---- malloc ---- */

/* A call that the bin could not serve. */
static void count_refill(struct heap *heap, unsigned class, size_t bytes)
{
    counter_add(&heap->shelves[class].n_refills, 1);
    counter_add(&heap->shelves[class].asked_bytes, bytes);
}

/* The head of a bin cannot be popped: it is marked, or was written over. */
COLD static void *alloc_marked(struct heap *heap, unsigned class, size_t bytes)
{
    struct block *block = heap->front.bins[class].head;
    if (!block_is_free(block))
        block_corrupted(block, class_bytes(class));
    void *wanted = sample_wanted(block_marks_take(block), class, bytes);
    if (wanted != NULL)
        block_mark(block,
                   sample_marks(heap, class)); /* it stays for the next call, and its chance */
    return wanted;
}

void *heap_alloc_from(struct heap *heap, unsigned class, size_t bytes)
{
    struct bin *bin = &heap->front.bins[class];
    for (;;) {
        void *block = bin_pop(&heap->front, bin);
        if (UNLIKELY(block == NULL && bin->head != BLOCK_END))
            block = alloc_marked(heap, class, bytes);
        else if (block == NULL && !heap_refill(heap, class))
            return NULL;
        else if (block == NULL)
            count_refill(heap, class, bytes);
        if (block != NULL)
            return block;
    }
}

/* Some host's: a thread's first blocks come from where other threads' do. */
NOINLINE static void *alloc_as_guest(unsigned class, size_t bytes)
{
    struct heap *host = heap_visit();
    if (host == NULL)
        return NULL;
    void *block = heap_alloc_from(host, class, bytes);
    heap_visit_end(host);
    return block;
}

/* In the thread's heap, or as a guest if that is NULL. */
static void *alloc_in(struct heap *heap, unsigned class, size_t bytes)
{
    return LIKELY(heap != NULL) ? heap_alloc_from(heap, class, bytes)
                                : alloc_as_guest(class, bytes);
}

void *heap_take(unsigned class, size_t bytes)
{
    return alloc_in(heap_attach(), class, bytes);
}

static void *or_no_memory(void *p)
{
    if (UNLIKELY(p == NULL))
        errno = ENOMEM;
    return p;
}

/* NULL also where only the emergency area is left. */
static void *or_emergency(void *p, size_t bytes, size_t align)
{
    if (UNLIKELY(p == NULL) && UNLIKELY(heap_is_inside()))
        p = emergency_alloc(bytes, align);
    return or_no_memory(p);
}

void *alloc_slow_of(size_t bytes, unsigned family)
{
    if (UNLIKELY(options.check))
        return or_emergency(checked_alloc(bytes, 1, family), bytes, 1);
    return alloc_slow(bytes);
}

COLD bool heap_try_again(size_t bytes, unsigned n)
{
    const struct heap_pressure_hooks *pressure = atomic_get_acquire(&heap_pressure);
    if (pressure == NULL || heap_is_inside() || handler_runs() || lock_is_fork_thread())
        return false;
    return pressure->refused(bytes, n) && heap_enter();
}

COLD bool heap_try_again_in(const struct heap *group, size_t bytes, unsigned n)
{
    return heap_group_has_room(group, bytes) && heap_try_again(bytes, n);
}

/* Inside, and leaves. */
ALWAYS_INLINE void *alloc_inside(size_t bytes)
{
    void *p = bytes <= CLASS_MAX_BYTES ? heap_take(class_of(bytes), bytes) : large_alloc(bytes, 1);
    heap_finish();
    return p;
}

COLD static void *alloc_again(size_t bytes)
{
    void *p = NULL;
    for (unsigned n = 0; p == NULL && heap_try_again(bytes, n); n++)
        p = alloc_inside(bytes);
    if (UNLIKELY(sample_is_on))
        p = sample_finish(p, bytes, BLOCK_ALIGN, NULL);
    return or_no_memory(p);
}

/* In the slow path already, but not inside. */
NOINLINE static void *alloc_from_outside(size_t bytes, const void *caller)
{
    if (UNLIKELY(options.check))
        return or_emergency(checked_alloc(bytes, 1, FAMILY_MALLOC), bytes, 1);
    if (UNLIKELY(!heap_enter()))
        return or_no_memory(emergency_alloc(bytes, 1));
    void *p = alloc_inside(bytes);
    if (UNLIKELY(sample_is_on))
        p = sample_finish(p, bytes, BLOCK_ALIGN, caller);
    return LIKELY(p != NULL) ? p : alloc_again(bytes);
}

NOINLINE void *alloc_slow(size_t bytes)
{
    void *p = bytes > CLASS_TABLE_MAX_BYTES ? heap_alloc_of_class(bytes) : NULL;
    return LIKELY(p != NULL) ? p : alloc_from_outside(bytes, __builtin_return_address(0));
}

static void free_into_bin(struct heap *heap, struct block *block, unsigned class);

/* A block that has not been in the bin has its chance now. It comes there if another one is called
 * for in its place. */
COLD static void *sample_zeroed(struct heap *heap, void *block, unsigned class, size_t bytes)
{
    void *wanted = sample_wanted(sample_marks(heap, class), class, bytes);
    if (wanted == NULL)
        return block;
    free_into_bin(heap, block, class);
    return wanted;
}

/* Past the bin; NULL: nothing is easily had there. */
static void *take_zeroed(struct heap *heap, unsigned class, size_t bytes)
{
    void *block = heap_take_zeroed(heap, class);
    if (block == NULL)
        return NULL;
    count_refill(heap, class, bytes);
    return LIKELY(!sample_is_on) ? block : sample_zeroed(heap, block, class, bytes);
}

static void *alloc_class_zeroed(size_t bytes)
{
    enum { WORTH_CARVING_BYTES = 1024 };
    unsigned class = class_of(bytes);
    struct heap *heap = heap_attach();
    if (bytes >= WORTH_CARVING_BYTES && heap != NULL && heap->front.bins[class].head == BLOCK_END) {
        void *block = take_zeroed(heap, class, bytes);
        if (block != NULL)
            return block;
    }
    void *block = alloc_in(heap, class, bytes);
    return block != NULL && !sample_is_wanted(block) ? memset(block, 0, bytes) : block;
}

COLD static void *finish_zeroed(void *p, size_t bytes)
{
    bool was_wanted = sample_is_wanted(p);
    p = sample_finish(p, bytes, BLOCK_ALIGN, NULL);
    return was_wanted && p != NULL ? memset(p, 0, bytes) : p;
}

static void *emergency_alloc_zeroed(size_t bytes)
{
    void *p = emergency_alloc(bytes, 1);
    return p != NULL ? memset(p, 0, bytes) : NULL;
}

static void *checked_zeroed(size_t bytes)
{
    void *p = checked_alloc_zeroed(bytes);
    if (UNLIKELY(p == NULL) && UNLIKELY(heap_is_inside()))
        p = emergency_alloc_zeroed(bytes);
    return or_no_memory(p);
}

static void *alloc_zeroed_inside(size_t bytes)
{
    void *p = bytes <= CLASS_MAX_BYTES ? alloc_class_zeroed(bytes) : large_alloc_zeroed(bytes);
    heap_finish();
    return p;
}

NOINLINE static void *alloc_zeroed_from_outside(size_t bytes)
{
    if (UNLIKELY(options.check))
        return checked_zeroed(bytes);
    if (UNLIKELY(!heap_enter()))
        return or_no_memory(emergency_alloc_zeroed(bytes));
    void *p = alloc_zeroed_inside(bytes);
    for (unsigned n = 0; UNLIKELY(p == NULL) && heap_try_again(bytes, n); n++)
        p = alloc_zeroed_inside(bytes);
    if (UNLIKELY(sample_is_on))
        p = finish_zeroed(p, bytes);
    return or_no_memory(p);
}

void *heap_alloc_zeroed(size_t bytes)
{
    void *p = heap_alloc_of_class(bytes);
    return LIKELY(p != NULL) ? memset(p, 0, bytes) : alloc_zeroed_from_outside(bytes);
}

void *heap_calloc(size_t n, size_t each)
{
    size_t bytes;
    if (UNLIKELY(__builtin_mul_overflow(n, each, &bytes)))
        return or_no_memory(NULL);
    return heap_alloc_zeroed(bytes);
}

/* Slabs are aligned to 64 KiB, so blocks of a class are aligned to what divides its size. That of the
 * next multiple is such a one: classes are spaced by powers of two. */
static size_t bytes_for_align(size_t align, size_t bytes)
{
    return round_up(max_size(bytes, align), align);
}

size_t heap_choose_aligned(size_t align, size_t bytes, unsigned *class)
{
    size_t need = max_size(bytes, align);
    if (need > CLASS_MAX_BYTES)
        return bytes > 0 ? bytes : need;
    *class = class_of(bytes_for_align(align, need));
    return 0;
}

static void *alloc_aligned(size_t align, size_t bytes, size_t sampled_bytes)
{
    unsigned class;
    size_t bytes_if_large = heap_choose_aligned(align, bytes, &class);
    return bytes_if_large > 0 ? large_alloc(bytes_if_large, align)
                              : heap_take(class, sampled_bytes);
}

void *heap_alloc_aligned_of(size_t align, size_t bytes, unsigned family)
{
    if (LIKELY(options.check == CHECK_OFF))
        return heap_alloc_aligned(align, bytes);
    return or_emergency(checked_alloc(bytes, align, family), bytes, align);
}

static void *alloc_aligned_inside(size_t align, size_t bytes)
{
    void *p = alloc_aligned(align, bytes, bytes);
    heap_finish();
    return p;
}

NOINLINE static void *alloc_aligned_from_outside(size_t align, size_t bytes)
{
    if (UNLIKELY(options.check))
        return heap_alloc_aligned_of(align, bytes, FAMILY_MALLOC);
    if (UNLIKELY(!heap_enter()))
        return or_no_memory(emergency_alloc(bytes, align));
    void *p = alloc_aligned_inside(align, bytes);
    for (unsigned n = 0; UNLIKELY(p == NULL) && heap_try_again(max_size(bytes, align), n); n++)
        p = alloc_aligned_inside(align, bytes);
    if (UNLIKELY(sample_is_on))
        p = sample_finish(p, bytes, align, NULL);
    return or_no_memory(p);
}

void *heap_alloc_aligned(size_t align, size_t bytes)
{
    if (align <= BLOCK_ALIGN)
        return heap_alloc(bytes);
    bool has_class = max_size(align, bytes) <= CLASS_MAX_BYTES;
    void *p = has_class ? heap_alloc_of_class(bytes_for_align(align, bytes)) : NULL;
    return LIKELY(p != NULL) ? p : alloc_aligned_from_outside(align, bytes);
}

COLD void *heap_alloc_unprofiled(size_t align, size_t bytes)
{
    if (!heap_enter())
        return emergency_alloc(bytes, align);
    void *p = alloc_aligned(align, bytes, 0); /* no chance is smaller */
    heap_finish();
    return sample_is_wanted(p) ? heap_alloc_unprofiled(align, bytes) : p;
}

/* ---- free ---- */

/* p is in its bin already, at the head of it until it has been looked at; it is passed because that is
 * what the fast path has at hand. */
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

static void free_into_bin(struct heap *heap, struct block *block, unsigned class)
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
        free_into_bin(heap, block, place.class);
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

/* A fault unless p can be another allocator's block. */
static bool is_foreign(const void *p, const char *fault)
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
    if (is_foreign(p, free_of_no_block))
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
    free_into_bin(heap, block, place.class);
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

/* What most slow frees are, of threads that pass blocks on: of another heap's block, by a thread that has
 * a heap and is not inside, while nothing is checked. False: it is something else. */
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

/* ---- realloc and friends ---- */

struct span *heap_large_at(const void *p)
{
    if (UNLIKELY(!heap_enter()))
        return arena_large_at_soon(p);
    struct span *span = arena_large_at(p);
    heap_leave();
    return span;
}

size_t heap_usable_size(void *p)
{
    if (UNLIKELY(options.check) && checked_knows(p))
        return checked_usable_size(p);
    struct place place = map_place((uintptr_t)p);
    if (LIKELY(place.is_slab))
        return place_is_block(place) ? class_bytes(place.class) : 0;
    if (UNLIKELY(guard_owns(p)))
        return guard_usable_size(p);
    const struct span *span = heap_large_at(p);
    if (span != NULL)
        return span_bytes(span);
    size_t usable = emergency_usable_size(p);
    return usable == 0 && os_foreign_is_libc_block(p) ? os_foreign_usable_size(p) : usable;
}

size_t heap_good_size(size_t bytes)
{
    if (UNLIKELY(options.check != CHECK_OFF || guard_area_bytes != 0))
        return bytes <= PTRDIFF_MAX ? bytes : 0;
    if (bytes <= CLASS_MAX_BYTES)
        return class_bytes(class_of(bytes));
    return large_usable(bytes);
}

static void *group_alloc_inside(struct heap *group, size_t bytes)
{
    void *p = heap_group_alloc(group, bytes);
    heap_finish();
    return p;
}

/* A block stays in its group: `group` is the heap of that, NULL if it is in none. */
static void *alloc_in_group(struct heap *group, size_t bytes)
{
    if (LIKELY(group == NULL))
        return heap_alloc(bytes);
    if (!heap_enter())
        return or_no_memory(emergency_alloc(bytes, 1));
    void *p = group_alloc_inside(group, bytes);
    for (unsigned n = 0; UNLIKELY(p == NULL) && heap_try_again_in(group, bytes, n); n++)
        p = group_alloc_inside(group, bytes);
    return or_no_memory(p);
}

/* Where there is memory at once: nobody is asked for any, and NULL is no refusal. */
static void *alloc_if_there_is(struct heap *group, size_t bytes)
{
    if (UNLIKELY(options.check))
        return alloc_in_group(group, bytes);
    void *p = group == NULL ? heap_alloc_fast(bytes) : NULL;
    if (LIKELY(p != NULL))
        return p;
    if (!heap_enter())
        return emergency_alloc(bytes, 1);
    p = group == NULL ? alloc_inside(bytes) : group_alloc_inside(group, bytes);
    if (UNLIKELY(sample_is_on) && group == NULL)
        p = sample_finish(p, bytes, BLOCK_ALIGN, NULL);
    return p;
}

/* A block that grows in pages is likely to grow again: some slack, which is not touched until
 * then. */
static void *alloc_to_grow(struct heap *group, size_t bytes)
{
    if (!heap_enter())
        return NULL;
    size_t with_slack = bytes + bytes / 8;
    void *p = group != NULL ? heap_group_alloc(group, with_slack) : large_alloc(with_slack, 1);
    heap_finish();
    if (UNLIKELY(sample_is_on) && p != NULL && group == NULL)
        sample_large(p, bytes);
    return p;
}

static void *realloc_by_copy(struct heap *group, void *p, size_t old_bytes, size_t bytes)
{
    void *to = NULL;
    int saved_errno = errno;
    if (bytes <= old_bytes)
        to = alloc_if_there_is(group, bytes);
    else if (bytes > CLASS_MAX_BYTES && bytes < PTRDIFF_MAX / 2)
        to = alloc_to_grow(group, bytes);
    if (to == NULL && bytes <= old_bytes) {
        errno = saved_errno; /* it fits where it is */
        return p;
    }
    if (to == NULL)
        to = alloc_in_group(group, bytes);
    if (to == NULL)
        return NULL;
    memcpy(to, p, min_size(old_bytes, bytes));
    heap_free(p);
    return to;
}

static bool is_good_fit(size_t bytes, size_t usable)
{
    return bytes <= usable && bytes >= usable / 2;
}

static void *realloc_small(struct block *block, struct place place, size_t bytes)
{
    size_t usable = class_bytes(place.class);
    if (UNLIKELY(!place_is_block(place))) {
        fault_report_plain(realloc_of_no_block, block, usable);
        return or_no_memory(NULL);
    }
    /* The caller is about to use the block, so looking at it costs no cache miss here. */
    if (UNLIKELY(block_is_free(block)))
        panic(realloc_of_free, block, usable);
    if (is_good_fit(bytes, usable))
        return block;
    struct heap *owner = heap_by_number(place.owner);
    return realloc_by_copy(heap_is_group(owner) ? owner : NULL, block, usable, bytes);
}

COLD static void *realloc_foreign(void *p, size_t bytes)
{
    if (!is_foreign(p, realloc_of_no_block))
        return or_no_memory(NULL);
    if (options.foreign == FOREIGN_FORWARD)
        return os_foreign_realloc(p, bytes);
    void *to = heap_alloc(bytes);
    return to != NULL ? memcpy(to, p, min_size(os_foreign_usable_size(p), bytes)) : NULL;
}

/* Of a block that is in no slab. */
static void *realloc_inside(void *p, size_t bytes)
{
    const struct span *span = arena_large_at_soon(p);
    size_t usable = span != NULL ? span_bytes(span) : emergency_usable_size(p);
    return usable > 0 ? realloc_by_copy(NULL, p, usable, bytes) : or_no_memory(NULL);
}

static struct heap *group_of(const struct span *span)
{
    struct group *group = span != NULL ? span->large.group : NULL;
    return group != NULL ? CONTAINER_OF(group, struct heap, group) : NULL;
}

static void *realloc_large(struct heap *group, struct span *span, size_t bytes)
{
    if (span == NULL || bytes <= CLASS_MAX_BYTES)
        return NULL;
    if (group != NULL)
        return heap_group_realloc_large(group, span, bytes);
    /* Where it cannot be resized and cannot be moved either, it is not of the sample any more. */
    if (UNLIKELY(sample_is_on))
        sample_forget((void *)span->base);
    return large_realloc(span, bytes);
}

static void *realloc_block(void *p, size_t bytes)
{
    if (UNLIKELY(options.check) && checked_knows(p))
        return checked_realloc(p, bytes);
    struct place place = map_place((uintptr_t)p);
    if (LIKELY(place.is_slab))
        return realloc_small(p, place, bytes);
    if (UNLIKELY(guard_owns(p)))
        return realloc_by_copy(NULL, p, guard_usable_size(p), bytes);
    if (UNLIKELY(!heap_enter()))
        return realloc_inside(p, bytes);
    struct span *span = arena_large_at(p);
    struct heap *group = group_of(span);
    size_t usable = span != NULL ? span_bytes(span) : 0;
    void *resized = realloc_large(group, span, bytes);
    heap_finish();
    if (UNLIKELY(sample_is_on) && resized != NULL && group == NULL)
        sample_large(resized, bytes);
    if (resized != NULL)
        return resized;
    if (span == NULL)
        usable = emergency_usable_size(p);
    return usable > 0 ? realloc_by_copy(group, p, usable, bytes) : realloc_foreign(p, bytes);
}

/* Frees it and returns NULL as glibc does, unless told otherwise. */
COLD static void *realloc_to_zero(void *p)
{
    if (options.zero_realloc == ZERO_REALLOC_ALLOC)
        return realloc_block(p, 1);
    if (options.zero_realloc == ZERO_REALLOC_ABORT) {
        struct place place = map_place((uintptr_t)p);
        panic("realloc to 0 bytes", p, place.is_slab ? class_bytes(place.class) : 0);
    }
    heap_free(p);
    return NULL;
}

void *heap_realloc(void *p, size_t bytes)
{
    if (p == NULL)
        return heap_alloc(bytes);
    return LIKELY(bytes != 0) ? realloc_block(p, bytes) : realloc_to_zero(p);
}
