/* SPDX-License-Identifier: MIT */
/* The address map on addresses of its own making: nothing here is ever dereferenced. */
#include "mem/map.h"

#include "conf/classes.h"
#include "fake_sys.h"
#include "os/pages.h"
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define LEAF_BYTES ((uintptr_t)1 << LEAF_SHIFT)

/* Units at the ends of windows, in windows that lie side by side and far apart. */
static const uintptr_t bases[] = {
    5 * LEAF_BYTES,
    5 * LEAF_BYTES + 17 * (uintptr_t)UNIT_BYTES,
    6 * LEAF_BYTES - UNIT_BYTES,
    6 * LEAF_BYTES,
    6 * LEAF_BYTES + 17 * (uintptr_t)UNIT_BYTES,
    0x5555 * LEAF_BYTES + 0x12340000,
    0x7fff * LEAF_BYTES + 0xffff0000,
};

static const uint32_t owners[] = {1, 2, 3, 255, 256, 4095, 16384, 32766, 32767};

static int cover_bases(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bases); i++)
        check(map_cover(bases[i], UNIT_BYTES));
    return 0;
}

static int clear_bases(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bases); i++)
        map_clear_slab(bases[i], 0);
    fake_fail_none();
    return 0;
}

static void check_place(uintptr_t base, unsigned class, uint32_t owner)
{
    static const uint32_t offsets[] = {0, 1, 16, 4096, 32768, UNIT_BYTES - 16, UNIT_BYTES - 1};
    for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
        struct place place = map_place(base + offsets[i]);
        check_equal(place.is_slab, class_is_small(class) || offsets[i] == 0);
        if (!place.is_slab)
            continue;
        check_equal(place.class, class);
        check_equal(place.owner, owner);
        check_equal(place.offset, offsets[i]);
    }
}

static bool is_known(uintptr_t p)
{
    return map_place(p).is_slab && place_is_block(map_place(p));
}

/* All other addresses are none of its, and the next one may begin in the next grain. */
static void test_medium_blocks_begin_with_any_page(void **state)
{
    (void)state;
    enum { GRAIN_PAGES = UNIT_PAGES / 2 };
    uintptr_t leaf_base = round_down(bases[1], LEAF_BYTES);
    for (unsigned class = N_SMALL_CLASSES; class < N_CLASSES; class ++) {
        for (size_t page = 0; page < GRAIN_PAGES; page++) {
            uintptr_t base = bases[1] + page * PAGE_BYTES;
            uintptr_t next = bases[1] + (GRAIN_PAGES + page) * PAGE_BYTES;
            map_set_slab(base, class, map_tag(9));
            map_set_slab(next, class, map_tag(10));
            size_t grain = map_grain(base);
            check_equal(map_base_of(atomic_get_relaxed(map_slab_word(base)), leaf_base, grain),
                        base);
            grain = map_grain(next);
            check_equal(map_base_of(atomic_get_relaxed(map_slab_word(next)), leaf_base, grain),
                        next);
            for (uintptr_t p = bases[1]; p < bases[1] + UNIT_BYTES; p += BLOCK_ALIGN)
                check_equal(is_known(p), p == base || p == next);
            map_clear_slab(base, class);
            check(!is_known(base) && is_known(next));
            map_clear_slab(next, class);
        }
    }
}

static void test_a_small_class_s_slab_has_all_of_its_unit(void **state)
{
    (void)state;
    uintptr_t leaf_base = round_down(bases[1], LEAF_BYTES);
    map_set_slab(bases[1], 3, map_tag(9));
    for (uintptr_t p = bases[1]; p < bases[1] + UNIT_BYTES; p += BLOCK_ALIGN) {
        check(map_place(p).is_slab && map_place(p).offset == p - bases[1]);
        uint64_t word = atomic_get_relaxed(map_slab_word(p));
        check_equal(map_base_of(word, leaf_base, map_grain(p)), bases[1]);
    }
    map_clear_slab(bases[1], 3);
    for (uintptr_t p = bases[1]; p < bases[1] + UNIT_BYTES; p += BLOCK_ALIGN)
        check(!map_place(p).is_slab);
}

static void test_places_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bases); i++) {
        for (size_t j = 0; j < ARRAY_LEN(owners); j++) {
            for (unsigned class = 0; class < N_CLASSES; class ++) {
                map_clear_slab(bases[i], 0);
                map_set_slab(bases[i], class, map_tag(owners[j]));
                check_place(bases[i], class, owners[j]);
            }
        }
    }
}

static void test_a_word_is_its_unit_s_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bases); i++)
        map_set_slab(bases[i], (unsigned)i, map_tag(100 + (uint32_t)i));
    for (size_t i = 0; i < ARRAY_LEN(bases); i++)
        check_place(bases[i], (unsigned)i, 100 + (uint32_t)i);
    for (size_t i = 0; i < ARRAY_LEN(bases); i++) {
        map_clear_slab(bases[i], 0);
        check(!map_place(bases[i]).is_slab);
        for (size_t j = i + 1; j < ARRAY_LEN(bases); j++)
            check_place(bases[j], (unsigned)j, 100 + (uint32_t)j);
    }
}

static void test_neighbours_of_a_slab_are_none(void **state)
{
    (void)state;
    map_set_slab(bases[1], 7, map_tag(9));
    check(!map_place(bases[1] - 1).is_slab);
    check(!map_place(bases[1] + UNIT_BYTES).is_slab);
    check(!map_place(bases[1] + LEAF_BYTES).is_slab);
}

static void test_foreign_addresses(void **state)
{
    (void)state;
    static const uintptr_t foreign[] = {
        0,
        1,
        4096,
        4 * LEAF_BYTES,
        7 * LEAF_BYTES,
        (UINT64_C(1) << 48) - 1,
        UINT64_C(1) << 48,
        (UINT64_C(1) << 48) + 5 * LEAF_BYTES, /* covered but for the high bits */
        UINT64_C(1) << 63,
        (UINT64_C(1) << 63) + 5 * LEAF_BYTES,
        UINTPTR_MAX,
    };
    map_set_slab(bases[0], 3, map_tag(4));
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
        check(!map_place(foreign[i]).is_slab);
    check(map_leaf(4 * LEAF_BYTES) == NULL);
    check(map_leaf(UINT64_C(1) << 48) == NULL);
    check(map_slab_word(4 * LEAF_BYTES) == NULL);
    check(map_slab_word(UINTPTR_MAX) == NULL);
}

/* What the fast path of free() relies on: see the head of map.h. */
static bool is_mine(const struct leaf *leaf, uintptr_t p, uint64_t tag, uint64_t *class_and_offset)
{
    uint64_t word = atomic_get_relaxed(&leaf->slab_words[map_grain(p)]);
    *class_and_offset = word ^ p ^ tag;
    return *class_and_offset < (uint64_t)N_CLASSES << MAP_CLASS_SHIFT;
}

static void test_one_compare_tells_mine_from_all_else(void **state)
{
    (void)state;
    const struct leaf *leaf = map_leaf(bases[1]);
    uint64_t x;
    for (size_t j = 0; j < ARRAY_LEN(owners); j++) {
        for (unsigned class = 0; class < N_CLASSES; class ++) {
            uint64_t tag = map_tag(owners[j]);
            map_set_slab(bases[1], class, tag);
            check(is_mine(leaf, bases[1] + 48, tag, &x));
            check_equal(x, (uint64_t) class << MAP_CLASS_SHIFT | 48);
            /* Neither the thread without a heap nor any other owner. */
            check(!is_mine(leaf, bases[1], MAP_TAG_BIT, &x));
            for (size_t k = 0; k < ARRAY_LEN(owners); k++)
                check(is_mine(leaf, bases[1], map_tag(owners[k]), &x) == (j == k));
        }
    }
}

static void test_no_other_address_passes_the_compare(void **state)
{
    (void)state;
    struct random random = {1};
    const struct leaf *leaf = map_leaf(bases[1]);
    uint64_t tag = map_tag(77);
    uint64_t x;
    map_set_slab(bases[1], 5, tag);
    for (unsigned bit = UNIT_SHIFT; bit < 64; bit++)
        check(!is_mine(leaf, bases[1] ^ UINT64_C(1) << bit, tag, &x));
    for (int i = 0; i < 1000000; i++) {
        uintptr_t p = random_next(&random);
        /* Every other one with the low half of the slab's addresses. */
        if (i % 2 == 0)
            p = (p & ~UINT64_C(0xffffffff)) | (uint32_t)bases[1] | (uint16_t)p;
        check(is_mine(leaf, p, tag, &x) == (p >> UNIT_SHIFT == bases[1] >> UNIT_SHIFT));
    }
}

static void test_a_unit_that_is_no_slab_is_nobody_s(void **state)
{
    (void)state;
    const struct leaf *leaf = map_leaf(bases[1]);
    uint64_t x;
    for (size_t j = 0; j < ARRAY_LEN(owners); j++)
        check(!is_mine(leaf, bases[1], map_tag(owners[j]), &x));
    check(!is_mine(leaf, bases[1], MAP_TAG_BIT, &x));
}

static void test_span_entries(void **state)
{
    (void)state;
    static char spans[2];
    uintptr_t border = 6 * LEAF_BYTES;
    struct span *one = (struct span *)(void *)&spans[0];
    struct span *other = (struct span *)(void *)&spans[1];
    *map_span_entry(border - PAGE_BYTES) = one;
    *map_span_entry(border) = other;
    check(*map_span_entry(border - 1) == one);
    check(*map_span_entry(border + PAGE_BYTES - 1) == other);
    check(*map_span_entry(border + PAGE_BYTES) == NULL);
    check(map_slab_span(0, border + UNIT_BYTES - 1) == other);
    check(map_slab_span(N_SMALL_CLASSES, border) == other);
    *map_span_entry(border - PAGE_BYTES) = NULL;
    *map_span_entry(border) = NULL;
}

static void test_slab_of_an_owner(void **state)
{
    (void)state;
    static char span;
    struct span *slab = (struct span *)(void *)&span;
    uintptr_t base = 6 * LEAF_BYTES + 5 * UNIT_BYTES;
    uintptr_t last = base + UNIT_BYTES - 1;
    uint64_t mine = map_tag(7);
    *map_span_entry(base) = slab;
    check(map_slab_of(base, 3, mine) == NULL);
    map_set_slab(base, 3, mine);
    check(map_slab_of(base, 3, mine) == slab && map_slab_of(last, 3, mine) == slab);
    check(map_slab_of(base, 4, mine) == NULL && map_slab_of(base, 3, map_tag(6)) == NULL);
    check(map_slab_of(base - 1, 3, mine) == NULL && map_slab_of(last + 1, 3, mine) == NULL);
    map_clear_slab(base, 3);
    check(map_slab_of(base, 3, mine) == NULL);
    map_set_slab(base, N_SMALL_CLASSES, mine); /* a medium block: only its start is one */
    check(map_slab_of(base, N_SMALL_CLASSES, mine) == slab);
    check(map_slab_of(base + BLOCK_ALIGN, N_SMALL_CLASSES, mine) == NULL);
    map_clear_slab(base, N_SMALL_CLASSES);
    *map_span_entry(base) = NULL;
    check(map_slab_of(UINTPTR_MAX, 3, mine) == NULL && map_slab_of(0, 3, mine) == NULL);
}

static void test_beyond_the_address_space(void **state)
{
    (void)state;
    check(!map_cover(UINT64_C(1) << ADDRESS_BITS, PAGE_BYTES));
    check(!map_cover((UINT64_C(1) << ADDRESS_BITS) - PAGE_BYTES, 2 * (size_t)PAGE_BYTES));
    check(map_cover((UINT64_C(1) << ADDRESS_BITS) - PAGE_BYTES, PAGE_BYTES));
}

/* Three windows, of which the second cannot be had: the first stays, and the rest comes later. */
static void test_no_memory_for_a_leaf(void **state)
{
    (void)state;
    uintptr_t base = 0x1000 * LEAF_BYTES + MIB;
    fake_fail_once(FAKE_MAP, 2, ENOMEM);
    check(!map_cover(base, 2 * LEAF_BYTES));
    check(map_leaf(base) != NULL);
    check(map_leaf(base + LEAF_BYTES) == NULL);
    size_t before = fake_count(FAKE_MAP);
    check(map_cover(base, 2 * LEAF_BYTES));
    check_equal(fake_count(FAKE_MAP), before + 2);
    check(map_leaf(base + 2 * LEAF_BYTES) != NULL);
    check(map_cover(base, 2 * LEAF_BYTES));
    check_equal(fake_count(FAKE_MAP), before + 2);
}

static void write_at(void *p)
{
    *(volatile char *)p = 1;
}

/* But for the first, which is in our own data. */
static void test_guards_before_and_behind_a_leaf(void **state)
{
    (void)state;
    uintptr_t base = 0x2000 * LEAF_BYTES;
    check(map_cover(base, 2 * LEAF_BYTES));
    char *leaf = (char *)map_leaf(base + LEAF_BYTES);
    write_at(leaf + sizeof(struct leaf) - 1);
    child_dies(write_at, leaf - 1, SIGSEGV, SIGBUS);
    child_dies(write_at, leaf + round_up(sizeof(struct leaf), os_page_bytes()), SIGSEGV, SIGBUS);
}

/* ---- touched bits ---- */

enum { N_PAGES = 1024 };

/* Half of the pages on each side of a border between two leaves. */
static const uintptr_t pages_base = 6 * LEAF_BYTES - (uintptr_t)N_PAGES / 2 * (size_t)PAGE_BYTES;

static void check_counts(const bool *touched, struct random *random)
{
    for (int i = 0; i < 4; i++) {
        size_t first = random_below(random, N_PAGES);
        size_t n = random_below(random, N_PAGES - first + 1);
        size_t expected = 0;
        for (size_t page = first; page < first + n; page++)
            expected += touched[page];
        check_equal(map_touched_count(pages_base + first * PAGE_BYTES, n), expected);
    }
}

static void check_run(const bool *touched, struct random *random)
{
    size_t first = random_below(random, N_PAGES);
    size_t n = random_below(random, N_PAGES - first) + 1;
    size_t expected = 1;
    bool is_touched;
    while (expected < n && touched[first + expected] == touched[first])
        expected++;
    check_equal(map_touched_run(pages_base + first * PAGE_BYTES, n, &is_touched), expected);
    check_equal(is_touched, touched[first]);
}

static void test_touched_bits_over_a_border(void **state)
{
    (void)state;
    bool touched[N_PAGES] = {false};
    struct random random = {2};
    check_equal(map_touched_count(pages_base, N_PAGES), 0);
    for (int i = 0; i < 20000; i++) {
        size_t first = random_below(&random, N_PAGES);
        size_t n = random_below(&random, 200);
        if (n > N_PAGES - first)
            n = N_PAGES - first;
        bool set = random_below(&random, 2) == 0;
        (set ? map_touched_set : map_touched_clear)(pages_base + first * PAGE_BYTES, n);
        memset(touched + first, set, n);
        check_counts(touched, &random);
        check_run(touched, &random);
    }
    map_touched_set(pages_base, N_PAGES);
    check_equal(map_touched_count(pages_base, N_PAGES), N_PAGES);
    map_touched_clear(pages_base, N_PAGES);
    check_equal(map_touched_count(pages_base, N_PAGES), 0);
}

static void test_touched_bits_outside_stay(void **state)
{
    (void)state;
    map_touched_set(pages_base, 1);
    map_touched_set(pages_base + (N_PAGES - 1) * (uintptr_t)PAGE_BYTES, 1);
    map_touched_set(pages_base + PAGE_BYTES, N_PAGES - 2);
    map_touched_clear(pages_base + PAGE_BYTES, N_PAGES - 2);
    check_equal(map_touched_count(pages_base, N_PAGES), 2);
    map_touched_clear(pages_base, N_PAGES);
}

/* The page from which on n of the pages before `end` are touched. */
static size_t nth_from_end(const bool *touched, size_t end, size_t n)
{
    size_t page = end;
    while (n > 0)
        n -= touched[--page];
    return page;
}

static void test_the_nth_touched_page_from_the_end(void **state)
{
    (void)state;
    bool touched[N_PAGES] = {false};
    struct random random = {3};
    for (int i = 0; i < 4000; i++) {
        /* Every density, from a few pages to all but a few. */
        size_t page = random_below(&random, N_PAGES);
        size_t n_set = min_size(random_bytes(&random, 64), N_PAGES - page);
        bool set = random_below(&random, 16) >= (size_t)i / 256;
        (set ? map_touched_set : map_touched_clear)(pages_base + page * PAGE_BYTES, n_set);
        memset(touched + page, set, n_set);
        size_t first = random_below(&random, N_PAGES);
        size_t n_pages = random_below(&random, N_PAGES - first) + 1;
        uintptr_t base = pages_base + first * PAGE_BYTES;
        size_t n_touched = map_touched_count(base, n_pages);
        if (n_touched == 0)
            continue;
        size_t ns[] = {1, random_below(&random, n_touched) + 1, n_touched};
        for (size_t j = 0; j < ARRAY_LEN(ns); j++) {
            size_t found = nth_from_end(touched, first + n_pages, ns[j]);
            check_equal(map_touched_from_end(base, n_pages, ns[j]),
                        pages_base + found * PAGE_BYTES);
        }
    }
    map_touched_clear(pages_base, N_PAGES);
}

#define map_test(f) cmocka_unit_test_teardown(f, clear_bases)

int main(void)
{
    const struct CMUnitTest tests[] = {
        map_test(test_places_come_back),
        map_test(test_medium_blocks_begin_with_any_page),
        map_test(test_a_small_class_s_slab_has_all_of_its_unit),
        map_test(test_a_word_is_its_unit_s_alone),
        map_test(test_neighbours_of_a_slab_are_none),
        map_test(test_foreign_addresses),
        map_test(test_one_compare_tells_mine_from_all_else),
        map_test(test_no_other_address_passes_the_compare),
        map_test(test_a_unit_that_is_no_slab_is_nobody_s),
        map_test(test_span_entries),
        map_test(test_slab_of_an_owner),
        map_test(test_beyond_the_address_space),
        map_test(test_no_memory_for_a_leaf),
        map_test(test_guards_before_and_behind_a_leaf),
        map_test(test_touched_bits_over_a_border),
        map_test(test_touched_bits_outside_stay),
        map_test(test_the_nth_touched_page_from_the_end),
    };
    return cmocka_run_group_tests(tests, cover_bases, NULL);
}
