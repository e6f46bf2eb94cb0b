/* SPDX-License-Identifier: MIT */
/*
 * The slab words (mem/map.h, M1 to M5): units become slabs, change their owners while blocks of
 * them are alive, and are given back when the last block is.
 *
 * No memory is behind the addresses. An owner is a number and a record that is written, by plain
 * stores, before the number appears in any word: the sanitizer sees it if a reader of the word is
 * not ordered after that (M5 with M1 and M3).
 */
#include "conf/classes.h"
#include "mem/map.h"
#include "os/lock.h"
#include "race.h"

#include <stdio.h>

enum {
    N_THREADS = 4,
    N_UNITS = 24,
    N_SLOTS = 64,
    N_ROUNDS = 20000,
    BLOCKS_OF_A_UNIT = 16,
    OWNERS_MAX = 1 << 15,
    FIRST_OWNER = 1,
};

#define BASE UINT64_C(0x2000ffff0000) /* the units lie on both sides of a border between leaves */

struct unit {
    uintptr_t base;
    struct lock lock; /* the lock of its owner's heap: M3 and M4 happen under it */
    bool in_use;      /* [lock] */
    unsigned class;   /* [lock] */
    _Atomic uint32_t n_live;
};

/* A block that somebody has. Goes from thread to thread through the slots. */
struct live {
    uintptr_t address;
    unsigned class;
    uint16_t offset;
    uint32_t owner; /* when it was handed out; later ones have higher numbers */
    struct unit *unit;
};

static struct unit units[N_UNITS];
static struct live lives[N_UNITS][BLOCKS_OF_A_UNIT];
static _Atomic(struct live *) slots[N_SLOTS];

static uint64_t owner_records[OWNERS_MAX];
static _Atomic uint32_t n_owners;
static _Atomic uint32_t n_takeovers;
static _Atomic uint32_t n_slabs;

static uint64_t record_of(uint32_t owner)
{
    return mix_bits(owner + UINT64_C(1000));
}

/* 0: there are no numbers left. */
static uint32_t owner_new(void)
{
    uint32_t owner = FIRST_OWNER + atomic_add_relaxed(&n_owners, 1);
    if (owner >= OWNERS_MAX)
        return 0;
    owner_records[owner] = record_of(owner);
    return owner;
}

/* M4: its last block has come back. */
static void unit_give_back(struct unit *unit)
{
    lock_take(&unit->lock);
    map_clear_slab(unit->base, unit->class);
    unit->in_use = false;
    lock_release(&unit->lock);
}

/* What free(p) does of a block of any owner: M2 and M5. */
static void live_free(const struct live *live)
{
    struct unit *unit = live->unit;
    struct place place = map_place(live->address);
    race_check(place.is_slab);
    race_check(place.class == live->class);
    race_check(place.offset == live->offset);
    race_check(place.owner >= live->owner && place.owner < OWNERS_MAX);
    race_check(owner_records[place.owner] == record_of(place.owner));
    if (atomic_fetch_sub_explicit(&unit->n_live, 1, memory_order_acq_rel) == 1)
        unit_give_back(unit);
}

static void hand_out(struct unit *unit, struct live *live, uint32_t owner, struct random *dice)
{
    live->offset = class_is_small(unit->class) ? (uint16_t)random_below(dice, UNIT_BYTES) : 0;
    live->address = unit->base + live->offset;
    live->class = unit->class;
    live->owner = owner;
    live->unit = unit;
    live =
        atomic_exchange_explicit(&slots[random_below(dice, N_SLOTS)], live, memory_order_acq_rel);
    if (live != NULL)
        live_free(live);
}

/* M1. The unit is locked while it is made a slab, as the arena's lock would guard it. */
static void unit_make_slab(size_t index, struct random *dice)
{
    struct unit *unit = &units[index];
    lock_take(&unit->lock);
    uint32_t owner = unit->in_use ? 0 : owner_new();
    if (owner != 0) {
        unit->in_use = true;
        unit->class = (unsigned)random_below(dice, N_CLASSES);
        atomic_put_relaxed(&unit->n_live, BLOCKS_OF_A_UNIT);
        map_set_slab(unit->base, unit->class, map_tag(owner));
        (void)atomic_add_relaxed(&n_slabs, 1);
    }
    lock_release(&unit->lock);
    for (size_t i = 0; i < BLOCKS_OF_A_UNIT && owner != 0; i++)
        hand_out(unit, &lives[index][i], owner, dice);
}

/* M3: another heap takes the slab, while its blocks are wherever they are. */
static void unit_take_over(struct unit *unit)
{
    if (!lock_try(&unit->lock))
        return;
    uint32_t owner = unit->in_use ? owner_new() : 0;
    if (owner != 0) {
        map_set_slab(unit->base, unit->class, map_tag(owner));
        (void)atomic_add_relaxed(&n_takeovers, 1);
    }
    lock_release(&unit->lock);
}

/* A pointer that is nobody's block: whatever the word says is whole. */
static void look_at_anything(struct random *dice)
{
    uintptr_t address = units[random_below(dice, N_UNITS)].base + random_below(dice, UNIT_BYTES);
    struct place place = map_place(address);
    if (!place.is_slab)
        return;
    race_check(place.class < N_CLASSES);
    race_check(place.offset == (uint16_t)address);
    race_check(owner_records[place.owner] == record_of(place.owner));
}

static void live_and_let_live(size_t number)
{
    struct random dice = {number + 1};
    for (int i = 0; i < N_ROUNDS; i++) {
        size_t index = random_below(&dice, N_UNITS);
        switch (random_below(&dice, 4)) {
        case 0:
            unit_take_over(&units[index]);
            break;
        case 1:
            look_at_anything(&dice);
            break;
        default:
            unit_make_slab(index, &dice);
            break;
        }
    }
}

static void check_that_nothing_is_left(void)
{
    for (size_t i = 0; i < N_SLOTS; i++) {
        struct live *live = atomic_exchange(&slots[i], NULL);
        if (live != NULL)
            live_free(live);
    }
    for (size_t i = 0; i < N_UNITS; i++) {
        race_check(!units[i].in_use);
        race_check(!map_place(units[i].base).is_slab);
    }
}

int main(void)
{
    race_check(map_cover(BASE, N_UNITS * (size_t)UNIT_BYTES));
    for (size_t i = 0; i < N_UNITS; i++) {
        units[i].base = BASE + i * UNIT_BYTES;
        units[i].lock = (struct lock)LOCK_INIT(LOCK_HEAP);
    }
    race_run(N_THREADS, live_and_let_live);
    check_that_nothing_is_left();
    uint32_t slabs = atomic_get_relaxed(&n_slabs);
    uint32_t takeovers = atomic_get_relaxed(&n_takeovers);
    race_check(slabs > 0 && takeovers > 0);
    (void)printf("%u slabs, %u taken over\n", slabs, takeovers);
    return 0;
}
