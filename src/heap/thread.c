/* SPDX-License-Identifier: MIT */
/*
 * Which thread has which heap.
 *
 *   T1 adopt      a thread takes a parked heap, slabs and all, or makes a new one. It waits for the
 *                 guest inside, if there is one           [threads lock; then guest, heap's lock]
 *   T2 park       the thread's end hook empties outboxes, bins, magazines and inboxes, and parks
 *                 the heap. The state changes under the guest lock and the heap's lock, so
 *                 that who holds either and sees PARKED sees all of that; only then the heap goes
 *                 to the list                             [guest, heap's lock; threads lock]
 *   T3 visit      a thread without a heap is a guest: for the time of one call it works in a parked
 *                 heap, bins and all, under the heap's guest lock. A heap that is in use is passed
 *                 over, so that guests spread out by themselves; new ones are made up to a number
 *                                                         [threads lock, tries guest; heap's lock]
 *
 *   T4 group      a heap that is made for a group never becomes a thread's, nor is it the other way
 *                 round: from its making on its state is GROUP, and it waits in a list of its own
 *                 for the next group                          [threads lock]
 *
 * Guests are: threads in their first guest_calls calls, for most threads that ever live make few
 * and neither time nor memory of a heap comes back from them; threads after their last destructor;
 * those that could not get a heap, and signal handlers (handler.h). Their front is front_empty:
 * malloc and free take the slow path. The main thread has a heap at once.
 *
 * The end hook is the destructor of a thread-specific value, and asks to be called again twice
 * before T2: other keys' destructors that malloc in the same or the next round still find a fast
 * heap. Guests have it too, so that none adopts a heap while its thread ends.
 * A heap is made once and lives for ever: whoever holds its number may push to its inbox at any
 * time. Fork: see fork.c. Tests: tests/unit/test_heap_threads.c, test_heap_guests.c,
 * tests/race/race_adoption.c, tests/models/model_heaps.c.
 */
#include "base/check.h"
#include "conf/options.h"
#include "heap/heap.h"
#include "mem/arena.h"
#include "os/process.h"

enum {
    DESTRUCTOR_ROUNDS = 2,
    THREAD_OVER = 255,
    PARKED_TRIED = 16,      /* parked heaps looked at for one that suits */
    UNUSED_TRIED = 16,      /* heaps looked at for one that is not in use */
    PARKED_FOR_GUESTS = 16, /* none is made for guests from then on */
};

enum end_hook { HOOK_NONE, HOOK_FAILED, HOOK_READY };

static struct {
    struct lock lock;
    bool initialised;               /* [lock] */
    struct heap *parked;            /* [lock] by next_parked, parked last first */
    _Atomic uint32_t n_parked;      /* changes under the lock */
    struct heap *vacant;            /* [lock] heaps for groups, by next_parked */
    _Atomic uint32_t n_numbers;     /* changes under the lock: numbers given out */
    _Atomic uint32_t n_for_threads; /* changes under the lock: of these, not for groups */
    _Atomic uint64_t n_adopted;     /* change under the lock */
    _Atomic uint64_t n_abandoned;
    _Atomic uint32_t end_hook; /* enum end_hook, leaves HOOK_NONE once: see thread_hook */
} threads = {.lock = LOCK_INIT(LOCK_THREADS)};

/* Which, set before they are counted. */
static _Atomic uint16_t for_threads[HEAPS_MAX];

static THREAD_LOCAL bool thread_is_hooked;

/* How often this thread's destructor has run, or THREAD_OVER. */
static THREAD_LOCAL uint8_t thread_rounds;

/* As a guest: calls so far, and the heap visited last. */
static THREAD_LOCAL uint32_t guest_calls;
static THREAD_LOCAL uint32_t guest_host; /* its number, or 0 */

uint32_t heap_number_max(void)
{
    return atomic_get_acquire(&threads.n_numbers);
}

uint32_t heap_live_count(void)
{
    /* The loads may be of different moments. */
    int32_t n = (int32_t)(atomic_get_relaxed(&threads.n_for_threads) -
                          atomic_get_relaxed(&threads.n_parked));
    return n > 1 ? (uint32_t)n : 1;
}

struct heap_turnover heap_turnover(void)
{
    return (struct heap_turnover){
        .n_adopted = atomic_get_relaxed(&threads.n_adopted),
        .n_abandoned = atomic_get_relaxed(&threads.n_abandoned),
    };
}

static void init_locked(void)
{
    if (threads.initialised)
        return;
    threads.initialised = true;
    block_secret_init(os_random_bits());
}

static struct heap *heap_make_locked(enum heap_state state)
{
    init_locked();
    uint32_t number = atomic_get_relaxed(&threads.n_numbers) + 1;
    if (number >= HEAPS_MAX)
        return NULL;
    struct heap *heap = heap_new(number, state);
    if (heap != NULL)
        atomic_put_release(&threads.n_numbers, number);
    return heap;
}

/* For threads and guests. */
static struct heap *heap_make_for_thread_locked(enum heap_state state)
{
    struct heap *heap = heap_make_locked(state);
    if (heap == NULL)
        return NULL;
    uint32_t n = atomic_get_relaxed(&threads.n_for_threads);
    uint32_t number = atomic_get_relaxed(&threads.n_numbers);
    atomic_put_relaxed(&for_threads[n], (uint16_t)number);
    atomic_put_release(&threads.n_for_threads, n + 1);
    return heap;
}

uint32_t heap_for_threads_count(void)
{
    return atomic_get_acquire(&threads.n_for_threads);
}

struct heap *heap_for_threads_at(uint32_t i)
{
    return heap_by_number(atomic_get_relaxed(&for_threads[i]));
}

/* ---- parked heaps ---- */

static void parked_push_locked(struct heap *heap)
{
    heap->next_parked = threads.parked;
    threads.parked = heap;
    atomic_add_relaxed(&threads.n_parked, 1);
}

/* Where the list leads to the heap this thread has blocks in, or to its first heap. */
static struct heap **parked_choose_locked(void)
{
    struct heap **link = &threads.parked;
    for (int i = 0; i < PARKED_TRIED && *link != NULL; i++, link = &(*link)->next_parked) {
        if ((*link)->number == guest_host)
            return link;
    }
    return &threads.parked;
}

static struct heap *parked_pop_locked(void)
{
    struct heap **link = parked_choose_locked();
    struct heap *heap = *link;
    if (heap != NULL) {
        *link = heap->next_parked;
        atomic_sub_relaxed(&threads.n_parked, 1);
    }
    return heap;
}

static bool is_unused(const struct heap *heap)
{
    uint32_t state = atomic_get_relaxed(&heap->state);
    return state == HEAP_PARKED || (state == HEAP_LIVE && heap_caches_are_short()) ||
           heap_is_idle(heap);
}

/* Starts at another one each time, so that all get their turn. */
struct heap *heap_unused_take(const struct heap *mine)
{
    static _Atomic uint32_t turn;
    if (LIKELY(atomic_get_relaxed(&threads.n_parked) == 0 && !heap_any_idle()) &&
        !heap_caches_are_short())
        return NULL;
    uint32_t n = heap_for_threads_count();
    for (int i = 0; i < UNUSED_TRIED; i++) {
        struct heap *heap = heap_for_threads_at(atomic_add_relaxed(&turn, 1) % n);
        if (heap == NULL || heap == mine || !is_unused(heap) || !lock_try(&heap->lock))
            continue;
        if (is_unused(heap))
            return heap;
        lock_release(&heap->lock);
    }
    return NULL;
}

static void state_set(struct heap *heap, enum heap_state state)
{
    lock_take(&heap->guest_lock);
    lock_take(&heap->lock);
    atomic_put_relaxed(&heap->state, state);
    lock_release(&heap->lock);
    lock_release(&heap->guest_lock);
}

/* The reserve of a limit is not for them, but for one that all guests share. */
static bool has_memory_for_heaps(void)
{
    return LIKELY(!arena_refuses(SPAN_LARGE, sizeof(struct heap)));
}

/* When no more can be made, the last parked one stays: it is the guests'. */
static bool has_heaps_to_spare_locked(void)
{
    uint32_t n_parked = atomic_get_relaxed(&threads.n_parked);
    return n_parked > 1 ||
           (n_parked == 1 && atomic_get_relaxed(&threads.n_numbers) + 1 < HEAPS_MAX &&
            has_memory_for_heaps());
}

/* T1 */
static struct heap *heap_for_thread(void)
{
    lock_take(&threads.lock);
    struct heap *heap = NULL;
    bool adopted = has_heaps_to_spare_locked();
    if (adopted)
        heap = parked_pop_locked();
    else if (has_memory_for_heaps())
        heap = heap_make_for_thread_locked(HEAP_LIVE);
    counter_add(&threads.n_adopted, adopted);
    lock_release(&threads.lock);
    if (adopted)
        state_set(heap, HEAP_LIVE);
    return heap;
}

/* T2 */
static void heap_park(struct heap *heap)
{
    heap_flush_outboxes(heap);
    heap_flush(heap);
    heap_close_shelves(heap);
    state_set(heap, HEAP_PARKED);
    lock_take(&threads.lock);
    parked_push_locked(heap);
    counter_add(&threads.n_abandoned, 1);
    lock_release(&threads.lock);
}

/* ---- T4: groups ---- */

static struct heap *group_make_locked(void)
{
    uint32_t n_groups = heap_number_max() - heap_for_threads_count();
    bool may_be = n_groups < GROUPS_MAX && has_memory_for_heaps();
    return may_be ? heap_make_locked(HEAP_GROUP) : NULL;
}

struct heap *heap_for_group(void)
{
    lock_take(&threads.lock);
    struct heap *heap = threads.vacant;
    if (heap != NULL)
        threads.vacant = heap->next_parked;
    else
        heap = group_make_locked();
    lock_release(&threads.lock);
    return heap;
}

void heap_vacate(struct heap *heap)
{
    lock_take(&threads.lock);
    heap->next_parked = threads.vacant;
    threads.vacant = heap;
    lock_release(&threads.lock);
}

/* ---- T3: guests ---- */

static bool guest_enters(struct heap *heap)
{
    if (!lock_try(&heap->guest_lock))
        return false;
    if (LIKELY(atomic_get_relaxed(&heap->state) == HEAP_PARKED))
        return true;
    lock_release(&heap->guest_lock);
    return false;
}

/* A new host, entered, unless somebody else was faster: then it is busy. */
static struct heap *host_make_locked(struct heap **busy)
{
    struct heap *heap = heap_make_for_thread_locked(HEAP_PARKED);
    if (heap == NULL)
        return NULL;
    parked_push_locked(heap);
    *busy = heap;
    return guest_enters(heap) ? heap : NULL;
}

/* A parked heap that was not in use, entered. A new one where there are few; else NULL, and *busy
 * is one to wait for, if there is any. */
static struct heap *host_find(struct heap **busy)
{
    struct heap *heap = NULL;
    *busy = NULL;
    lock_take(&threads.lock);
    struct heap *next = threads.parked;
    for (int i = 0; i < PARKED_TRIED && next != NULL && heap == NULL; i++) {
        if (guest_enters(next))
            heap = next;
        *busy = next;
        next = next->next_parked;
    }
    bool may_make = *busy == NULL || has_memory_for_heaps();
    if (heap == NULL && may_make && atomic_get_relaxed(&threads.n_parked) < PARKED_FOR_GUESTS)
        heap = host_make_locked(busy);
    lock_release(&threads.lock);
    return heap;
}

static struct heap *host_wait(struct heap *busy)
{
    lock_take(&busy->guest_lock);
    if (atomic_get_relaxed(&busy->state) == HEAP_PARKED)
        return busy;
    lock_release(&busy->guest_lock);
    return NULL;
}

static struct heap *visit(void)
{
    struct heap *host = guest_host != 0 ? heap_by_number(guest_host) : NULL;
    if (LIKELY(host != NULL && guest_enters(host)))
        return host;
    do {
        struct heap *busy;
        host = host_find(&busy);
        if (host == NULL && busy == NULL)
            return NULL;
        if (host == NULL)
            host = host_wait(busy);
    } while (host == NULL);
    guest_host = host->number;
    return host;
}

struct heap *heap_visit(void)
{
    struct heap *host = visit();
    if (LIKELY(host != NULL))
        heap_note_active(host);
    return host;
}

void heap_visit_end(struct heap *host)
{
    lock_release(&host->guest_lock);
}

/* ---- threads ---- */

/* From then on the thread is a guest for the rest of its life. */
static void thread_leave(void)
{
    bool entered = heap_enter();
    handler_forget();
    struct front *front = front_own;
    front_own = (struct front *)&front_empty;
    thread_rounds = THREAD_OVER;
    if (!entered)
        return; /* ended in the middle of it (asynchronous cancellation): what it had is lost */
    if (front != &front_empty)
        heap_park(heap_of(front));
    heap_leave();
}

static void thread_end(void *value)
{
    if (thread_rounds++ < DESTRUCTOR_ROUNDS && os_thread_at_exit(value))
        return;
    thread_leave();
}

void heap_end_hook_make(void)
{
    bool works = os_thread_at_exit_init(thread_end);
    atomic_put_release(&threads.end_hook, works ? HOOK_READY : HOOK_FAILED);
}

/* The end hook is the destructor of a thread-specific value. A process with one thread needs none
 * and shall not pay for it, so the first other thread that calls makes it, before it takes any
 * lock. Several threads may do so at once: it bears that. */
static bool end_hook_exists(void)
{
    if (LIKELY(atomic_get_acquire(&threads.end_hook) != HOOK_NONE))
        return true;
    /* Who has a heap already is the main thread. */
    if (front_own != &front_empty || os_is_main_thread())
        return false;
    heap_end_hook_make();
    return true;
}

/* Sees to it that the thread's end will be noticed. A thread whose end would not be must not have a
 * heap: it would never come back. The main thread's end is nearly always that of the process. */
static void thread_hook(void)
{
    if (thread_rounds == THREAD_OVER || !end_hook_exists())
        return;
    thread_is_hooked = true;
    heap_leave(); /* for libc may call malloc */
    bool is_noted = os_thread_at_exit(&threads);
    if (!is_noted && !os_is_main_thread())
        thread_leave();
    (void)heap_enter();
}

void heap_guest_early(void)
{
    front_own = (struct front *)&front_empty;
    atomic_put_relaxed(&front_mine, front_own);
    thread_rounds = THREAD_OVER;
}

static struct heap *attach_new(void)
{
    struct heap *heap = heap_for_thread();
    if (heap == NULL)
        return NULL;
    front_own = &heap->front;
    heap_note_active(heap);
    return heap;
}

/* Counts this call. */
static bool is_guest(void)
{
    if (thread_rounds == THREAD_OVER)
        return true;
    if (guest_calls == 0 && os_is_main_thread())
        return false;
    return guest_calls++ < options.guest_calls;
}

static struct heap *attach_or_visit(void)
{
    if (handler_heap() != NULL)
        return handler_heap_back();
    return is_guest() ? NULL : attach_new();
}

struct heap *heap_attach(void)
{
    if (UNLIKELY(!thread_is_hooked))
        thread_hook();
    if (UNLIKELY(front_own == &front_empty))
        return attach_or_visit();
    struct heap *heap = heap_of(front_own);
    heap_note_active(heap);
    heap_shrink_due(heap);
    return heap;
}

/* ---- fork ---- */

void heap_threads_fork_prepare(void)
{
    lock_take(&threads.lock);
}

void heap_threads_fork_parent(void)
{
    lock_release(&threads.lock);
}

void heap_threads_fork_child(void)
{
    lock_reset(&threads.lock);
}

/* Heaps that were in use have become orphans. Returns how many there were in the list. */
static uint32_t drop_orphans(struct heap **link)
{
    uint32_t n = 0;
    while (*link != NULL) {
        if (atomic_get_relaxed(&(*link)->state) != HEAP_ORPHAN) {
            link = &(*link)->next_parked;
        } else {
            *link = (*link)->next_parked;
            n++;
        }
    }
    return n;
}

void heap_threads_fork_unnoticed(void)
{
    if (lock_is_held(&threads.lock)) {
        threads.parked = NULL;
        threads.vacant = NULL;
        atomic_put_relaxed(&threads.n_parked, 0);
    }
    atomic_sub_relaxed(&threads.n_parked, drop_orphans(&threads.parked));
    (void)drop_orphans(&threads.vacant);
    heap_threads_fork_child();
}
