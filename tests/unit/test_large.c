/* SPDX-License-Identifier: MIT */
/* Every test runs in a child, where the arena is new. */
#include "arena_now.h"
#include "mem/large.h"

#include "conf/options.h"
#include "fake_sys.h"
#include "mem/arena.h"
#include "unit.h"

#include <errno.h>
#include <sys/mman.h>

static struct span *span_of(const void *p)
{
    struct span *span = arena_large_at(p);
    check(span != NULL);
    return span;
}

static void *alloc_filled(size_t bytes, uint64_t seed)
{
    void *p = large_alloc(bytes, 1);
    check(p != NULL);
    pattern_fill(p, bytes, seed);
    return p;
}

static void *resize(void *p, size_t bytes)
{
    return large_realloc(span_of(p), bytes);
}

/* ---- allocating ---- */

static void body_alloc(void *argument)
{
    (void)argument;
    static const size_t sizes[] = {1,       4096,         32769,    100000,  MIB,
                                   5 * MIB, 32 * MIB - 1, 32 * MIB, 40 * MIB};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        for (size_t align = 1; align <= 64 * MIB; align *= 4) {
            char *p = large_alloc(sizes[i], align);
            check(p != NULL);
            check_equal((uintptr_t)p % align, 0);
            check(span_bytes(span_of(p)) >= sizes[i]);
            bool may_be_direct = sizes[i] >= options.direct_bytes || align >= options.direct_bytes;
            check(span_of(p)->kind == SPAN_LARGE || may_be_direct);
            p[0] = 1;
            p[sizes[i] - 1] = 2;
            check(large_free(p));
            check(arena_large_at(p) == NULL);
        }
    }
    check_equal(arena_now().large_bytes, 0);
}

static void test_sizes_and_alignments(void **state)
{
    (void)state;
    child_passes(body_alloc, NULL);
}

static void body_zeroed(void *argument)
{
    (void)argument;
    static const size_t sizes[] = {40000, 300000, 40 * MIB};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        for (uint64_t round = 0; round < 3; round++) {
            char *p = large_alloc_zeroed(sizes[i]);
            check(p != NULL && is_zero(p, sizes[i]));
            pattern_fill(p, sizes[i], round);
            check(large_free(p));
        }
    }
}

static void test_zeroed_blocks(void **state)
{
    (void)state;
    child_passes(body_zeroed, NULL);
}

static void body_too_large(void *argument)
{
    (void)argument;
    static const size_t sizes[] = {(size_t)PTRDIFF_MAX + 1, SIZE_MAX - 4096, SIZE_MAX, PTRDIFF_MAX,
                                   (size_t)1 << 50};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        check(large_alloc(sizes[i], 1) == NULL);
        check(large_alloc(sizes[i], 4096) == NULL);
        check(large_alloc_zeroed(sizes[i]) == NULL);
    }
    check(large_alloc(1, (size_t)1 << 63) == NULL);
    check(large_alloc(1, (size_t)1 << 50) == NULL);
    check_equal(arena_now().large_bytes, 0);
}

static void test_sizes_that_no_machine_has(void **state)
{
    (void)state;
    child_passes(body_too_large, NULL);
}

/* Free memory of the arena that holds something else than zeroes. */
static void make_dirty(size_t bytes)
{
    char *p = alloc_filled(bytes, 1);
    check_equal(span_of(p)->kind, SPAN_LARGE);
    check(large_free(p));
    check_equal(arena_now().dirty_bytes, bytes);
}

static void body_zeroed_dirty(void *argument)
{
    size_t bytes = *(size_t *)argument;
    options.dirty_bytes = GIB;
    options.direct_bytes = 32 * MIB;
    make_dirty(8 * MIB);
    options.direct_bytes = 2 * MIB;
    bool discards = bytes >= options.direct_bytes;
    size_t n_discards = fake_count(FAKE_DISCARD);
    char *p = large_alloc_zeroed(bytes);
    check(p != NULL && is_zero(p, bytes));
    check_equal(span_of(p)->kind, SPAN_LARGE);
    check_equal(fake_count(FAKE_DISCARD), n_discards + discards);
    check_equal(arena_now().dirty_bytes, 8 * MIB - bytes);
    pattern_fill(p, bytes, 2);
    check(large_free(p));
    fake_fail_from(FAKE_DISCARD, 1, EINVAL);
    p = large_alloc_zeroed(bytes);
    check(p != NULL && is_zero(p, bytes));
    check_equal(fake_count(FAKE_DISCARD), n_discards + (discards ? 2 : 0));
}

/* Pages of a block that large may never be used; of a smaller one they are at hand already. */
static void test_zeroed_blocks_of_used_memory_are_discarded_if_large(void **state)
{
    (void)state;
    size_t sizes[] = {2 * MIB - PAGE_BYTES, 2 * MIB, 5 * MIB, 8 * MIB};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        child_passes(body_zeroed_dirty, &sizes[i]);
}

static size_t resident_pages(const void *p, size_t n_pages)
{
    static unsigned char in_core[4096];
    size_t n = 0;
    check(n_pages <= sizeof in_core && mincore((void *)p, n_pages * PAGE_BYTES, in_core) == 0);
    for (size_t i = 0; i < n_pages; i++)
        n += in_core[i] & 1;
    return n;
}

/* A few of its pages were used before, here and there. */
static void body_zeroed_partly(void *argument)
{
    enum { N_PAGES = 300, EVERY = 7 };
    char *pages[N_PAGES];
    (void)argument;
    for (size_t i = 0; i < N_PAGES; i++)
        pages[i] = large_alloc(PAGE_BYTES, 1);
    for (size_t i = 0; i < N_PAGES; i++)
        check(large_free(pages[i]));
    (void)arena_purge_all();
    for (size_t i = 0; i < N_PAGES; i++)
        pages[i] = large_alloc(PAGE_BYTES, 1);
    for (size_t i = 0; i < N_PAGES; i++) {
        if (i % EVERY == 0)
            pattern_fill(pages[i], PAGE_BYTES, i);
        arena_give(span_of(pages[i]), i % EVERY == 0);
    }
    char *p = large_alloc_zeroed((size_t)N_PAGES * PAGE_BYTES);
    check(p == pages[0] || p == pages[N_PAGES - 1]);
    check_equal(resident_pages(p, N_PAGES), div_round_up(N_PAGES, EVERY));
    check(is_zero(p, (size_t)N_PAGES * PAGE_BYTES));
}

static void test_of_a_zeroed_block_only_used_pages_are_written(void **state)
{
    (void)state;
    child_passes(body_zeroed_partly, NULL);
}

/* ---- out of memory ---- */

static void body_no_memory(void *argument)
{
    (void)argument;
    fake_fail_from(FAKE_MAP, 1, ENOMEM);
    check(large_alloc(100000, 1) == NULL);
    check(large_alloc(100000, 65536) == NULL);
    check(large_alloc_zeroed(100000) == NULL);
    check(large_alloc(64 * MIB, 1) == NULL);
    check_equal(arena_now().large_bytes, 0);
    fake_fail_none();
    check(large_alloc(100000, 1) != NULL);
    check(large_alloc(64 * MIB, 1) != NULL);
}

static void test_no_memory_is_null(void **state)
{
    (void)state;
    child_passes(body_no_memory, NULL);
}

/* The arena has room below direct_bytes, a block from there on finds no mapping of its own. */
static void body_arena_helps_direct(void *argument)
{
    (void)argument;
    options.direct_bytes = MIB;
    struct span *span = arena_take(SPAN_LARGE, 1000, 1);
    pattern_fill((void *)span->base, span_bytes(span), 1);
    arena_give(span, 1000);
    fake_fail_from(FAKE_MAP, 1, ENOMEM);
    void *p = large_alloc_zeroed(2 * MIB);
    check(p != NULL && is_zero(p, 2 * MIB));
    check_equal(span_of(p)->kind, SPAN_LARGE);
    check(arena_now().dirty_bytes <= 2 * MIB); /* what is left of the 1000 pages */
}

static void test_what_the_arena_has_is_used_for_a_block_that_cannot_be_mapped(void **state)
{
    (void)state;
    child_passes(body_arena_helps_direct, NULL);
}

static void body_mapping_helps_arena(void *argument)
{
    (void)argument;
    /* The arena's regions are multiples of 64 KiB; a mapping of its own is smaller. */
    fake_map_max(100 * KIB);
    void *p = large_alloc(100 * KIB, 1);
    check(p != NULL);
    check_equal(span_of(p)->kind, SPAN_DIRECT);
}

static void test_a_block_that_the_arena_cannot_hold_is_mapped(void **state)
{
    (void)state;
    child_passes(body_mapping_helps_arena, NULL);
}

enum { N_SCATTERED = 64, SCATTERED_BYTES = 600 * 1024 };

/* Of what the arena has no more than seven blocks' worth is in one piece, and there is little more
 * address space: what is free makes room for a mapping. */
static void body_unmap_free(void *argument)
{
    (void)argument;
    char *blocks[N_SCATTERED];
    for (size_t i = 0; i < N_SCATTERED; i++)
        blocks[i] = alloc_filled(SCATTERED_BYTES, i);
    for (size_t i = 0; i < N_SCATTERED; i++) {
        if (i % 8 != 0)
            check(large_free(blocks[i]));
    }
    size_t bytes = 20 * MIB;
    check(arena_now().free_bytes > bytes);
    fake_map_left(MIB);
    char *p = large_alloc(bytes, 1);
    check(p != NULL && is_zero(p, bytes));
    pattern_fill(p, bytes, 99);
    check_equal(arena_now().free_bytes, 0);
    check_equal(arena_now().mapped_bytes, N_SCATTERED / 8 * (size_t)SCATTERED_BYTES);
    for (size_t i = 0; i < N_SCATTERED; i += 8) {
        check(pattern_holds(blocks[i], SCATTERED_BYTES, i));
        check(large_free(blocks[i]));
    }
    check(pattern_holds(p, bytes, 99));
    check(large_alloc(bytes + 16 * MIB, 1) == NULL);
    check_equal(arena_now().mapped_bytes, 0);
    fake_fail_none();
    check(large_alloc(bytes, 1) != NULL && large_alloc(SCATTERED_BYTES, 1) != NULL);
    (void)arena_now();
}

static void test_free_address_space_is_let_go_when_there_is_no_other(void **state)
{
    (void)state;
    child_passes(body_unmap_free, NULL);
}

/* ---- realloc ---- */

static void body_in_place(void *argument)
{
    (void)argument;
    char *p = alloc_filled(100000, 1);
    check(resize(p, 300000) == p);
    check(pattern_holds(p, 100000, 1));
    pattern_fill(p, 300000, 2);
    check(resize(p, 300001) == p);
    check(resize(p, 50000) == p);
    check_equal(span_bytes(span_of(p)), round_up(50000, PAGE_BYTES));
    check(pattern_holds(p, 50000, 2));
    check_equal(arena_now().large_bytes, round_up(50000, PAGE_BYTES));
    check(large_free(p));
    check_equal(arena_now().large_bytes, 0);
}

static void test_resizing_in_place(void **state)
{
    (void)state;
    child_passes(body_in_place, NULL);
}

static void body_small_cannot_grow(void *argument)
{
    (void)argument;
    char *p = alloc_filled(100000, 1);
    (void)alloc_filled(4096, 2);
    check(resize(p, 200000) == NULL);
    check(pattern_holds(p, 100000, 1));
    check_equal(span_bytes(span_of(p)), round_up(100000, PAGE_BYTES));
}

/* Below a MiB the caller moves the block, by copying. */
static void test_a_small_block_that_cannot_grow_stays(void **state)
{
    (void)state;
    child_passes(body_small_cannot_grow, NULL);
}

static void body_move_to_direct(void *argument)
{
    (void)argument;
    char *p = alloc_filled(2 * MIB, 1);
    (void)alloc_filled(4096, 2);
    char *to = resize(p, 3 * MIB);
    check(to != NULL && to != p);
    check_equal(span_of(to)->kind, SPAN_DIRECT);
    check(pattern_holds(to, 2 * MIB, 1));
    check(is_zero(to + 2 * MIB, MIB));
    check(arena_large_at(p) == NULL);
    check_equal(arena_now().direct_bytes, 3 * MIB);
    /* From now on it grows without copying: by mremap alone. */
    size_t n_resizes = fake_count(FAKE_RESIZE);
    to = resize(to, 20 * MIB);
    check(to != NULL && pattern_holds(to, 2 * MIB, 1));
    check_equal(fake_count(FAKE_RESIZE), n_resizes + 1);
    check_equal(arena_now().direct_bytes, 20 * MIB);
}

static void test_a_block_of_a_mib_that_must_move_gets_a_mapping(void **state)
{
    (void)state;
    child_passes(body_move_to_direct, NULL);
}

static void check_stays(char *p, size_t bytes, size_t wanted)
{
    check(resize(p, wanted) == NULL);
    check(pattern_holds(p, bytes, 1));
    check_equal(span_bytes(span_of(p)), bytes);
    (void)arena_now();
}

static void body_failures(void *argument)
{
    (void)argument;
    char *p = alloc_filled(2 * MIB, 1);
    (void)alloc_filled(4096, 2);
    char *direct = alloc_filled(40 * MIB, 1);
    check_stays(p, 2 * MIB, (size_t)PTRDIFF_MAX + 1);
    check_stays(direct, 40 * MIB, SIZE_MAX);
    fake_fail_from(FAKE_MAP, 1, ENOMEM);
    fake_fail_from(FAKE_RESIZE, 1, ENOMEM);
    check_stays(p, 2 * MIB, 3 * MIB);
    check_stays(direct, 40 * MIB, 50 * MIB);
    check_stays(direct, 40 * MIB, 30 * MIB);
    fake_fail_none();
    fake_fail_from(FAKE_RESIZE, 1, ENOMEM);
    fake_fail_from(FAKE_MOVE, 1, ENOMEM);
    check_stays(direct, 40 * MIB, 50 * MIB);
    check_equal(arena_now().direct_bytes, 40 * MIB);
}

static void test_a_failed_realloc_leaves_the_block(void **state)
{
    (void)state;
    child_passes(body_failures, NULL);
}

static void body_random_realloc(void *argument)
{
    (void)argument;
    struct random dice = {1};
    char *blocks[4] = {NULL};
    size_t sizes[4] = {0};
    options.direct_bytes = 2 * MIB;
    for (uint64_t i = 0; i < 600; i++) {
        size_t at = random_below(&dice, ARRAY_LEN(blocks));
        size_t bytes = random_bytes(&dice, 4 * MIB) + 32768;
        if (blocks[at] == NULL) {
            blocks[at] = large_alloc(bytes, 1);
        } else {
            check(pattern_holds(blocks[at], sizes[at], at));
            char *to = resize(blocks[at], bytes);
            if (to == NULL)
                continue;
            check(pattern_holds(to, min_size(sizes[at], bytes), at));
            blocks[at] = to;
        }
        sizes[at] = bytes;
        pattern_fill(blocks[at], bytes, at);
        if (random_below(&dice, 3) == 0) {
            check(large_free(blocks[at]));
            blocks[at] = NULL;
        }
        arena_check();
    }
}

static void test_random_reallocs(void **state)
{
    (void)state;
    child_passes(body_random_realloc, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_and_alignments),
        cmocka_unit_test(test_zeroed_blocks),
        cmocka_unit_test(test_zeroed_blocks_of_used_memory_are_discarded_if_large),
        cmocka_unit_test(test_of_a_zeroed_block_only_used_pages_are_written),
        cmocka_unit_test(test_sizes_that_no_machine_has),
        cmocka_unit_test(test_no_memory_is_null),
        cmocka_unit_test(test_what_the_arena_has_is_used_for_a_block_that_cannot_be_mapped),
        cmocka_unit_test(test_a_block_that_the_arena_cannot_hold_is_mapped),
        cmocka_unit_test(test_free_address_space_is_let_go_when_there_is_no_other),
        cmocka_unit_test(test_resizing_in_place),
        cmocka_unit_test(test_a_small_block_that_cannot_grow_stays),
        cmocka_unit_test(test_a_block_of_a_mib_that_must_move_gets_a_mapping),
        cmocka_unit_test(test_a_failed_realloc_leaves_the_block),
        cmocka_unit_test(test_random_reallocs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
