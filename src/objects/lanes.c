/* SPDX-License-Identifier: MIT */
#include "objects/lanes.h"

#include "heap/heap.h"
#include "mem/meta.h"
#include "os/barrier.h"
#include "os/clock.h"
#include "os/sys.h"

#include <string.h>

THREAD_LOCAL uint32_t lanes_thread;

struct lane lane_none = {.owner = UINT32_MAX, .top = lane_none.stack};

static uint32_t thread_number(void)
{
    static _Atomic uint32_t n_threads;
    if (lanes_thread == 0)
        lanes_thread = atomic_add_relaxed(&n_threads, 1) + 1;
    return lanes_thread;
}

void lanes_init(struct lanes *lanes, bool is_plain)
{
    lanes->is_plain = is_plain;
    lanes->lock = (struct lock)LOCK_INIT(LOCK_OBJECT);
    lanes->has_barrier = os_barrier_init();
    for (size_t i = 0; i < N_LANES; i++)
        atomic_put_relaxed(&lanes->lanes[i], &lane_none);
}

static struct lane *lane_at(const struct lanes *lanes, size_t i)
{
    return atomic_get_acquire(&lanes->lanes[i]);
}

void lanes_destroy(struct lanes *lanes)
{
    for (size_t i = 0; i < N_LANES; i++) {
        if (lane_at(lanes, i) != &lane_none)
            meta_give(lane_at(lanes, i), sizeof(struct lane));
    }
}

/* The link of a slot, and where others mark that they gave it back. */
struct slot_records {
    _Atomic uint32_t *link;
    _Atomic uint32_t *returned;
};

static struct slot_records slot_records(const struct slot *slot)
{
    return (struct slot_records){&slot->part->links[slot->index],
                                 &slot->part->links[slot->index + slot->part->n_slots]};
}

/* ---- a slot's name: part and index, as the words of inboxes and chains have it ---- */

enum { NAME_INDEX_BITS = 27, INBOX_COUNT_SHIFT = 32 };

_Static_assert(SLOTS_PARTS_MAX <= 1 << (32 - NAME_INDEX_BITS), "a part fits into a name");
_Static_assert(SLOTS_PART_MAX + 2 < 1 << NAME_INDEX_BITS, "so does an index, and two more");

/* Never 0, SLOT_LAST or SLOT_PENDING. */
static uint32_t slot_name(const struct lanes *lanes, const struct slot *slot)
{
    return ((uint32_t)(slot->part - lanes->slots.parts) << NAME_INDEX_BITS) + slot->index + 1;
}

static struct slot slot_named(struct lanes *lanes, uint32_t name)
{
    return (struct slot){&lanes->slots.parts[(name - 1) >> NAME_INDEX_BITS],
                         (name - 1) & ((1u << NAME_INDEX_BITS) - 1)};
}

static void *slot_address(const struct lanes *lanes, const struct slot *slot)
{
    return atomic_get_relaxed(&slot->part->base) + (size_t)slot->index * lanes->slots.stride;
}

/* ---- stacks, by whoever has them ---- */

static size_t stack_n(const struct lane *lane)
{
    return (size_t)(atomic_get_relaxed(&lane->top) - lane->stack);
}

static void stack_set_n(struct lane *lane, size_t n)
{
    atomic_put_relaxed(&lane->top, &lane->stack[n]);
}

static void stack_push(struct lane *lane, void *p, _Atomic uint32_t *link)
{
    size_t n = stack_n(lane) + 1;
    atomic_put_relaxed(link, SLOT_CACHED);
    lane->stack[n] = (struct free_slot){p, link};
    stack_set_n(lane, n);
}

static void *stack_pop(struct lane *lane)
{
    size_t n = stack_n(lane);
    stack_set_n(lane, n - 1);
    return lane->stack[n].p;
}

static _Atomic uint32_t *link_of(struct lanes *lanes, const void *p)
{
    struct slot slot;
    return slot_find(&lanes->slots, p, &slot) ? slot_records(&slot).link : NULL;
}

/* The oldest slots, all but `n_kept`. */
static void stack_spill_locked(struct lanes *lanes, struct lane *lane, size_t n_kept)
{
    size_t n = stack_n(lane);
    size_t n_spilt = n > n_kept ? n - n_kept : 0;
    struct free_slot *oldest = lane->stack + 1;
    for (size_t i = 0; i < n_spilt; i++) {
        atomic_put_relaxed(oldest[i].link, SLOT_LIVE);
        slots_give(&lanes->slots, oldest[i].p);
    }
    memmove(oldest, oldest + n_spilt, (n - n_spilt) * sizeof *oldest);
    stack_set_n(lane, n - n_spilt);
}

static void stack_fill_locked(struct lanes *lanes, struct lane *lane)
{
    for (int i = 0; i < LANE_BATCH; i++) {
        void *p = slots_take_used(&lanes->slots);
        if (p == NULL)
            return;
        stack_push(lane, p, link_of(lanes, p));
    }
}

/* ---- inboxes ---- */

/* L7, L8 */
static bool inbox_give(struct lanes *lanes, struct lane *lane, const struct slot *slot)
{
    _Atomic uint32_t *returned = slot_records(slot).returned;
    uint32_t not_returned = 0;
    if (!atomic_try_acquire(returned, &not_returned, SLOT_PENDING))
        return false;
    uint64_t seen = atomic_get_relaxed(&lane->inbox);
    uint64_t wanted;
    do {
        atomic_put_relaxed(returned, seen != 0 ? (uint32_t)seen : SLOT_LAST);
        uint64_t count = (seen >> INBOX_COUNT_SHIFT) + 1;
        wanted = count << INBOX_COUNT_SHIFT | slot_name(lanes, slot);
    } while (!atomic_try_release(&lane->inbox, &seen, wanted));
    return true;
}

/* L9 */
static void inbox_collect_locked(struct lanes *lanes, struct lane *lane)
{
    uint64_t word = atomic_swap_acquire(&lane->inbox, 0);
    uint32_t name = word != 0 ? (uint32_t)word : SLOT_LAST;
    while (name != SLOT_LAST) {
        struct slot slot = slot_named(lanes, name);
        struct slot_records records = slot_records(&slot);
        name = atomic_get_relaxed(records.returned);
        atomic_put_relaxed(records.returned, 0);
        if (atomic_get_relaxed(records.link) != lane->live)
            continue;
        if (stack_n(lane) == LANE_SLOTS)
            stack_spill_locked(lanes, lane, LANE_BATCH);
        stack_push(lane, slot_address(lanes, &slot), records.link);
    }
}

static size_t inbox_count(const struct lane *lane)
{
    return atomic_get_relaxed(&lane->inbox) >> INBOX_COUNT_SHIFT;
}

size_t lanes_n_cached(const struct lanes *lanes)
{
    size_t n = 0;
    for (size_t i = 0; i < N_LANES; i++)
        n += stack_n(lane_at(lanes, i)) + inbox_count(lane_at(lanes, i));
    return n;
}

/* ---- seizing ---- */

static void note_owner(struct lane *lane)
{
    lane->owner_id = (uint32_t)sys_gettid();
    lane->owner_process = (uint32_t)sys_getpid();
}

/* A thread that came through a fork has another name than its lane says: that it has ended is not
 * known. */
static bool owner_has_ended(const struct lane *lane)
{
    return lane->owner_process == (uint32_t)sys_getpid() && !os_thread_is_there(lane->owner_id);
}

/* Whoever was in it stopped half-way and does not go on: what the stack holds is lost. */
static void stack_give_up(struct lane *lane)
{
    stack_set_n(lane, 0);
    lane->bytes = 0;
    atomic_put_release(&lane->busy, 0);
}

static bool is_busy(const struct lane *lane)
{
    return atomic_get_acquire(&lane->busy) != 0;
}

/* This thread's own is not waited for, nor is one that was in vain. */
static uint32_t patience_ms(const struct lane *lane)
{
    enum { PATIENCE_MS = 200 };
    bool is_mine = atomic_get_relaxed(&lane->owner) == lanes_thread;
    return is_mine || lane->is_stuck ? 0 : PATIENCE_MS;
}

/* False: its owner stays in it. To see it left once is enough: who comes again sees that it is
 * seized. */
static bool wait_until_left(struct lane *lane)
{
    enum { SPINS = 200 };
    bool is_left = !is_busy(lane);
    for (int i = 0; i < SPINS && !is_left; i++) {
        CPU_RELAX();
        is_left = !is_busy(lane);
    }
    if (!is_left && owner_has_ended(lane)) {
        stack_give_up(lane);
        is_left = true;
    }
    for (uint32_t ms = patience_ms(lane); ms > 0 && !is_left; ms--) {
        os_sleep_ms(1);
        is_left = !is_busy(lane);
    }
    lane->is_stuck = !is_left;
    return is_left;
}

static void unseize_all(struct lanes *lanes)
{
    for (size_t i = 0; i < N_LANES; i++) {
        if (lane_at(lanes, i) != &lane_none)
            atomic_put_release(&lane_at(lanes, i)->seized, 0);
    }
}

/* L4, but for the wait. False: no barrier, no lane is seized. */
static bool seize_all(struct lanes *lanes)
{
    for (size_t i = 0; i < N_LANES; i++) {
        if (lane_at(lanes, i) != &lane_none)
            atomic_put_relaxed(&lane_at(lanes, i)->seized, 1);
    }
    bool done = os_barrier_all();
    if (!done)
        unseize_all(lanes);
    return done;
}

static void lane_collect_locked(struct lanes *lanes, struct lane *lane)
{
    inbox_collect_locked(lanes, lane);
    stack_spill_locked(lanes, lane, 0);
    lane->bytes = 0;
}

bool lanes_collect_locked(struct lanes *lanes)
{
    bool are_seized = lanes->has_barrier && seize_all(lanes);
    bool are_all = are_seized;
    for (size_t i = 0; i < N_LANES; i++) {
        struct lane *lane = lane_at(lanes, i);
        if (lane == &lane_none)
            continue;
        if ((are_seized || owner_has_ended(lane)) && wait_until_left(lane))
            lane_collect_locked(lanes, lane);
        else
            are_all = false;
    }
    if (are_seized)
        unseize_all(lanes);
    return are_all;
}

/* ---- which thread has which lane ---- */

static struct lane *lane_new(size_t i)
{
    struct lane *lane = meta_take(sizeof *lane);
    if (lane == NULL)
        return NULL;
    memset(lane, 0, sizeof *lane);
    lane->live = SLOT_LIVE + (uint32_t)i;
    stack_set_n(lane, 0);
    return lane;
}

static void lane_give_to(struct lane *lane, uint32_t thread)
{
    if (is_busy(lane))
        stack_give_up(lane);
    note_owner(lane);
    atomic_put_relaxed(&lane->owner, thread);
}

/* This thread's lane, which it gets now if it can; else NULL. */
static struct lane *lane_mine_locked(struct lanes *lanes)
{
    uint32_t me = thread_number();
    size_t i = me % N_LANES;
    struct lane *lane = lane_at(lanes, i);
    if (atomic_get_relaxed(&lane->owner) == me)
        return lane;
    if (lane == &lane_none) {
        lane = lanes->has_barrier ? lane_new(i) : NULL;
        if (lane == NULL)
            return NULL;
        lane_give_to(lane, me);
        atomic_put_release(&lanes->lanes[i], lane);
        return lane;
    }
    if (!owner_has_ended(lane))
        return NULL;
    lane_give_to(lane, me);
    return lane;
}

/* ---- what takes the lock ---- */

/* One that was used before, of this thread's lane, of slots.h, or of the lanes of others. */
static void *take_used_locked(struct lanes *lanes, struct lane *lane)
{
    if (lane != NULL) {
        inbox_collect_locked(lanes, lane);
        if (stack_n(lane) == 0)
            stack_fill_locked(lanes, lane);
        if (stack_n(lane) > 0)
            return stack_pop(lane);
    }
    return slots_take_used(&lanes->slots);
}

/* Links of neighbours are in one line of the processor's cache: two threads that took turns in
 * carving them would get in each other's way with every call. A pool that has a maximum must be
 * able to take them back. */
static void stack_fill_fresh_locked(struct lanes *lanes, struct lane *lane)
{
    size_t n = slots_n_in_row(&lanes->slots);
    if (n > 0 && lanes->slots.max != SIZE_MAX && !os_barrier_all())
        return;
    for (; n > 0; n--) {
        void *p = slots_take_next(&lanes->slots);
        stack_push(lane, p, link_of(lanes, p));
    }
}

static void *take_fresh_locked(struct lanes *lanes, struct lane *lane, bool *is_fresh)
{
    void *p = slots_take(&lanes->slots, is_fresh);
    if (*is_fresh && lane != NULL && lanes->is_plain)
        stack_fill_fresh_locked(lanes, lane);
    return p;
}

static void *take_locked(struct lanes *lanes, struct lane *lane, bool *is_fresh)
{
    *is_fresh = false;
    void *p = take_used_locked(lanes, lane);
    if (p == NULL)
        p = take_fresh_locked(lanes, lane, is_fresh);
    if (p == NULL && lanes_n_cached(lanes) > 0) {
        (void)lanes_collect_locked(lanes);
        p = slots_take_used(&lanes->slots);
    }
    if (p != NULL)
        atomic_put_relaxed(link_of(lanes, p), lane != NULL ? lane->live : SLOT_LIVE_NO_LANE);
    return p;
}

NOINLINE void *lanes_take_slow(struct lanes *lanes, bool *is_fresh)
{
    if (!heap_enter())
        return NULL;
    lock_take(&lanes->lock);
    void *p = take_locked(lanes, lane_mine_locked(lanes), is_fresh);
    lock_release(&lanes->lock);
    heap_leave();
    return p;
}

static enum lanes_fault give_locked(struct lanes *lanes, void *p)
{
    struct slot slot;
    struct lane *lane = lane_mine_locked(lanes);
    if (!slot_find(&lanes->slots, p, &slot))
        return LANES_NOT_A_SLOT;
    struct slot_records records = slot_records(&slot);
    uint32_t link = atomic_get_relaxed(records.link);
    if (link == SLOT_LIVE_NO_LANE) {
        slots_give(&lanes->slots, p);
        return LANES_GOOD;
    }
    if (lane == NULL || link != lane->live || atomic_get_relaxed(records.returned) != 0)
        return LANES_FREE_ALREADY;
    if (stack_n(lane) == LANE_SLOTS)
        stack_spill_locked(lanes, lane, LANE_BATCH);
    stack_push(lane, p, records.link);
    return LANES_GOOD;
}

/* The fast path looks there from now on, and nowhere until all of it is in place. */
static void lane_look_in(struct lane *lane, const struct part *part)
{
    lane->bytes = 0;
    atomic_signal_fence(memory_order_seq_cst);
    lane->base = atomic_get_relaxed(&part->base);
    lane->links = part->links;
    lane->n_slots = part->n_slots;
    atomic_signal_fence(memory_order_seq_cst);
    lane->bytes = atomic_get_relaxed(&part->bytes);
}

/* To the stack without the lock. */
static bool give_to_mine(struct lane *lane, const struct slot *slot, void *p)
{
    struct slot_records records = slot_records(slot);
    if (!lane_enter(lane, lanes_thread))
        return false;
    bool done = lane_put(lane, p, records.link, records.returned);
    if (done)
        lane_look_in(lane, slot->part);
    lane_leave(lane);
    return done;
}

/* Without the lock if it is another lane's, or the stack has room. */
NOINLINE enum lanes_fault lanes_give_slow(struct lanes *lanes, void *p)
{
    struct slot slot;
    if (!slot_find(&lanes->slots, p, &slot))
        return LANES_NOT_A_SLOT;
    uint32_t link = atomic_get_relaxed(slot_records(&slot).link);
    if (link < SLOT_LIVE)
        return LANES_FREE_ALREADY;
    if (link != SLOT_LIVE_NO_LANE) {
        struct lane *lane = lane_at(lanes, link - SLOT_LIVE);
        if (atomic_get_relaxed(&lane->owner) != lanes_thread)
            return inbox_give(lanes, lane, &slot) ? LANES_GOOD : LANES_FREE_ALREADY;
        if (give_to_mine(lane, &slot, p))
            return LANES_GOOD;
    }
    if (!heap_enter())
        return LANES_GOOD; /* lost: a signal handler should not be here */
    lock_take(&lanes->lock);
    enum lanes_fault fault = give_locked(lanes, p);
    lock_release(&lanes->lock);
    heap_leave();
    return fault;
}

/* ---- fork ---- */

void lanes_fork_prepare(struct lanes *lanes)
{
    lock_take_sibling(&lanes->lock);
    bool is_seized = lanes->has_barrier && seize_all(lanes);
    for (size_t i = 0; i < N_LANES; i++) {
        struct lane *lane = lane_at(lanes, i);
        if (lane == &lane_none)
            continue;
        if (is_seized)
            (void)wait_until_left(lane);
        else
            lane->is_stuck = true;
    }
}

void lanes_fork_parent(struct lanes *lanes)
{
    unseize_all(lanes);
    lock_release(&lanes->lock);
}

/* Its owner is not there. If it was busy all the same, the owner was about to see that it is
 * seized. */
static void lane_leave_behind(struct lane *lane)
{
    if (lane->is_stuck && is_busy(lane))
        stack_give_up(lane);
    atomic_put_relaxed(&lane->busy, 0);
}

/* This thread is the only one, and has a new name. It goes on in its own lane where it is. */
void lanes_fork_child(struct lanes *lanes)
{
    for (size_t i = 0; i < N_LANES; i++) {
        struct lane *lane = lane_at(lanes, i);
        if (atomic_get_relaxed(&lane->owner) == lanes_thread)
            note_owner(lane);
        else if (lane != &lane_none)
            lane_leave_behind(lane);
    }
    unseize_all(lanes);
    lock_reset(&lanes->lock);
}

void lanes_fork_unnoticed(struct lanes *lanes)
{
    for (size_t i = 0; i < N_LANES; i++) {
        if (lane_at(lanes, i) != &lane_none)
            lane_at(lanes, i)->is_stuck = true;
    }
    lanes_fork_child(lanes);
}
