/* SPDX-License-Identifier: MIT */
#include "heap/live.h"

#include "heap/heap.h"
#include "mem/arena.h"
#include "os/pages.h"
#include "os/sys.h"

#include <string.h>

/* [const] after live_init; what it leads to belongs to the reading. */
static struct live_site *sites;
static _Atomic uint32_t at_work; /* the process that a reading is under way in, or 0 */

enum { N_SITES = SITES_MAX + 1 };

bool live_init(void)
{
    if (sites == NULL)
        sites = os_pages_map(NULL, round_up(N_SITES * sizeof *sites, os_page_bytes()));
    return sites != NULL;
}

static void count(uint64_t word)
{
    struct entry_view view = entry_view(word);
    if (view.state != ENTRY_LIVE)
        return;
    sites[view.site].n_blocks++;
    sites[view.site].n_bytes += view.bytes;
}

/* Its heap's lock keeps a slab what it is; whoever's it was before we had the lock. */
static void count_slab(struct leaf *leaf, size_t grain)
{
    uint64_t word = atomic_get_acquire(&leaf->slab_words[grain]);
    size_t offset = map_base_of(word, 0, grain);
    uint32_t owner = (uint32_t)(word >> MAP_OWNER_SHIFT) & (HEAPS_MAX - 1);
    struct heap *heap = word != 0 ? heap_by_number(owner) : NULL;
    if (heap == NULL || map_grain(offset) != grain || !lock_take_soon(&heap->lock))
        return;
    struct entry *entries = atomic_get_acquire(&leaf->ledgers[grain]);
    if (entries != NULL && atomic_get_acquire(&leaf->slab_words[grain]) == word) {
        size_t n = leaf->spans[offset >> PAGE_SHIFT]->slab.n_blocks;
        for (size_t i = 0; i < n; i++)
            count(atomic_get_relaxed(&entries[i].what));
    }
    lock_release(&heap->lock);
}

static void count_large(uintptr_t grain)
{
    for (uintptr_t p = grain; p < grain + ((uintptr_t)1 << GRAIN_SHIFT); p += PAGE_BYTES) {
        struct large_view view;
        if (arena_large_word((const void *)p, lock_take_soon, &view))
            count(view.what);
    }
}

static void count_leaf(struct leaf *leaf, uintptr_t base)
{
    for (size_t grain = 0; grain < LEAF_GRAINS; grain++) {
        if (atomic_get_relaxed(&leaf->slab_words[grain]) != 0)
            count_slab(leaf, grain);
        count_large(base + (grain << GRAIN_SHIFT));
    }
}

/* Sites without live blocks go; those that stay move to the front. */
static size_t drop_empty(void)
{
    size_t n = 0;
    for (uint32_t i = 0; i < N_SITES; i++) {
        if (sites[i].n_blocks == 0)
            continue;
        sites[n] = sites[i];
        sites[n++].number = i;
    }
    return n;
}

static bool comes_after(const struct live_site *a, const struct live_site *b)
{
    return a->n_bytes != b->n_bytes ? a->n_bytes < b->n_bytes : a->number > b->number;
}

/* Shell's: in place, without recursion. */
static void sort(size_t n)
{
    for (size_t gap = n / 2; gap > 0; gap /= 2) {
        for (size_t i = gap; i < n; i++) {
            struct live_site site = sites[i];
            size_t j = i;
            for (; j >= gap && comes_after(&sites[j - gap], &site); j -= gap)
                sites[j] = sites[j - gap];
            sites[j] = site;
        }
    }
}

/* The reading of a parent is not under way in its child, where it will never be over. */
static bool begin(void)
{
    uint32_t process = (uint32_t)sys_getpid();
    uint32_t seen = atomic_get_relaxed(&at_work);
    return seen != process && atomic_try_acquire(&at_work, &seen, process);
}

const struct live_site *live_begin(size_t *n)
{
    if (sites == NULL || !begin())
        return NULL;
    memset(sites, 0, N_SITES * sizeof *sites);
    bool entered = heap_enter();
    for (size_t i = 0; i < ARRAY_LEN(map_root); i++) {
        struct leaf *leaf = atomic_get_acquire(&map_root[i]);
        if (leaf != NULL)
            count_leaf(leaf, (uintptr_t)i << LEAF_SHIFT);
    }
    if (entered)
        heap_leave();
    *n = drop_empty();
    sort(*n);
    return sites;
}

void live_end(void)
{
    atomic_put_release(&at_work, 0);
}
