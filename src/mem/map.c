/* SPDX-License-Identifier: MIT */
#include "mem/map.h"

#include "os/pages.h"
#include "os/process.h"

/* Not initialised memory but address space: only the pages that are used cost anything. */
struct leaf map_first_leaf;
static bool map_first_leaf_used;

_Atomic(struct leaf *) map_root[1 << (ADDRESS_BITS - LEAF_SHIFT)];

static struct leaf *leaf_new(void)
{
    if (map_first_leaf_used)
        return os_pages_map_guarded(round_up(sizeof(struct leaf), os_page_bytes()));
    map_first_leaf_used = true;
    return &map_first_leaf;
}

bool map_cover(uintptr_t base, size_t bytes)
{
    uintptr_t last = (base + bytes - 1) >> LEAF_SHIFT;
    if (last >= ARRAY_LEN(map_root))
        return false;
    for (uintptr_t i = base >> LEAF_SHIFT; i <= last; i++) {
        if (atomic_get_relaxed(&map_root[i]) != NULL)
            continue;
        struct leaf *leaf = leaf_new();
        if (leaf == NULL)
            return false;
        atomic_put_release(&map_root[i], leaf);
    }
    return true;
}

/* A run of bits that lies in one word. */
struct bit_run {
    uint64_t *word;
    uint64_t mask;
};

/* The next such run of [*page, end), pages numbered from address 0; moves *page past it. */
static struct bit_run next_run(size_t *page, size_t end)
{
    struct leaf *leaf = atomic_get_acquire(&map_root[*page >> (LEAF_SHIFT - PAGE_SHIFT)]);
    unsigned first = *page % 64;
    unsigned n = (unsigned)min_size(64 - first, end - *page);
    struct bit_run run = {&leaf->touched[*page % LEAF_PAGES / 64], bits_range(first, n)};
    *page += n;
    return run;
}

size_t map_touched_count(uintptr_t base, size_t n_pages)
{
    size_t n = 0;
    for (size_t page = base >> PAGE_SHIFT, end = page + n_pages; page < end;) {
        struct bit_run run = next_run(&page, end);
        n += count_bits(*run.word & run.mask);
    }
    return n;
}

void map_touched_set(uintptr_t base, size_t n_pages)
{
    for (size_t page = base >> PAGE_SHIFT, end = page + n_pages; page < end;) {
        struct bit_run run = next_run(&page, end);
        *run.word |= run.mask;
    }
}

void map_touched_clear(uintptr_t base, size_t n_pages)
{
    for (size_t page = base >> PAGE_SHIFT, end = page + n_pages; page < end;) {
        struct bit_run run = next_run(&page, end);
        *run.word &= ~run.mask;
    }
}

size_t map_touched_run(uintptr_t base, size_t n_pages, bool *is_touched)
{
    size_t first = base >> PAGE_SHIFT;
    size_t end = first + n_pages;
    size_t page = first;
    struct bit_run run = next_run(&page, first + 1);
    *is_touched = (*run.word & run.mask) != 0;
    for (page = first; page < end;) {
        size_t from = page;
        run = next_run(&page, end);
        uint64_t others = (*is_touched ? ~*run.word : *run.word) & run.mask;
        if (others != 0)
            return from - first + lowest_bit(others) - from % 64;
    }
    return n_pages;
}

uintptr_t map_touched_from_end(uintptr_t base, size_t n_pages, size_t n)
{
    /* Halves the stretch in which the page must lie. */
    size_t low = 0;
    for (size_t high = n_pages; high - low > 1;) {
        size_t middle = low + (high - low) / 2;
        size_t n_above = map_touched_count(base + (middle << PAGE_SHIFT), high - middle);
        if (n_above >= n) {
            low = middle;
        } else {
            n -= n_above;
            high = middle;
        }
    }
    return base + (low << PAGE_SHIFT);
}

uintptr_t map_first_region_end(void)
{
    uint64_t distance = GIB / 4 + (mix_bits(os_random_bits() + 1) % 1024) * MIB;
    uintptr_t libraries = (uintptr_t)&map_first_leaf;
    if (libraries < 16 * GIB)
        return 0;
    uintptr_t end = round_down(libraries - distance, MIB);
    return end % (UINT64_C(1) << LEAF_SHIFT) >= GIB ? end
                                                    : round_down(end, UINT64_C(1) << LEAF_SHIFT);
}
