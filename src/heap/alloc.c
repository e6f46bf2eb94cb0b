/* SPDX-License-Identifier: MIT */
/*
 * What the fast path of malloc falls back to, and the functions that have none. Any thread.
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

const char realloc_of_no_block[] = "realloc of a pointer that is no block";
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
    void *wanted = sample_wanted(heap, class, block_marks_take(block), bytes);
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

/* A block that has not been in the bin has its chance now. It comes there if another one is called
 * for in its place. */
COLD static void *sample_zeroed(struct heap *heap, void *block, unsigned class, size_t bytes)
{
    void *wanted = sample_wanted(heap, class, sample_marks(heap, class), bytes);
    if (wanted == NULL)
        return block;
    heap_free_into_bin(heap, block, class);
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

static void *take_zeroed_as_guest(unsigned class, size_t bytes)
{
    struct heap *host = heap_visit();
    if (host == NULL)
        return NULL;
    bool is_empty = host->front.bins[class].head == BLOCK_END;
    void *block = is_empty ? take_zeroed(host, class, bytes) : NULL;
    heap_visit_end(host);
    return block;
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
    if (heap == NULL && !class_is_small(class)) {
        void *block = take_zeroed_as_guest(class, bytes);
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

/* Small blocks' slabs are aligned to 64 KiB, so they are aligned to what divides their class's
 * size. That of the next multiple is such a one: classes are spaced by powers of two. Medium ones
 * begin with a page.
 */
static size_t bytes_for_align(size_t align, size_t bytes)
{
    size_t need = max_size(bytes, align);
    return need <= SMALL_MAX_BYTES ? round_up(need, align) : need;
}

size_t heap_choose_aligned(size_t align, size_t bytes, unsigned *class)
{
    if (!heap_has_class(align, bytes))
        return bytes > 0 ? bytes : align;
    *class = class_of(bytes_for_align(align, bytes));
    return 0;
}

static void *alloc_aligned(size_t align, size_t bytes, size_t sampled_bytes)
{
    unsigned class = 0;
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
    void *p = NULL;
    if (heap_has_class(align, bytes))
        p = heap_alloc_of_class(bytes_for_align(align, bytes));
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

size_t heap_room_of(size_t bytes)
{
    return bytes <= CLASS_MAX_BYTES ? class_bytes(class_of(bytes)) : large_usable(bytes);
}

size_t heap_good_size(size_t bytes)
{
    if (UNLIKELY(options.check != CHECK_OFF || guard_area_bytes != 0))
        return bytes <= PTRDIFF_MAX ? bytes : 0;
    return heap_room_of(bytes);
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
    void *p =
        group != NULL ? heap_group_alloc_to_grow(group, with_slack) : large_alloc(with_slack, 1);
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
    else if (bytes > SMALL_MAX_BYTES && bytes < PTRDIFF_MAX / 2)
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

/* A medium block's pages would stay. */
static bool is_good_fit(size_t bytes, size_t usable)
{
    size_t waste_max = usable <= SMALL_MAX_BYTES ? usable / 2 : usable / 4;
    return bytes <= usable && usable - bytes <= waste_max;
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
    if (!free_is_foreign(p, realloc_of_no_block))
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
    if (span == NULL || bytes <= SMALL_MAX_BYTES)
        return NULL;
    if (group != NULL)
        return heap_group_realloc_large(group, span, bytes);
    /* Where it cannot be resized and cannot be moved either, it is not of the sample any more. */
    if (UNLIKELY(sample_is_on))
        sample_forget((void *)span->base);
    return large_realloc(span, bytes);
}

/* In the sample for the profile, and as good a fit as the block would be that it has instead: it
 * stays, or the sample would lose those that are resized. Inside. */
COLD static bool is_sampled_good_fit(const struct span *span, size_t bytes)
{
    if (span_bytes(span) > CLASS_MAX_BYTES || span_bytes(span) < bytes)
        return false; /* large in any case, or too small */
    size_t asked = sample_asked_bytes((void *)span->base);
    return asked > 0 && is_good_fit(bytes, heap_room_of(asked));
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
    if (UNLIKELY(sample_is_on) && span != NULL && is_sampled_good_fit(span, bytes)) {
        heap_finish();
        return p;
    }
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
