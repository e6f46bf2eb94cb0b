/* SPDX-License-Identifier: MIT */
/*
 * Heap: one thread's bins and slabs.
 *
 * Where a free block may be, from hot to cold: the bin (the owner's thread alone, no lock), the
 * magazine (a full chain set aside), the inbox (left by other threads), the bitmap of its slab.
 * alloc.h has the fast paths; refill.c moves blocks towards the bin, flush.c back towards the
 * slabs, remote.c to other heaps; thread.c gives heaps to threads and takes them back.
 *
 * Guards: [owner] the thread whose heap this is, or whoever holds the guest lock of a parked heap;
 * [lock] the holder of heap->lock; [atomic] any thread; [const] set before the heap is published.
 *
 * State of a heap, changes under the guest lock and the lock:
 *   LIVE    a thread's
 *   PARKED  its thread has ended, or it never had one. It may own slabs with live blocks. Waits for
 *           a thread to adopt it; meanwhile threads without a heap work in it, one at a time, and
 *           whoever holds the lock may tidy it or take slabs out of it
 *   ORPHAN  in a child of fork: its thread was not forked with it and may have left it torn.
 *           Blocks may be pushed to it, nothing else
 *   GROUP   no thread's, ever, but a group's (group.c), or vacant until the next group is made. Its
 *           slabs hold blocks of the group alone: none is taken from it or brought to it
 */
#ifndef POOLALLOC_HEAP_HEAP_H
#define POOLALLOC_HEAP_HEAP_H

#include "conf/classes.h"
#include "heap/handler.h"
#include "mem/block.h"
#include "mem/group.h"
#include "mem/inbox.h"
#include "mem/limit.h"
#include "mem/map.h"
#include "mem/span.h"
#include "os/fixed.h"
#include "os/lock.h"

enum {
    N_OUTBOXES = 128,
    OUTBOX_STRIDE = 24, /* classes that one owner's blocks have, mostly */
    OUTBOX_MAX_BLOCKS = 64,
    OUTBOX_MAX_BYTES = 4 * 1024,
    OUTBOXES_MAX_BYTES = 32 * 1024, /* all of a heap together */
    HEAPS_MAX = 1 << 15, /* heap numbers are 15 bits of a slab word; 0 is the empty heap's */
    GROUPS_MAX = HEAPS_MAX / 2,
};

enum sample_kind { SAMPLE_PROFILE, SAMPLE_GUARD, N_SAMPLE_KINDS };

/* How far choices for the profile are thinned: sample.c. */
struct pace {
    _Atomic uint32_t epoch; /* idle_epoch when it was looked at last */
    _Atomic uint16_t level; /* 0: not */
    bool is_busy;           /* a sample has been taken since */
};

enum heap_state { HEAP_LIVE, HEAP_PARKED, HEAP_ORPHAN, HEAP_GROUP };

/* What malloc and free of one class touch: half a cache line. [owner]
 *
 * Counting: allocs is exact as it stands. frees is frees_base - left, because the fast path counts
 * `left` down to know when to look at the bin, and whoever sets `left` anew corrects frees_base. */
struct bin {
    struct block *head; /* BLOCK_END when empty */
    _Atomic uint64_t allocs;
    _Atomic int32_t left; /* frees until the next look */
    uint32_t reciprocal;  /* [const] of the class, for the check that a block begins there */
    _Atomic uint64_t frees_base;
};

_Static_assert(sizeof(struct bin) == CLASS_SCALE, "the fast paths index bins by a scaled class");

/* What the slow paths of one class touch. A look at the bin, upon a free, touches the first line
 * alone. */
struct shelf {
    ALIGNED(CACHE_LINE_BYTES) uint32_t cap; /* [owner] blocks in the bin before it overflows */
    uint32_t n_magazine;                    /* [lock] */
    _Atomic uint32_t n_slabs;               /* changes under the lock */
    bool refilled_from_slab; /* [owner] since the last overflow: the cap was too small */
    bool is_hot;             /* [owner] looked at since the hand of caps_shrink came by */
    bool is_draining;        /* [owner] blocks go home as they are freed: flush.c */
    bool gave_up;            /* [owner] a medium block had to go home, and none was wanted since */
    int64_t balance;         /* [owner] blocks in the bin - (frees - allocs) */
    uint64_t sample_next;    /* [owner] the least of sample_free; 0: they are to be looked at */
    struct pace sample_pace; /* [owner] */
    struct block *magazine;  /* [lock] */
    struct span *slab;       /* [lock] the current one, in no list */
    struct span *partial;    /* [lock] other slabs that have free blocks */
    struct span *full;       /* [lock] those that have none */

    /* sample.c. [owner] */
    uint64_t sample_until[N_SAMPLE_KINDS]; /* distance to the next choice; 0: not drawn yet */
    uint64_t
        sample_free[N_SAMPLE_KINDS]; /* the free into the bin that is chosen next: its number */

    /* Counters of the owner's: any thread may read them. */
    _Atomic uint64_t n_refills;      /* calls that found the bin empty */
    _Atomic uint64_t asked_bytes;    /* what these calls asked for: a sample of all */
    _Atomic uint64_t n_remote_frees; /* of blocks of other heaps; the bin does not count them */
};

/* Blocks of one class for one other heap, collected until it is worth a push. [owner] */
struct outbox {
    struct block *head;
    struct block *tail;
    uint32_t owner;
    uint16_t n;
    uint8_t class;
    uint8_t capacity; /* blocks that make a push worth it */
};

/* All that the fast paths know of a heap. */
struct front {
    _Atomic uint64_t
        *words;       /* [owner] slab words of the 4 GiB window that most of my slabs are in */
    uint64_t tag;     /* [const] map_tag(number) */
    uintptr_t secret; /* [const] block_secret */

    ALIGNED(CACHE_LINE_BYTES) struct bin bins[N_CLASSES];
};

struct held;

struct heap {
    struct front front;

    struct lock lock;
    struct lock guest_lock;
    uint32_t number;            /* [const] */
    _Atomic uint32_t state;     /* enum heap_state */
    struct heap *next_parked;   /* [lock: threads] in the list it waits in */
    uint32_t n_looks;           /* [owner] at bins, since ever */
    uint32_t reviewed_ms;       /* [owner] when one of them was the last that looked at more */
    _Atomic uint64_t reading;   /* of obs/stats.c that holds the lock; changes under it */
    unsigned cap_hand;          /* [owner] the class whose cap may shrink next */
    _Atomic uint32_t active;    /* idle_epoch when the owner was last in a slow path */
    uint32_t shrunk;            /* [owner] heap_shrink_epoch when its caches were shrunk last */
    _Atomic bool has_mail_left; /* in a magazine: the sweep of it goes on. Changes under the lock */
    struct span *purge_at;      /* [lock] where heap_purge_slabs_locked goes on; NULL: with */
    uint32_t purge_class;       /* [lock] this class */
    bool purge_is_stale;        /* [lock] that was for stale slabs alone */
    uint32_t swept;      /* [lock] 1 + `active` when all that was set aside went home; or 0 */
    size_t caps_bytes;   /* [owner] sum of the caps of all small classes in use */
    size_t medium_bytes; /* [lock] of the blocks in magazines of medium classes */
    size_t medium_max;   /* [owner] that these may be, or 0: as many as in the beginning */
    bool medium_missed;  /* [owner] one was wanted that had gone home */
    struct shelf shelves[N_CLASSES];
    struct outbox outboxes[N_OUTBOXES];
    size_t outbox_bytes;           /* [owner] in all of them */
    struct handler_stacks handler; /* [owner] while set aside */
    struct group group;            /* of a group's heap */
    struct held *held;             /* [owner] what is in quarantine: held.h */
    uint64_t random;               /* [owner] of held_random() */
    uint64_t sampled_until_ns;     /* [owner] the time that samples so far may have: sample.c */

    ALIGNED(CACHE_LINE_BYTES) struct inbox inboxes[N_CLASSES]; /* [atomic] */
};

/* Bins that are empty and a tag that no slab has: every fast path fails, and no test for NULL is
 * needed. Read-only. The first is a guest's, every thread's before its first call above all; the
 * second that of a thread that is inside. */
extern const struct front front_empty;
extern const struct front front_inside;

/* What the fast paths of this thread use: front_own; or front_inside, while it is in a slow path.
 * Atomic, as signal handlers change it (handler.h). */
extern THREAD_LOCAL _Atomic(struct front *) front_mine;

/* That of this thread's heap, or front_empty. */
extern THREAD_LOCAL struct front *front_own;

/* All calls take the slow paths: checked.h. [const] after start */
extern bool heap_is_checked FIXED;

/* What this thread's fast paths may use outside of slow paths. */
ALWAYS_INLINE struct front *front_outside(void)
{
    return UNLIKELY(heap_is_checked) ? (struct front *)&front_empty : front_own;
}

/* By number; entries are set once and never cleared. */
extern _Atomic(struct heap *) heap_table[HEAPS_MAX];

ALWAYS_INLINE bool heap_is_group(const struct heap *heap)
{
    return atomic_get_relaxed(&heap->state) == HEAP_GROUP;
}

/* front is a heap's. */
ALWAYS_INLINE struct heap *heap_of(struct front *front)
{
    return CONTAINER_OF(front, struct heap, front);
}

ALWAYS_INLINE struct heap *heap_by_number(uint32_t number)
{
    return atomic_get_acquire(&heap_table[number]);
}

/* One slab more, or one less. [lock] */
ALWAYS_INLINE void shelf_add_slab(struct shelf *shelf)
{
    atomic_put_relaxed(&shelf->n_slabs, atomic_get_relaxed(&shelf->n_slabs) + 1);
}

ALWAYS_INLINE void shelf_drop_slab(struct shelf *shelf)
{
    atomic_put_relaxed(&shelf->n_slabs, atomic_get_relaxed(&shelf->n_slabs) - 1);
}

/* So many more blocks in the magazine, or fewer. [lock] */
ALWAYS_INLINE void shelf_count_magazine(struct heap *heap, unsigned class, int64_t n)
{
    heap->shelves[class].n_magazine += (uint32_t)n;
    if (!class_is_small(class))
        heap->medium_bytes += (size_t)n * class_bytes(class);
}

ALWAYS_INLINE uint64_t bin_frees(const struct bin *bin)
{
    return atomic_get_relaxed(&bin->frees_base) - (uint64_t)(int64_t)atomic_get_relaxed(&bin->left);
}

ALWAYS_INLINE void bin_set_left(struct bin *bin, size_t left)
{
    uint64_t frees = bin_frees(bin);
    atomic_put_relaxed(&bin->left, (int32_t)left);
    atomic_put_relaxed(&bin->frees_base, frees + left);
}

/* Free blocks in the bin. [owner] */
ALWAYS_INLINE size_t bin_count(const struct heap *heap, unsigned class)
{
    const struct bin *bin = &heap->front.bins[class];
    return (size_t)heap->shelves[class].balance + bin_frees(bin) - atomic_get_relaxed(&bin->allocs);
}

enum fork_state { FORK_UNNOTICED, FORK_BEING_SEEN_TO, FORK_UNWATCHED, FORK_NONE };

/* ---- inside ----
 *
 * A thread is inside while it is in a slow path: it may hold locks, and what it works on may be
 * half done. All entries to the slow paths are between heap_enter() and heap_leave(); should a
 * signal handler come in again, the former says so, and only what emergency.h offers is safe.
 */

/* Where enum fork_state stands. See fork.c. */
extern _Atomic(_Atomic uint32_t *) fork_mark;
void heap_fork_look(void);

/* Signals that wait until this thread leaves, a bit each. */
extern THREAD_LOCAL volatile uint64_t signals_put_off;

ALWAYS_INLINE bool heap_is_inside(void)
{
    return atomic_get_relaxed(&front_mine) == &front_inside;
}

/* For a thread that is not inside. */
ALWAYS_INLINE void heap_go_inside(void)
{
    atomic_put_relaxed(&front_mine, (struct front *)&front_inside);
    atomic_signal_fence(memory_order_seq_cst);
    span_was_taken = false;
    if (UNLIKELY(atomic_get_acquire(atomic_get_acquire(&fork_mark)) != FORK_NONE))
        heap_fork_look();
}

/* False: the thread is inside already. */
ALWAYS_INLINE bool heap_enter(void)
{
    if (UNLIKELY(heap_is_inside()))
        return false;
    heap_go_inside();
    return true;
}

ALWAYS_INLINE void heap_leave(void)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_put_relaxed(&front_mine, front_outside());
    atomic_signal_fence(memory_order_seq_cst);
    if (UNLIKELY(signals_put_off != 0))
        handler_deliver();
}

/* ---- observers ----
 *
 * Called at the end of slow paths, when the thread is not inside and holds nothing; may not call
 * malloc. NULL: nobody wants to be.
 */
typedef void heap_observer_call(void);
extern _Atomic(heap_observer_call *) heap_observer;

/* What the layer that watches over memory does in our slow paths. */
struct heap_pressure_hooks {
    /* At the end of one, when memory_limits.is_look_due: may call malloc, not inside. */
    void (*look)(void);
    /* No memory was found for `bytes`, after n tries more than the first. True: another is worth
     * it. May call malloc, not inside. */
    bool (*refused)(size_t bytes, unsigned n);
    /* In a child of fork, before it goes on. */
    void (*forked)(void);
    /* What the background thread waits with. */
    void (*sleep_ms)(uint32_t ms);
};

/* NULL: nobody watches. Set once. */
extern _Atomic(const struct heap_pressure_hooks *) heap_pressure;

void heap_look(void);

/* The background thread is asked for and was not started yet: at the end of each slow path it is
 * looked whether that may be done now (background.c). */
extern _Atomic bool background_is_due;
void heap_background_look(void);

ALWAYS_INLINE void heap_observe(void)
{
    heap_observer_call *observer = atomic_get_relaxed(&heap_observer);
    if (UNLIKELY(observer != NULL))
        observer();
    if (UNLIKELY(atomic_get_relaxed(&memory_limits.is_look_due)))
        heap_look();
    if (UNLIKELY(atomic_get_relaxed(&background_is_due)))
        heap_background_look();
}

/* The end of a slow path. */
ALWAYS_INLINE void heap_finish(void)
{
    heap_leave();
    heap_observe();
}

/* ---- heap.c ---- */

/* A fresh heap with this number, which from then on others may find: it is in its state by then.
 * NULL: there is no memory. */
struct heap *heap_new(uint32_t number, enum heap_state state);

/* Verifies everything that can be verified of a heap whose lock and ownership the caller has; traps
 * on the first thing that does not hold. For tests. */
void heap_check(struct heap *heap);

/* ---- alloc.c ---- */

/* A block of this class out of a heap that the caller has to itself. NULL: there is no memory. */
void *heap_alloc_from(struct heap *heap, unsigned class, size_t bytes);

/* What a block of so many bytes has room for, where nothing is checked; 0: there can be none. */
size_t heap_room_of(size_t bytes);

/* Or it would be a large block. */
ALWAYS_INLINE bool heap_has_class(size_t align, size_t bytes)
{
    return max_size(bytes, align) <= (align <= PAGE_BYTES ? CLASS_MAX_BYTES : SMALL_MAX_BYTES);
}

/* Whose blocks suit: the class, and 0; or the bytes of a large block to be asked for. */
size_t heap_choose_aligned(size_t align, size_t bytes, unsigned *class);

/* ---- refill.c: blocks for the bin ---- */

/* The cap of a bin to begin with, in blocks. */
uint32_t heap_cap_first(unsigned class);

/* A class's first use: gives its bin a cap. */
void heap_open_shelf(struct heap *heap, unsigned class);

/* Puts at least one block into the empty bin of this class. False: there is no memory. */
bool heap_refill(struct heap *heap, unsigned class);

/* One block that reads as zero, without filling the bin, or NULL if none is easily had. */
void *heap_take_zeroed(struct heap *heap, unsigned class);

/* ---- flush.c: blocks back to their slabs ---- */

/* So many frees until the bin is looked at, or fewer: up to the next that is sampled. [owner] */
void heap_set_left(struct heap *heap, unsigned class, size_t left);

/* The bin's countdown ran out: sets it anew, and relieves the bin if it is over its cap. */
void heap_look_at_bin(struct heap *heap, unsigned class);

/* Every free block of bins, magazines and inboxes goes home; empty slabs go to the arena. */
void heap_flush(struct heap *heap);

/* One block out of the magazine of a medium class, which has some. [lock] */
struct block *heap_medium_take_locked(struct heap *heap, unsigned class);

/* Of a medium class no more than one block stays in the bin. [lock] */
void heap_medium_keep_one_locked(struct heap *heap, unsigned class);

/* The whole bin goes home. */
void heap_empty_bin(struct heap *heap, unsigned class);

/* Gives all slabs of a flushed heap to the arena, live blocks and all. Returns how many these were.
 * [lock] */
size_t heap_give_up_slabs_locked(struct heap *heap, unsigned class);

/* Of every heap, but for the bins of other threads'. Pages between live blocks as well, or not. */
void heap_flush_all(bool with_pages);

/* Each heap's caches are given up and begin small again, at its owner's next slow path. */
void heap_shrink_all(void);

/* While memory is short caches may hold but a part of what they may otherwise. */
void heap_caches_set_short(bool is_short);
bool heap_caches_are_short(void);

/* What others have left for this class. [lock] */
void heap_take_in_mail_locked(struct heap *heap, unsigned class);

/* Heaps are swept so often, or more, while there is much to be had; an epoch has that length. */
enum { HEAP_SWEEP_MS = 200 };

/* What is done at a time, so that nobody waits long for a lock, or for malloc. */
struct sweep_budget {
    uint32_t n_looks;  /* at slabs, for pages that can go to the kernel */
    uint32_t n_slabs;  /* of which some went */
    uint32_t n_blocks; /* of mail */
};

/* As much of it as the budget allows for; the rest is in the magazine then: true. */
bool heap_take_in_some_locked(struct heap *heap, unsigned class, struct sweep_budget *budget);

/* Counts up when all are to shrink. */
extern _Atomic uint32_t heap_shrink_epoch;
void heap_shrink(struct heap *heap);

/* For slow paths of the owner's. */
ALWAYS_INLINE void heap_shrink_due(struct heap *heap)
{
    if (UNLIKELY(heap->shrunk != atomic_get_relaxed(&heap_shrink_epoch)))
        heap_shrink(heap);
}

/* What a heap's lock guards: all but the bins. [lock] */
void heap_flush_shared_locked(struct heap *heap);

/* Makes bin_count() true again, after a fast path was cut short. */
void heap_count_bins(struct heap *heap);

/* Of slabs that have free blocks, or only of those that have not been drawn from for purge_ms, the
 * pages in which there is nothing else go to the kernel; the next call of the same kind goes on
 * where this one ends. True: it has been through all. [lock] */
bool heap_purge_slabs_locked(struct heap *heap, bool only_stale, struct sweep_budget *budget);

/* All of these pages, a few at a time: the owner has its turn in between. */
void heap_purge_slabs(struct heap *heap);

/* Bins get caps anew when they are used next. [owner] */
void heap_close_shelves(struct heap *heap);

/* The same, and what is in them goes home. [owner] [lock] */
void heap_empty_bins_locked(struct heap *heap);

/* Sends home what others left for one class of a parked heap, unless somebody else is at it. */
void heap_tidy_parked(struct heap *heap, unsigned class);

/* Sends the first n blocks of a chain home. [lock] */
void heap_send_home_locked(struct heap *heap, unsigned class, struct block *head, size_t n);

/* To the list that a slab in none belongs to now; out of the one that it is in. [lock] */
void heap_list_add(struct heap *heap, struct span *slab);
void heap_list_remove(struct heap *heap, struct span *slab);

/* ---- remote.c: blocks of other heaps ---- */

/* Takes in a block of `class` that heap number `owner` owns. */
void heap_free_remote(struct heap *heap, struct block *block, unsigned class, uint32_t owner);

/* The same, and it arrives at once: for guests, who may not come back. */
void heap_free_remote_now(struct heap *heap, struct block *block, unsigned class, uint32_t owner);

/* The same for who has no heap at all to count it in. */
void heap_free_uncounted(struct block *block, unsigned class, uint32_t owner);

void heap_flush_outboxes(struct heap *heap);

/* Into the owner's inbox, which must not be a group's. */
void heap_push(uint32_t owner, unsigned class, const struct chain *chain);

/* ---- idle.c: heaps whose threads do nothing ---- */

/* Counts up a few times a second, while anything is done at all. */
extern _Atomic uint32_t idle_epoch;

/* In a slow path of the owner's. */
ALWAYS_INLINE void heap_note_active(struct heap *heap)
{
    atomic_put_relaxed(&heap->active, atomic_get_relaxed(&idle_epoch));
}

/* A live heap whose owner has been in no slow path for a while. */
bool heap_is_idle(const struct heap *heap);

/* There was one lately. */
bool heap_any_idle(void);

/* Sends home what idle heaps have set aside or been sent, if it is time. True: there was something.
 * Any thread; takes no lock that is held. */
bool heap_sweep_due(void);

/* Until the next. */
uint32_t heap_sweep_wait_ms(void);

/* ---- thread.c: heaps and threads ---- */

/* From then on threads that end give their heaps back. The first thread but the main one that calls
 * does this by itself. */
void heap_end_hook_make(void);

/* For a thread whose thread-local variables do not have their values yet, only room for them. It is
 * a guest until they get them. */
void heap_guest_early(void);

/* This thread's heap, given to it now if it is its turn. NULL: the thread is a guest, or there is
 * no memory for a heap. Inside. */
struct heap *heap_attach(void);

/* A parked heap that the caller has to itself until heap_visit_end; the same as before, if that can
 * be. NULL: there is no memory for any. */
struct heap *heap_visit(void);
void heap_visit_end(struct heap *host);

/* Some heap other than the caller's that nobody is using, parked or idle, locked; NULL: none at
 * hand. While memory is short any heap will do: what its owner has no blocks of at hand may go to
 * who asks first. */
struct heap *heap_unused_take(const struct heap *mine);

/* A vacant heap for a group, or a new one. NULL: no memory, or too many groups. */
struct heap *heap_for_group(void);
void heap_vacate(struct heap *heap);

/* Heaps that threads have now; at least 1. */
uint32_t heap_live_count(void);

/* Since ever: parked heaps that a thread has got, heaps that were parked when their thread
 * ended. */
struct heap_turnover {
    uint64_t n_adopted;
    uint64_t n_abandoned;
};
struct heap_turnover heap_turnover(void);

/* Heap numbers run from 1 to this. */
uint32_t heap_number_max(void);

/* Heaps that are not for groups: their number, and each of them. */
uint32_t heap_for_threads_count(void);
struct heap *heap_for_threads_at(uint32_t i);

void heap_threads_fork_prepare(void);
void heap_threads_fork_parent(void);
void heap_threads_fork_child(void);

void heap_threads_fork_unnoticed(void);

/* ---- group.c: heaps that programs make ----
 *
 * Any thread, inside. */

/* NULL: as heap_for_group. */
struct heap *heap_group_new(size_t max_bytes);

/* All blocks of the group end. Returns how many these were. Nobody else may be using the group. */
size_t heap_group_end(struct heap *heap);

/* NULL: no memory, or it would be more than the maximum. */
void *heap_group_alloc(struct heap *heap, size_t bytes);
void *heap_group_alloc_zeroed(struct heap *heap, size_t bytes);

/* Room to grow on in its place. */
void *heap_group_alloc_to_grow(struct heap *heap, size_t bytes);
void *heap_group_alloc_aligned(struct heap *heap, size_t align, size_t bytes);

/* Its maximum allows for so many bytes more. */
bool heap_group_has_room(const struct heap *heap, size_t bytes);

/* As large_realloc, of a large block of a group. */
void *heap_group_realloc_large(struct heap *heap, struct span *span, size_t bytes);

/* What is free in it goes back to the arena. Returns the bytes. */
size_t heap_group_trim(struct heap *heap);

/* In slabs and large blocks. */
size_t heap_group_memory(const struct heap *heap);

/* ---- background.c ---- */

/* If the option asks for it: from then on the thread is started once there is something for it. */
void heap_background_init(void);

/* There is: at once, if it can be. For calls that only programs make, with none of our locks. */
void heap_background_start(void);

/* In a child of fork, which has no such thread yet. */
void heap_background_forked(void);

/* ---- fork.c ---- */

/* From then on forks leave heaps whole. */
void heap_fork_init(void);

/* What a layer above does around forks: its locks come before all of ours. */
struct heap_fork_hooks {
    void (*prepare)(void);
    void (*parent)(void);
    void (*child)(void);
    void (*unnoticed)(void); /* in a child of a fork that ran no handlers */
};

/* Once at start, before heap_fork_init: no fork may have them in one moment and not in another. */
void heap_fork_also(const struct heap_fork_hooks *hooks);

#endif
