/* SPDX-License-Identifier: MIT */
#include "heap/emergency.h"

#include "base/bits.h"
#include "conf/classes.h"
#include "os/panic.h"

enum { AREA_BYTES = 256 * 1024 };

/* Before each block. */
struct header {
    _Atomic size_t bytes; /* of the block; 0 once it is freed */
    size_t unused;
};

_Static_assert(sizeof(struct header) == BLOCK_ALIGN, "blocks behind it are aligned");

/* Of pages of its own, so that a huge alignment wastes no more than it must. */
static ALIGNED(4096) char area[AREA_BYTES];

/* Bytes used, and above them blocks that live. */
static _Atomic uint64_t area_state;
#define USED(state) ((uint32_t)(state))
#define ONE_LIVES   (UINT64_C(1) << 32)

_Atomic(struct block *) emergency_put_off;

static struct header *header_of(const void *p)
{
    return (struct header *)(uintptr_t)p - 1;
}

/* Where in the area a block can begin, after its header. */
static size_t block_offset(size_t used, size_t align)
{
    uintptr_t at = (uintptr_t)area + used + sizeof(struct header);
    return round_up(at, max_size(align, BLOCK_ALIGN)) - (uintptr_t)area;
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
    atomic_put_relaxed(&header_of(p)->bytes, size);
    return p;
}

bool emergency_owns(const void *p)
{
    return (uintptr_t)p - (uintptr_t)area < AREA_BYTES;
}

size_t emergency_usable_size(const void *p)
{
    return emergency_owns(p) ? atomic_get_relaxed(&header_of(p)->bytes) : 0;
}

bool emergency_free_own(void *p)
{
    if (!emergency_owns(p))
        return false;
    if (atomic_swap_release(&header_of(p)->bytes, 0) == 0)
        panic("double free", p, 0);
    uint64_t state = atomic_get_relaxed(&area_state);
    uint64_t wanted;
    do {
        wanted = state - ONE_LIVES;
        if (wanted < ONE_LIVES)
            wanted = 0;
    } while (!atomic_try_release(&area_state, &state, wanted));
    return true;
}

void emergency_free(void *p)
{
    if (emergency_free_own(p))
        return;
    struct block *block = p;
    block->next = atomic_get_relaxed(&emergency_put_off);
    while (!atomic_try_release(&emergency_put_off, &block->next, block))
        continue;
}

struct block *emergency_put_off_take(void)
{
    return atomic_swap_acquire(&emergency_put_off, NULL);
}
