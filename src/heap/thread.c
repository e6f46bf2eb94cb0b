/* SPDX-License-Identifier: MIT */
/*
 * Which thread has which heap.
 *
 *   T1 attach     a thread's first malloc or free takes the heap parked last, slabs and all, or
 *                 makes a new one                        [threads lock, then the heap's lock]
 *   T2 end        the thread's key destructor empties outboxes, bins, magazines and inboxes, and
 *                 parks the heap. PARKED is set under the heap's lock, so a tidier or a taker of
 *                 slabs that holds it sees all of that; only then it goes to the list
 *                                                        [heap's lock; threads]
 *   T3 afterwards the thread's front is front_empty again, so every malloc and free takes its slow
 *                 path and there the late heap, one for all such threads, under the late lock
 *
 * The destructor asks to be called again twice before T2: other keys' destructors that malloc in
 * the same or the next round still find a fast heap.
 * A heap is made once and lives for ever: whoever holds its number may push to its inbox at any
 * time. Fork: see fork.c.
 */
#include "base/check.h"
#include "heap/heap.h"
#include "mem/meta.h"
#include "os/process.h"

enum { DESTRUCTOR_ROUNDS = 2, THREAD_OVER = 255 };

enum hooks { HOOKS_NONE, HOOKS_HALF, HOOKS_READY };

static struct {
    struct lock lock;
    bool initialised;           /* [lock] */
    struct heap *parked;        /* [lock] by next_parked, parked last first */
    _Atomic uint32_t n_parked;  /* changes under the lock */
    _Atomic uint32_t n_numbers; /* changes under the lock: numbers given out */
    _Atomic uint32_t hooks;     /* enum hooks, leaves HOOKS_NONE once: see hooks_make */
} threads = {.lock = LOCK_INIT(LOCK_THREADS), .n_numbers = LATE_NUMBER};

static struct {
    struct lock lock;
    struct heap *heap; /* [lock] */
} late = {.lock = LOCK_INIT(LOCK_LATE)};

static THREAD_LOCAL bool thread_makes_hooks;

/* How often this thread's destructor has run, or THREAD_OVER. */
static THREAD_LOCAL uint8_t thread_rounds;

uint32_t heap_number_max(void)
{
    return atomic_get_acquire(&threads.n_numbers);
}

uint32_t heap_live_count(void)
{
    /* The late heap's number is not a thread's; the two loads may be of different moments. */
    int32_t n = (int32_t)(atomic_get_relaxed(&threads.n_numbers) - LATE_NUMBER -
                          atomic_get_relaxed(&threads.n_parked));
    return n > 1 ? (uint32_t)n : 1;
}

static void init_locked(void)
{
    if (threads.initialised)
        return;
    threads.initialised = true;
    block_secret_init(os_random_bits());
}

static struct heap *parked_pop_locked(void)
{
    struct heap *heap = threads.parked;
    if (heap != NULL) {
        threads.parked = heap->next_parked;
        atomic_sub_relaxed(&threads.n_parked, 1);
    }
    return heap;
}

static struct heap *heap_make_locked(void)
{
    uint32_t number = atomic_get_relaxed(&threads.n_numbers) + 1;
    if (number >= HEAPS_MAX)
        return NULL;
    struct heap *heap = heap_new(number);
    if (heap != NULL)
        atomic_put_release(&threads.n_numbers, number);
    return heap;
}

/* T1 */
static struct heap *heap_for_thread(void)
{
    lock_take(&threads.lock);
    init_locked();
    struct heap *heap = parked_pop_locked();
    bool adopted = heap != NULL;
    if (!adopted)
        heap = heap_make_locked();
    lock_release(&threads.lock);
    if (adopted) {
        lock_take(&heap->lock);
        atomic_put_relaxed(&heap->state, HEAP_LIVE);
        lock_release(&heap->lock);
    }
    return heap;
}

static void caps_reset(struct heap *heap)
{
    for (unsigned class = 0; class < N_CLASSES; class ++)
        heap->shelves[class].cap = 0;
    heap->caps_bytes = 0;
}

/* T2 */
static void heap_park(struct heap *heap)
{
    heap_flush_outboxes(heap);
    heap_flush(heap);
    caps_reset(heap);
    heap->is_hooked = false;
    lock_take(&heap->lock);
    atomic_put_relaxed(&heap->state, HEAP_PARKED);
    lock_release(&heap->lock);
    lock_take(&threads.lock);
    heap->next_parked = threads.parked;
    threads.parked = heap;
    atomic_add_relaxed(&threads.n_parked, 1);
    lock_release(&threads.lock);
}

static void thread_leave(struct heap *heap)
{
    front_mine = (struct front *)&front_empty;
    thread_rounds = THREAD_OVER;
    heap_park(heap);
}

static void thread_end(void *value)
{
    if (thread_rounds++ < DESTRUCTOR_ROUNDS && os_thread_at_exit(value))
        return;
    thread_leave(value);
}

/* The hooks are the destructor of ended threads and the handlers around fork. A process with one thread
 * needs neither and shall not pay for them, so the first other thread that needs a heap makes them,
 * before it takes any lock. Several threads may do so at once: both hooks bear that. */
static void hooks_make(void)
{
    if (LIKELY(atomic_get_acquire(&threads.hooks) != HOOKS_NONE) || thread_makes_hooks ||
        os_is_main_thread())
        return;
    thread_makes_hooks = true; /* libc may call malloc meanwhile */
    heap_hooks_make();
    thread_makes_hooks = false;
}

void heap_hooks_make(void)
{
    heap_fork_init();
    bool works = os_thread_at_exit_init(thread_end);
    atomic_put_release(&threads.hooks, works ? HOOKS_READY : HOOKS_HALF);
}

/* False: the thread's end would go unnoticed. */
static bool hook_thread(struct heap *heap)
{
    heap->is_hooked = true; /* first, for libc may call malloc */
    return atomic_get_acquire(&threads.hooks) != HOOKS_READY || os_thread_at_exit(heap);
}

static struct heap *attach_new(void)
{
    hooks_make();
    struct heap *heap = heap_for_thread();
    if (heap == NULL)
        return NULL;
    front_mine = &heap->front;
    if (atomic_get_acquire(&threads.hooks) == HOOKS_NONE)
        return heap; /* the main thread, or a call from within hooks_make */
    if (!hook_thread(heap)) {
        thread_leave(heap);
        return NULL;
    }
    return heap;
}

struct heap *heap_attach(void)
{
    if (UNLIKELY(front_mine == &front_empty))
        return thread_rounds == THREAD_OVER ? NULL : attach_new();
    struct heap *heap = heap_of(front_mine);
    if (UNLIKELY(!heap->is_hooked) && atomic_get_acquire(&threads.hooks) != HOOKS_NONE)
        (void)hook_thread(heap); /* it was alone when it came */
    return heap;
}

/* T3 */
struct heap *heap_late_take(void)
{
    lock_take(&threads.lock);
    init_locked();
    lock_release(&threads.lock);
    lock_take(&late.lock);
    if (late.heap == NULL)
        late.heap = heap_new(LATE_NUMBER);
    if (late.heap == NULL)
        lock_release(&late.lock);
    return late.heap;
}

void heap_late_release(void)
{
    heap_flush_outboxes(late.heap);
    lock_release(&late.lock);
}

/* Starts at another number each time, so that all get their turn. */
struct heap *heap_parked_take(void)
{
    static _Atomic uint32_t turn;
    enum { NUMBERS_TRIED = 16 };
    if (LIKELY(atomic_get_relaxed(&threads.n_parked) == 0))
        return NULL;
    uint32_t n = heap_number_max();
    for (int i = 0; i < NUMBERS_TRIED; i++) {
        struct heap *heap = heap_by_number(1 + atomic_add_relaxed(&turn, 1) % n);
        if (heap == NULL || atomic_get_relaxed(&heap->state) != HEAP_PARKED ||
            !lock_try(&heap->lock))
            continue;
        if (atomic_get_relaxed(&heap->state) == HEAP_PARKED)
            return heap;
        lock_release(&heap->lock);
    }
    return NULL;
}

/* ---- fork ---- */

void heap_threads_fork_prepare(void)
{
    lock_take(&threads.lock);
    lock_take(&late.lock);
}

void heap_threads_fork_parent(void)
{
    lock_release(&late.lock);
    lock_release(&threads.lock);
}

void heap_threads_fork_child(void)
{
    lock_reset(&late.lock);
    lock_reset(&threads.lock);
}
