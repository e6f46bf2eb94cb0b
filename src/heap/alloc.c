/* SPDX-License-Identifier: MIT */
/*
 * What the fast paths of alloc.h fall back to, and the functions that have no fast path. Any
 * thread.
 */
#include "heap/alloc.h"

#include "conf/options.h"
#include "heap/emergency.h"
#include "mem/arena.h"
#include "mem/large.h"
#include "os/pages.h"
#include "os/panic.h"
#include "os/process.h"

#include <errno.h>
#include <string.h>

static const char free_of_no_block[] = "free of a pointer that is no block";
static const char realloc_of_no_block[] = "realloc of a pointer that is no block";

/* ---- malloc ---- */

/* A call that the bin could not serve. */
static void count_refill(struct heap *heap, unsigned class, size_t bytes)
{
    counter_add(&heap->shelves[class].n_refills, 1);
    counter_add(&heap->shelves[class].asked_bytes, bytes);
}

static void *alloc_from(struct heap *heap, unsigned class, size_t bytes)
{
    struct bin *bin = &heap->front.bins[class];
    for (;;) {
        void *block = bin_pop(&heap->front, bin);
        if (block != NULL)
            return block;
        if (UNLIKELY(bin->head != BLOCK_END))
            block_corrupted(bin->head, class_bytes(class));
        if (!heap_refill(heap, class))
            return NULL;
        count_refill(heap, class, bytes);
    }
}

/* Some host's: a thread's first blocks come from where other threads' do. */
NOINLINE static void *alloc_as_guest(unsigned class, size_t bytes)
{
    struct heap *host = heap_visit();
    if (host == NULL)
        return NULL;
    void *block = alloc_from(host, class, bytes);
    heap_visit_end(host);
    return block;
}

/* In the thread's heap, or as a guest if that is NULL. */
static void *alloc_in(struct heap *heap, unsigned class, size_t bytes)
{
    return LIKELY(heap != NULL) ? alloc_from(heap, class, bytes) : alloc_as_guest(class, bytes);
}

static void *alloc_class(unsigned class, size_t bytes)
{
    return alloc_in(heap_attach(), class, bytes);
}

static void *or_no_memory(void *p)
{
    if (UNLIKELY(p == NULL))
        errno = ENOMEM;
    return p;
}

/* What was tried n times more than once, and found no memory, is worth another try, and the thread
 * is inside again. */
COLD static bool try_again(size_t bytes, unsigned n)
{
    const struct heap_pressure_hooks *pressure = atomic_get_acquire(&heap_pressure);
    if (pressure == NULL || handler_heap() != NULL || lock_is_fork_thread())
        return false;
    return pressure->refused(bytes, n) && heap_enter();
}

/* Inside, and leaves. */
ALWAYS_INLINE void *alloc_inside(size_t bytes)
{
    void *p =
        bytes <= CLASS_MAX_BYTES ? alloc_class(class_of(bytes), bytes) : large_alloc(bytes, 1);
    heap_finish();
    return p;
}

COLD static void *alloc_again(size_t bytes)
{
    void *p = NULL;
    for (unsigned n = 0; p == NULL && try_again(bytes, n); n++)
        p = alloc_inside(bytes);
    return or_no_memory(p);
}

NOINLINE void *alloc_slow(size_t bytes)
{
    if (UNLIKELY(!heap_enter()))
        return or_no_memory(emergency_alloc(bytes, 1));
    void *p = alloc_inside(bytes);
    return LIKELY(p != NULL) ? p : alloc_again(bytes);
}

static void *alloc_class_zeroed(size_t bytes)
{
    enum { WORTH_CARVING_BYTES = 1024 };
    unsigned class = class_of(bytes);
    struct heap *heap = heap_attach();
    if (bytes >= WORTH_CARVING_BYTES && heap != NULL && heap->front.bins[class].head == BLOCK_END) {
        void *block = heap_take_zeroed(heap, class);
        if (block != NULL) {
            count_refill(heap, class, bytes);
            return block;
        }
    }
    void *block = alloc_in(heap, class, bytes);
    return block != NULL ? memset(block, 0, bytes) : NULL;
}

static void *emergency_alloc_zeroed(size_t bytes)
{
    void *p = emergency_alloc(bytes, 1);
    return p != NULL ? memset(p, 0, bytes) : NULL;
}

static void *alloc_zeroed_inside(size_t bytes)
{
    void *p = bytes <= CLASS_MAX_BYTES ? alloc_class_zeroed(bytes) : large_alloc_zeroed(bytes);
    heap_finish();
    return p;
}

void *heap_alloc_zeroed(size_t bytes)
{
    if (UNLIKELY(!heap_enter()))
        return or_no_memory(emergency_alloc_zeroed(bytes));
    void *p = alloc_zeroed_inside(bytes);
    for (unsigned n = 0; UNLIKELY(p == NULL) && try_again(bytes, n); n++)
        p = alloc_zeroed_inside(bytes);
    return or_no_memory(p);
}

void *heap_calloc(size_t n, size_t each)
{
    size_t bytes;
    if (UNLIKELY(__builtin_mul_overflow(n, each, &bytes)))
        return or_no_memory(NULL);
    return heap_alloc_zeroed(bytes);
}

static void *alloc_aligned(size_t align, size_t bytes)
{
    size_t need = max_size(bytes, align);
    if (need > CLASS_MAX_BYTES)
        return large_alloc(need > bytes && bytes > 0 ? bytes : need, align);
    unsigned class = class_of(need);
    while (class_bytes(class) % align != 0)
        class ++;
    return alloc_class(class, bytes);
}

static void *alloc_aligned_inside(size_t align, size_t bytes)
{
    void *p = alloc_aligned(align, bytes);
    heap_finish();
    return p;
}

/* Slabs are aligned to 64 KiB, so blocks of a class are aligned to what divides its size. */
void *heap_alloc_aligned(size_t align, size_t bytes)
{
    if (align <= BLOCK_ALIGN)
        return heap_alloc(bytes);
    if (UNLIKELY(!heap_enter()))
        return or_no_memory(emergency_alloc(bytes, align));
    void *p = alloc_aligned_inside(align, bytes);
    for (unsigned n = 0; UNLIKELY(p == NULL) && try_again(max_size(bytes, align), n); n++)
        p = alloc_aligned_inside(align, bytes);
    return or_no_memory(p);
}

/* ---- free ---- */

/* p is in its bin already; it is passed because that is what the fast path has at hand. */
NOINLINE void free_look_at_bin(void *p, size_t scaled)
{
    (void)p;
    (void)heap_enter(); /* whose bin it is was not inside */
    heap_shrink_due(heap_of(front_own));
    heap_look_at_bin(heap_of(front_own), (unsigned)(scaled / CLASS_SCALE));
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

NOINLINE static void free_as_guest(struct block *block, struct place place)
{
    struct heap *host = heap_visit();
    if (host == NULL)
        return; /* no memory even for one heap: the block is lost, the program goes on */
    if (host->number == place.owner)
        free_into_bin(host, block, place.class);
    else
        heap_free_remote_now(host, block, place.class, place.owner);
    heap_visit_end(host);
}

/* Whether a block can begin there. Whether it is live, only its seal can tell. */
static bool is_block(struct place place)
{
    return class_is_block_start(class_reciprocal_table[place.class], place.offset) &&
           place.offset + class_bytes(place.class) <= UNIT_BYTES;
}

/* Ends the process unless p can be another allocator's block. */
static void check_foreign(const void *p, const char *fault)
{
    if (options.foreign == FOREIGN_ABORT || !os_foreign_is_libc_block(p))
        panic(fault, p, 0);
}

COLD static void free_foreign(void *p)
{
    if (options.foreign == FOREIGN_IGNORE)
        return;
    check_foreign(p, free_of_no_block);
    os_foreign_free(p);
}

static void free_small(struct block *block, struct place place)
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
COLD static void free_put_off(void)
{
    struct block *block = emergency_put_off_take();
    while (block != NULL) {
        struct block *next = block->next;
        free_slow(block);
        block = next;
    }
}

NOINLINE void free_slow(void *p)
{
    if (p == NULL)
        return;
    if (UNLIKELY(!heap_enter())) {
        emergency_free(p);
        return;
    }
    struct place place = map_place((uintptr_t)p);
    bool done = true;
    if (UNLIKELY(!place.is_slab))
        done = large_free(p);
    else if (UNLIKELY(!is_block(place)))
        panic(free_of_no_block, p, class_bytes(place.class));
    else
        free_small(p, place);
    heap_finish();
    if (UNLIKELY(!done) && !emergency_free_own(p))
        free_foreign(p);
    if (UNLIKELY(emergency_has_put_off()))
        free_put_off();
}

/* ---- realloc and friends ---- */

/* NULL: no large block begins there. Inside already, it is not looked for long. */
static struct span *large_at(const void *p)
{
    if (UNLIKELY(!heap_enter()))
        return arena_large_at_soon(p);
    struct span *span = arena_large_at(p);
    heap_leave();
    return span;
}

size_t heap_usable_size(void *p)
{
    struct place place = map_place((uintptr_t)p);
    if (LIKELY(place.is_slab))
        return is_block(place) ? class_bytes(place.class) : 0;
    const struct span *span = large_at(p);
    if (span != NULL)
        return span_bytes(span);
    size_t usable = emergency_usable_size(p);
    return usable == 0 && os_foreign_is_libc_block(p) ? os_foreign_usable_size(p) : usable;
}

size_t heap_good_size(size_t bytes)
{
    if (bytes <= CLASS_MAX_BYTES)
        return class_bytes(class_of(bytes));
    return bytes <= PTRDIFF_MAX ? round_up(bytes, max_size(os_page_bytes(), PAGE_BYTES)) : 0;
}

/* A block that grows in pages is likely to grow again: some slack, which is not touched until
 * then. */
static void *alloc_to_grow(size_t bytes)
{
    if (!heap_enter())
        return NULL;
    void *p = large_alloc(bytes + bytes / 8, 1);
    heap_finish();
    return p;
}

static void *realloc_by_copy(void *p, size_t old_bytes, size_t bytes)
{
    void *to = NULL;
    if (bytes > CLASS_MAX_BYTES && bytes > old_bytes && bytes < PTRDIFF_MAX / 2)
        to = alloc_to_grow(bytes);
    int saved_errno = errno;
    if (to == NULL)
        to = heap_alloc(bytes);
    if (to == NULL && bytes <= old_bytes) {
        errno = saved_errno; /* it fits where it is */
        return p;
    }
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
    if (UNLIKELY(!is_block(place)))
        panic(realloc_of_no_block, block, usable);
    /* The caller is about to use the block, so looking at it costs no cache miss here. */
    if (UNLIKELY(block_is_sealed(block, block->next, block_secret)))
        panic("realloc of a free block", block, usable);
    return is_good_fit(bytes, usable) ? block : realloc_by_copy(block, usable, bytes);
}

COLD static void *realloc_foreign(void *p, size_t bytes)
{
    check_foreign(p, realloc_of_no_block);
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
    return usable > 0 ? realloc_by_copy(p, usable, bytes) : or_no_memory(NULL);
}

static void *realloc_block(void *p, size_t bytes)
{
    struct place place = map_place((uintptr_t)p);
    if (LIKELY(place.is_slab))
        return realloc_small(p, place, bytes);
    if (UNLIKELY(!heap_enter()))
        return realloc_inside(p, bytes);
    struct span *span = arena_large_at(p);
    size_t usable = span != NULL ? span_bytes(span) : 0;
    void *resized = NULL;
    if (span != NULL && bytes > CLASS_MAX_BYTES)
        resized = large_realloc(span, bytes);
    heap_finish();
    if (resized != NULL)
        return resized;
    if (span == NULL)
        usable = emergency_usable_size(p);
    return usable > 0 ? realloc_by_copy(p, usable, bytes) : realloc_foreign(p, bytes);
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
