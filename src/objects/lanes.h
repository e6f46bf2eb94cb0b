/* SPDX-License-Identifier: MIT */
/*
 * Slots for any thread.
 *
 * Threads that use a pool have a lane of it each: a short stack of free slots that its owner takes
 * from and gives to without an atomic instruction. Below are slots.h, under the lock. What another
 * thread has taken is given back to the lane it came from, through the lane's inbox.
 *
 * A slot that is not in the lists of slots.h has one of these in its link:
 *     SLOT_CACHED         free, in the stack of some lane
 *     SLOT_LIVE + i       taken through lane i; it changes by the owner of the lane's stack alone
 *     SLOT_LIVE_NO_LANE   taken by a thread without a lane; it changes under the lock
 *
 * Who owns a lane's stack: its owner between L1 and L3, and while it has the lock; whoever has the
 * lock between L4 and L6, or if the owner has ended.
 *
 *   L1 enter, the owner: store busy = 1 [relaxed], compiler barrier, load seized [acquire]; if it
 *      is set, L3 and go by the lock
 *   L2 take and give: the stack, and links of slots of this lane
 *   L3 leave: store busy = 0                                                 [release]
 *   L4 seize, the lock's holder: store seized = 1 [relaxed], a barrier on all threads
 *      (os/barrier.h), then wait for busy == 0 [acquire, pairs with L3]. The barrier makes L1 one
 *      of two things: it saw seized, or its busy is seen here. A lane that is not left in time
 *      stays its owner's
 *   L5 the holder does as the owner would
 *   L6 store seized = 0 [release, pairs with L1's acquire]
 *
 * The inbox, a chain of slots that other threads have given back, and their number:
 *
 *   L7 mark: compare-and-swap returned[slot] from 0 to SLOT_PENDING: of two threads that give the
 *      same slot one fails, and so does one that gives it again before L9
 *   L8 push: link returned[slot] to the head just read, swing the word to this slot [release CAS]
 *   L9 collect, the owner of the stack and of the lock: swap in an empty word [acquire], then for
 *      each slot returned = 0; if its link says that it is taken through this lane it is free now,
 *      else it was freed twice at the same moment, is free already and passed over
 *
 * ABA: nobody follows a chain but who has taken all of it; L8 uses the head as a value only (as
 * mem/inbox.h). A stack is never shared.
 *
 * Progress: L1-L3 wait-free; L7, L8 lock-free; a seizer waits for an owner between L1 and L3, some
 * ten instructions, for a fifth of a second at most. A signal handler may have interrupted the
 * owner there that waits for the lock, to fork, or that has jumped away: then the lane is busy
 * until the owner comes again. Meanwhile what is in it cannot be had and no part is removed; a slot
 * may be lost. Who was waited for in vain is not waited for again.
 *
 * Double frees are found at once, but for two frees at the very same moment by two threads, which
 * are found at L9 at the latest. Lists cannot be harmed by either.
 *
 * Which lane a thread has its number says, which is never used twice. If another thread has that
 * lane it does without, until that thread has ended: a thread that is alive never loses its lane,
 * else it could come late to L1 in what is another's. Where there is no such barrier, there are no
 * lanes.
 *
 * Fork: prepare takes the lock and seizes all lanes, so stacks are whole in the child; the lanes of
 * threads that are not there stay theirs, and can be seized. A signal handler may fork that
 * interrupted its thread in its lane, which the thread goes on with in both processes. Of the other
 * lanes those that are stuck may be torn, if they are busy, and are given up in the child.
 *
 * Tests: tests/race/race_lanes.c, tests/objects/aba.c, tests/unit/test_objects.c,
 * tests/models/model_lanes.c.
 */
#ifndef POOLALLOC_OBJECTS_LANES_H
#define POOLALLOC_OBJECTS_LANES_H

#include "objects/slots.h"
#include "os/lock.h"

enum {
    N_LANES = 32,
    LANE_SLOTS = 64,
    LANE_BATCH = LANE_SLOTS / 2,
};

/* Of links. */
#define SLOT_LIVE_NO_LANE UINT32_C(0xffffffff)

/* Of `returned`: not in the chain yet, and the chain's end. Else the next slot's name; 0: not given
 * back. */
#define SLOT_PENDING UINT32_C(0xffffffff)
#define SLOT_LAST    UINT32_C(0xfffffffe)

struct free_slot {
    void *p;
    _Atomic uint32_t *link;
};

struct lane {
    _Atomic uint32_t busy;
    _Atomic uint32_t seized;
    _Atomic uint32_t owner; /* number of a thread; changes under the lock when that has ended */
    uint32_t live;          /* [const] what the link of a slot taken here says */
    uint32_t owner_id;      /* [lock] the kernel's name of that thread, */
    uint32_t owner_process; /* [lock] in this process: of others, it is not known to have ended */
    bool is_stuck;          /* [lock] it was waited for in vain; in a fork also: nobody waited */
    uint32_t bytes;         /* [stack] of the part below; 0: none */
    _Atomic(struct free_slot *) top; /* [stack] the slot that is taken next, or stack[0] */

    /* [stack] The part that a slot was given back to last, since the lane was seized. It is still
     * there: before a part is removed all lanes are seized, and if one can't be, none is. */
    char *base;
    _Atomic uint32_t *links;
    size_t n_slots; /* links[index + n_slots] is `returned` */

    /* Written by other threads: away from what the owner writes. */
    ALIGNED(CACHE_LINE_BYTES)
    _Atomic uint64_t inbox; /* slot's name below, number above; 0: empty */

    ALIGNED(CACHE_LINE_BYTES)
    struct free_slot stack[1 + LANE_SLOTS]; /* [stack] the first is NULL, for ever */
};

struct lanes {
    _Atomic(struct lane *) lanes[N_LANES];
    struct slots slots; /* [lock] but for slot_find */
    struct lock lock;
    bool has_barrier; /* [const] */
    bool is_plain;    /* [const] slots are as good before their first use as after it */
};

enum lanes_fault { LANES_GOOD, LANES_NOT_A_SLOT, LANES_FREE_ALREADY };

void lanes_init(struct lanes *lanes, bool is_plain);
void lanes_destroy(struct lanes *lanes);

void *lanes_take_slow(struct lanes *lanes, bool *is_fresh);
enum lanes_fault lanes_give_slow(struct lanes *lanes, void *p);

/* The free slots of lanes to slots.h, but those of a lane that its owner does not leave. The caller
 * has the lock. False: not of all lanes, so that all parts have to stay. */
bool lanes_collect_locked(struct lanes *lanes);

/* Free slots in lanes. */
size_t lanes_n_cached(const struct lanes *lanes);

void lanes_fork_prepare(struct lanes *lanes);
void lanes_fork_parent(struct lanes *lanes);
void lanes_fork_child(struct lanes *lanes);
void lanes_fork_unnoticed(struct lanes *lanes);

/* This thread's number, 0 before its first call of lanes_take_slow. */
extern THREAD_LOCAL uint32_t lanes_thread;

/* What there is in the place of a lane that was not made yet; nobody's. */
extern struct lane lane_none;

ALWAYS_INLINE struct lane *lane_of(struct lanes *lanes, uint32_t thread)
{
    return atomic_get_acquire(&lanes->lanes[thread % N_LANES]);
}

/* L1. False: it is not this thread's, or seized. */
ALWAYS_INLINE bool lane_enter(struct lane *lane, uint32_t me)
{
    if (UNLIKELY(atomic_get_relaxed(&lane->owner) != me))
        return false;
    atomic_put_relaxed(&lane->busy, 1);
    atomic_signal_fence(memory_order_seq_cst);
    if (LIKELY(atomic_get_acquire(&lane->seized) == 0))
        return true;
    atomic_put_release(&lane->busy, 0);
    return false;
}

/* L3 */
ALWAYS_INLINE void lane_leave(struct lane *lane)
{
    atomic_put_release(&lane->busy, 0);
}

/* L2. NULL: lanes_take_slow has to see to it. */
ALWAYS_INLINE void *lanes_take_fast(struct lanes *lanes)
{
    uint32_t me = lanes_thread;
    struct lane *lane = lane_of(lanes, me);
    if (UNLIKELY(!lane_enter(lane, me)))
        return NULL;
    struct free_slot *top = atomic_get_relaxed(&lane->top);
    void *p = top->p;
    if (LIKELY(p != NULL)) {
        atomic_put_relaxed(top->link, lane->live);
        atomic_put_relaxed(&lane->top, top - 1);
    }
    lane_leave(lane);
    return p;
}

/* L2. A slot that was taken here is free now. False: it was not, or there is no room. */
ALWAYS_INLINE bool lane_put(struct lane *lane, void *p, _Atomic uint32_t *link,
                            const _Atomic uint32_t *returned)
{
    struct free_slot *top = atomic_get_relaxed(&lane->top);
    if (UNLIKELY(atomic_get_relaxed(link) != lane->live) ||
        UNLIKELY(atomic_get_relaxed(returned) != 0) || UNLIKELY(top == &lane->stack[LANE_SLOTS]))
        return false;
    atomic_put_relaxed(link, SLOT_CACHED);
    top[1].p = p;
    top[1].link = link;
    atomic_put_relaxed(&lane->top, top + 1);
    return true;
}

/* False: lanes_give_slow has to see to it. */
ALWAYS_INLINE bool lanes_give_fast(struct lanes *lanes, void *p)
{
    uint32_t me = lanes_thread;
    struct lane *lane = lane_of(lanes, me);
    if (UNLIKELY(!lane_enter(lane, me)))
        return false;
    uint32_t index;
    uintptr_t offset = (uintptr_t)p - (uintptr_t)lane->base;
    bool done = LIKELY(offset < lane->bytes) &&
                LIKELY(slot_is_start((uint32_t)offset, lanes->slots.reciprocal, &index)) &&
                lane_put(lane, p, &lane->links[index], &lane->links[index + lane->n_slots]);
    lane_leave(lane);
    return done;
}

#endif
