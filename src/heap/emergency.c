/* SPDX-License-Identifier: MIT */
#include "heap/emergency.h"

#include "base/bits.h"
#include "conf/classes.h"
#include "mem/map.h"
#include "os/panic.h"

enum {
    AREA_BYTES = 256 * 1024,
    N_PLACES = AREA_BYTES / BLOCK_ALIGN,
};

/* Of pages of its own, so that a huge alignment wastes no more than it must. No guard is behind it:
 * collectors and leak checkers read the data of all libraries. */
static ALIGNED(4096) char area[AREA_BYTES];

/* Of the block that begins at each place, in places; 0: none does. */
static _Atomic uint16_t sizes[N_PLACES];

_Static_assert(N_PLACES <= UINT16_MAX, "a block's size fits");

/* Bytes used, and above them blocks that live. */
static _Atomic uint64_t area_state;
#define USED(state) ((uint32_t)(state))
#define ONE_LIVES   (UINT64_C(1) << 32)

_Atomic(struct block *) emergency_put_off;

static _Atomic uint16_t *size_at(const void *p)
{
    return &sizes[((uintptr_t)p - (uintptr_t)area) / BLOCK_ALIGN];
}

/* Where in the area a block can begin. */
static size_t block_offset(size_t used, size_t align)
{
    return round_up((uintptr_t)area + used, max_size(align, BLOCK_ALIGN)) - (uintptr_t)area;
}

void *emergency_alloc(size_t bytes, size_t align)
{
    if (bytes > AREA_BYTES || align > AREA_BYTES)
        return NULL;
    size_t size = round_up(max_size(bytes, 1), BLOCK_ALIGN);
    uint64_t state = atomic_get_relaxed(&area_state);
    uint64_t wanted;
    size_t offset;
    do {
        offset = block_offset(USED(state), align);
        if (offset + size > AREA_BYTES)
            return NULL;
        wanted = state - USED(state) + ONE_LIVES + offset + size;
    } while (!atomic_try_acquire(&area_state, &state, wanted));
    void *p = area + offset;
    atomic_put_relaxed(size_at(p), (uint16_t)(size / BLOCK_ALIGN));
    return p;
}

bool emergency_owns(const void *p)
{
    return (uintptr_t)p - (uintptr_t)area < AREA_BYTES;
}

size_t emergency_usable_size(const void *p)
{
    bool is_place = emergency_owns(p) && (uintptr_t)p % BLOCK_ALIGN == 0;
    return is_place ? (size_t)atomic_get_relaxed(size_at(p)) * BLOCK_ALIGN : 0;
}

bool emergency_free_own(void *p)
{
    if (!emergency_owns(p))
        return false;
    if ((uintptr_t)p % BLOCK_ALIGN != 0 || atomic_swap_release(size_at(p), 0) == 0)
        panic("free of a pointer that is no block", p, 0);
    uint64_t state = atomic_get_relaxed(&area_state);
    uint64_t wanted;
    do {
        wanted = state - ONE_LIVES;
        if (wanted < ONE_LIVES)
            wanted = 0;
    } while (!atomic_try_release(&area_state, &state, wanted));
    return true;
}

/* ---- frees that are put off ---- */

/* Seals what waits; block_secret may not be made yet. */
static uintptr_t put_off_secret(void)
{
    return (uintptr_t)&emergency_put_off | 1;
}

/* Known of small blocks only: whether a large one begins there cannot be asked in a handler. */
static void check_is_block(const void *p, struct place place)
{
    if (place.is_slab && !place_is_block(place))
        panic("free of a pointer that is no block", p, class_bytes(place.class));
}

static void check_is_not_free(const struct block *block, size_t bytes)
{
    struct block *next = block->next;
    if (block_is_sealed(block, next, put_off_secret()) ||
        (block_secret != 0 && block_is_free(block)))
        panic("double free", block, bytes);
}

void emergency_free(void *p)
{
    if (emergency_free_own(p))
        return;
    struct place place = map_place((uintptr_t)p);
    struct block *block = p;
    check_is_block(p, place);
    check_is_not_free(block, place.is_slab ? class_bytes(place.class) : 0);
    struct block *seen = atomic_get_relaxed(&emergency_put_off);
    do {
        block_link(block, seen, put_off_secret());
    } while (!atomic_try_release(&emergency_put_off, &seen, block));
}

struct block *emergency_put_off_take(void)
{
    return atomic_swap_acquire(&emergency_put_off, NULL);
}

struct block *emergency_put_off_next(struct block *block)
{
    struct block *next = block->next;
    if (UNLIKELY(!block_is_sealed(block, next, put_off_secret())))
        block_corrupted(block, 0);
    block->seal = 0;
    return next;
}
