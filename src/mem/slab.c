/* SPDX-License-Identifier: MIT */
#include "mem/slab.h"

#include "base/check.h"
#include "conf/classes.h"
#include "conf/options.h"
#include "mem/arena.h"
#include "mem/huge.h"
#include "mem/ledger.h"
#include "mem/meta.h"
#include "os/pages.h"
#include "os/panic.h"

#include <string.h>

static size_t bitmap_words(const struct span *slab)
{
    return div_round_up(slab->slab.n_blocks, 64);
}

static bool bitmap_make(struct slab_part *part)
{
    if (part->n_blocks <= 64) {
        part->own_word = 0;
        part->bitmap = &part->own_word;
        return true;
    }
    size_t bytes = div_round_up(part->n_blocks, 64) * sizeof(uint64_t);
    part->bitmap = meta_take(bytes);
    if (part->bitmap == NULL)
        return false;
    memset(part->bitmap, 0, bytes);
    return true;
}

static void bitmap_drop(const struct span *slab)
{
    if (slab->slab.bitmap != &slab->slab.own_word)
        meta_give(slab->slab.bitmap, bitmap_words(slab) * sizeof(uint64_t));
}

_Static_assert((int)SMALL_SLAB_BYTES == (int)UNIT_BYTES, "the offset of a block has 16 bits");

static size_t align_pages(unsigned class)
{
    return class_is_small(class) ? UNIT_PAGES : 1;
}

struct span *slab_new(unsigned class)
{
    size_t n_pages = class_slab_bytes(class) >> PAGE_SHIFT;
    struct span *span = arena_take(SPAN_SLAB, n_pages, align_pages(class));
    if (span == NULL)
        return NULL;
    span->class = (uint8_t) class;
    span->slab = (struct slab_part){
        .n_blocks = (uint16_t)class_blocks_a_slab(class),
        .is_zero = span->was_zero,
    };
    if (!bitmap_make(&span->slab)) {
        arena_give(span, 0);
        return NULL;
    }
    if (UNLIKELY(options.check) && !ledger_make(span->base, class, 0)) {
        bitmap_drop(span);
        arena_give(span, 0);
        return NULL;
    }
    return span;
}

/* Its last block has been carved. */
static void note_full(const struct span *slab)
{
    if (UNLIKELY(huge_way != HUGE_NOT) && class_is_small(slab->class))
        huge_note_full(slab);
}

void slab_populate(struct span *slab)
{
    if (!slab->slab.is_zero)
        return; /* most of them are there */
    os_pages_populate((void *)slab->base, span_bytes(slab));
    slab->slab.is_populated = true;
}

static size_t carved_pages(const struct span *slab)
{
    return div_round_up((size_t)slab->slab.n_carved * class_bytes(slab->class), PAGE_BYTES);
}

/* Pages from the start that this use of the slab has touched. */
static size_t touched_now(const struct span *slab)
{
    return slab->slab.is_populated ? slab->n_pages : carved_pages(slab);
}

size_t slab_active_pages(const struct span *slab)
{
    return carved_pages(slab) - count_bits(slab->slab.purged);
}

/* What an earlier use left touched are the slab's first pages, if that was a slab, too. */
size_t slab_dirty_pages(const struct span *slab)
{
    return max_size(touched_now(slab), slab->n_dirty) - carved_pages(slab);
}

void slab_delete(struct span *slab)
{
    ASSERT(slab->slab.n_out == 0 && slab->slab.list == SLAB_ALONE);
    if (UNLIKELY(huge_way != HUGE_NOT) && class_is_small(slab->class) && !slab_has_fresh(slab))
        huge_note_gone(slab);
    bitmap_drop(slab);
    if (UNLIKELY(options.check))
        ledger_drop(slab->base, slab->class);
    arena_give(slab, touched_now(slab));
}

static struct block *block_at(const struct span *slab, size_t index)
{
    return (struct block *)(slab->base + index * class_bytes(slab->class));
}

/* ---- pages given back ---- */

static bool is_home(const struct span *slab, size_t index)
{
    return (slab->slab.bitmap[index / 64] >> index % 64 & 1) != 0;
}

/* Blocks [first, end), as far as they were carved. */
static bool are_home(const struct span *slab, size_t first, size_t end)
{
    end = min_size(end, slab->slab.n_carved);
    while (first < end) {
        unsigned n = (unsigned)min_size(64 - first % 64, end - first);
        uint64_t mask = bits_range(first % 64, n);
        if ((slab->slab.bitmap[first / 64] & mask) != mask)
            return false;
        first += n;
    }
    return true;
}

static bool is_purged(const struct span *slab, size_t page)
{
    return (slab->slab.purged >> page & 1) != 0;
}

static bool is_purgeable(const struct span *slab, size_t page)
{
    size_t bytes = class_bytes(slab->class);
    size_t begin = page << PAGE_SHIFT;
    return !is_purged(slab, page) &&
           are_home(slab, begin / bytes, div_round_up(begin + PAGE_BYTES, bytes));
}

static size_t discard(struct span *slab, size_t first, size_t n)
{
    if (n == 0 || !os_pages_discard((char *)slab->base + (first << PAGE_SHIFT), n << PAGE_SHIFT))
        return 0;
    slab->slab.purged |= (uint16_t)bits_range((unsigned)first, (unsigned)n);
    return n;
}

size_t slab_purge(struct span *slab)
{
    size_t grain = os_page_bytes() >> PAGE_SHIFT;
    size_t n_pages = round_down(carved_pages(slab), grain);
    size_t n_discarded = 0;
    ASSERT(class_is_small(slab->class));
    size_t n = 0; /* in a row, up to `page` */
    for (size_t page = 0; page < n_pages; page += grain) {
        size_t n_good = 0;
        while (n_good < grain && is_purgeable(slab, page + n_good))
            n_good++;
        if (n_good == grain) {
            n += grain;
            continue;
        }
        n_discarded += discard(slab, page - n, n);
        n = 0;
    }
    n_discarded += discard(slab, n_pages - n, n);
    if (n_discarded > 0)
        arena_note_purged(n_discarded);
    return n_discarded;
}

/* A page is used again: the links of its blocks are made anew. Who wrote there meanwhile, freed a
 * block twice or went on using it. */
static void page_back(struct span *slab, size_t page)
{
    size_t bytes = class_bytes(slab->class);
    size_t begin = page << PAGE_SHIFT;
    slab->slab.purged &= (uint16_t) ~(1u << page);
    for (size_t i = div_round_up(begin, bytes); i * bytes < begin + PAGE_BYTES; i++) {
        struct block *block = block_at(slab, i);
        if (i >= slab->slab.n_carved || !is_home(slab, i))
            continue;
        if (UNLIKELY(((uintptr_t)block->next | block->seal) != 0))
            block_corrupted(block, bytes);
        block_link(block, BLOCK_END, block_secret);
    }
}

/* Blocks [first, end) are about to be used. */
COLD static void pages_back(struct span *slab, size_t first, size_t end)
{
    size_t grain = os_page_bytes() >> PAGE_SHIFT;
    size_t bytes = class_bytes(slab->class);
    size_t first_page = round_down(first * bytes >> PAGE_SHIFT, grain);
    size_t end_page = round_up(div_round_up(end * bytes, PAGE_BYTES), grain);
    for (size_t page = first_page; page < end_page; page++) {
        if (is_purged(slab, page))
            page_back(slab, page);
    }
}

/* ---- taking and putting ---- */

/* The chain of n blocks that `before` is linked to, up to the tail. */
static struct chain chain_after(const struct block *before, struct block *tail, size_t n)
{
    if (n == 0)
        return (struct chain){BLOCK_END, NULL, 0};
    block_link(tail, BLOCK_END, block_secret);
    return (struct chain){before->next, tail, n};
}

struct chain slab_take_free(struct span *slab, size_t max)
{
    size_t bytes = class_bytes(slab->class);
    uintptr_t base = slab->base;
    uintptr_t secret = block_secret;
    bool has_purged = slab->slab.purged != 0;
    size_t n = min_size(max, slab->slab.n_carved - slab->slab.n_out);
    struct block before = {NULL, 0};
    struct block *tail = &before;
    size_t left = n;
    slab->slab.n_out += (uint16_t)n;
    for (uint64_t *word = slab->slab.bitmap; left > 0; word++) {
        size_t first = (size_t)(word - slab->slab.bitmap) * 64;
        uint64_t home = *word;
        for (; home != 0 && left > 0; left--) {
            size_t index = first + lowest_bit(home);
            struct block *block = (struct block *)(base + index * bytes);
            if (UNLIKELY(has_purged)) {
                *word = home; /* it asks which are home */
                pages_back(slab, index, index + 1);
            }
            home &= home - 1;
            (void)block_next_by(block, secret, bytes);
            block_link(tail, block, secret);
            tail = block;
        }
        *word = home;
    }
    return chain_after(&before, tail, n);
}

/* A write that changes nothing makes the page, as the link's would, where a mere look would get the
 * kernel's page of zeroes first. */
static void make_page(struct block *block)
{
    uintptr_t zero = 0;
    (void)__atomic_compare_exchange_n(&block->seal, &zero, 0, false, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED);
}

/* A block of fresh pages that was never used: if it is not zero, then somebody wrote past the end
 * of one before it, or freed what was no block yet, and may have been given it. */
static void check_never_used(struct block *block, size_t bytes)
{
    bool is_first_in_page = (uintptr_t)block % PAGE_BYTES < bytes;
    if (is_first_in_page)
        make_page(block);
    if (UNLIKELY(((uintptr_t)block->next | block->seal) != 0))
        block_corrupted(block, bytes);
}

struct chain slab_carve(struct span *slab, size_t max)
{
    size_t n = min_size(max, (size_t)(slab->slab.n_blocks - slab->slab.n_carved));
    size_t bytes = class_bytes(slab->class);
    uintptr_t secret = block_secret;
    bool is_zero = slab->slab.is_zero;
    struct block before = {NULL, 0};
    struct block *tail = &before;
    char *at = (char *)block_at(slab, slab->slab.n_carved);
    if (UNLIKELY(slab->slab.purged != 0) && n > 0)
        pages_back(slab, slab->slab.n_carved, slab->slab.n_carved + n);
    for (const char *end = at + n * bytes; at != end; at += bytes) {
        struct block *block = (struct block *)(void *)at;
        if (is_zero)
            check_never_used(block, bytes);
        block_link(tail, block, secret);
        tail = block;
    }
    slab->slab.n_carved += (uint16_t)n;
    slab->slab.n_out += (uint16_t)n;
    if (n > 0 && !slab_has_fresh(slab))
        note_full(slab);
    return chain_after(&before, tail, n);
}

void *slab_carve_zeroed(struct span *slab)
{
    if (!slab->slab.is_zero || !slab_has_fresh(slab))
        return NULL;
    if (UNLIKELY(slab->slab.purged != 0))
        pages_back(slab, slab->slab.n_carved, slab->slab.n_carved + (size_t)1);
    slab->slab.n_out++;
    void *block = block_at(slab, slab->slab.n_carved++);
    if (!slab_has_fresh(slab))
        note_full(slab);
    return block;
}

void slab_check(const struct span *slab)
{
    size_t n_free = 0;
    for (size_t i = 0; i < bitmap_words(slab); i++)
        n_free += count_bits(slab->slab.bitmap[i]);
    size_t align = align_pages(slab->class) << PAGE_SHIFT;
    bool holds = slab->kind == SPAN_SLAB && slab->base % align == 0 &&
                 slab->slab.n_carved <= slab->slab.n_blocks &&
                 n_free + slab->slab.n_out == slab->slab.n_carved;
    for (size_t i = 0; i < slab->slab.n_carved && holds; i++) {
        const struct block *block = block_at(slab, i);
        size_t page = ((uintptr_t)block - slab->base) >> PAGE_SHIFT;
        if (is_home(slab, i))
            holds = is_purged(slab, page) ? ((uintptr_t)block->next | block->seal) == 0
                                          : block_is_free(block);
    }
    if (!holds)
        __builtin_trap();
}
