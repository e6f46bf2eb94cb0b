/* SPDX-License-Identifier: MIT */
/*
 * Arenas, as poolalloc.h describes them.
 */
#include "captured.h"
#include "poolalloc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct poolalloc_arena_stats stats_of(const poolalloc_arena *arena)
{
    struct poolalloc_arena_stats stats;
    poolalloc_arena_get_stats(arena, &stats);
    return stats;
}

/* ---- pieces ---- */

enum { N_PIECES = 3000 };

static void test_pieces_are_apart_and_aligned(void **state)
{
    (void)state;
    static unsigned char *pieces[N_PIECES];
    poolalloc_arena *arena = poolalloc_arena_create(NULL);
    for (size_t i = 0; i < N_PIECES; i++) {
        size_t align = (size_t)1 << i % 13;
        pieces[i] = i % 3 == 0 ? poolalloc_arena_alloc_aligned(arena, align, i)
                               : poolalloc_arena_alloc(arena, i);
        assert_non_null(pieces[i]);
        assert_true((uintptr_t)pieces[i] % (i % 3 == 0 ? align : 16) == 0);
        memset(pieces[i], (int)(i % 251), i);
    }
    for (size_t i = 0; i < N_PIECES; i++) {
        for (size_t j = 0; j < i; j++)
            assert_int_equal(pieces[i][j], i % 251);
    }
    assert_true(stats_of(arena).used_bytes >= N_PIECES * (N_PIECES - 1) / 2);
    poolalloc_arena_destroy(arena);
}

static void test_align_1_packs(void **state)
{
    (void)state;
    poolalloc_arena *arena = poolalloc_arena_create(NULL);
    char *a = poolalloc_arena_alloc_aligned(arena, 1, 5);
    char *b = poolalloc_arena_strdup(arena, "seven");
    char *c = poolalloc_arena_alloc_aligned(arena, 1, 1);
    assert_ptr_equal(b, a + 5);
    assert_ptr_equal(c, b + 6);
    assert_true((uintptr_t)poolalloc_arena_alloc(arena, 1) % 16 == 0);
    poolalloc_arena_destroy(arena);
}

static void test_pieces_with_something_in_them(void **state)
{
    (void)state;
    static const char zeroes[500];
    poolalloc_arena *arena = poolalloc_arena_create(NULL);
    char *dirt = poolalloc_arena_alloc(arena, 4000);
    memset(dirt, 0xff, 4000);
    poolalloc_arena_reset(arena);
    assert_memory_equal(poolalloc_arena_calloc(arena, 50, 10), zeroes, 500);
    assert_memory_equal(poolalloc_arena_memdup(arena, "ab\0cd", 5), "ab\0cd", 5);
    assert_non_null(poolalloc_arena_memdup(arena, NULL, 0));
    assert_string_equal(poolalloc_arena_strdup(arena, ""), "");
    for (int width = 0; width < 9000; width += 501) { /* in this chunk, and beyond its end */
        char *text = poolalloc_arena_printf(arena, "%*d|%s", width, 7, "x");
        assert_int_equal(strlen(text), (width > 1 ? width : 1) + 2);
        assert_string_equal(text + strlen(text) - 3, "7|x");
    }
    poolalloc_arena_destroy(arena);
}

static void test_what_cannot_be_is_refused(void **state)
{
    (void)state;
    poolalloc_arena *arena = poolalloc_arena_create(NULL);
    static const size_t too_much[] = {SIZE_MAX, SIZE_MAX - 15, PTRDIFF_MAX, PTRDIFF_MAX / 2};
    for (size_t i = 0; i < 4; i++) {
        errno = 0;
        assert_null(poolalloc_arena_alloc(arena, too_much[i]));
        assert_int_equal(errno, ENOMEM);
    }
    assert_null(poolalloc_arena_calloc(arena, SIZE_MAX / 2 + 2, 2));
    assert_null(poolalloc_arena_alloc_aligned(arena, (SIZE_MAX >> 1) + 1, 1));
    assert_int_equal(stats_of(arena).n_failures, 6);
    errno = 0;
    assert_null(poolalloc_arena_alloc_aligned(arena, 24, 1));
    assert_int_equal(errno, EINVAL);
    assert_null(poolalloc_arena_alloc_aligned(arena, 0, 1));
    assert_int_equal(stats_of(arena).n_failures, 6);
    poolalloc_arena_destroy(arena);
    poolalloc_arena_destroy(NULL);

    errno = 0;
    assert_null(poolalloc_arena_create(&(struct poolalloc_arena_options){.reserved = {0, 1}}));
    assert_int_equal(errno, EINVAL);
}

/* ---- chunks ---- */

static void test_chunks_grow(void **state)
{
    (void)state;
    poolalloc_arena *arena =
        poolalloc_arena_create(&(struct poolalloc_arena_options){.first_bytes = 1000});
    for (int i = 0; i < 100000; i++)
        assert_non_null(poolalloc_arena_alloc(arena, 16));
    struct poolalloc_arena_stats stats = stats_of(arena);
    assert_in_range(stats.n_chunks, 8, 12); /* 1,000, 2,000, 4,000, ... bytes for 1.6 MB */
    assert_true(stats.used_bytes >= 1600000 && stats.bytes < 2 * 1600000 + 2000);
    poolalloc_arena_destroy(arena);
}

/* A piece may be as large as it likes: what comes after it is not. */
static void test_one_large_piece_makes_no_large_chunks(void **state)
{
    (void)state;
    poolalloc_arena *arena = poolalloc_arena_create(NULL);
    assert_non_null(poolalloc_arena_alloc(arena, 64 << 20));
    for (int i = 0; i < 1000; i++)
        assert_non_null(poolalloc_arena_alloc(arena, 16));
    assert_true(stats_of(arena).bytes < (64 << 20) + (1 << 20));
    poolalloc_arena_destroy(arena);
    /* But a first chunk that is large on purpose is followed by others. */
    arena = poolalloc_arena_create(&(struct poolalloc_arena_options){.first_bytes = 4 << 20});
    for (int i = 0; i < 5; i++)
        assert_non_null(poolalloc_arena_alloc(arena, 1 << 20));
    assert_int_equal(stats_of(arena).n_chunks, 2);
    poolalloc_arena_destroy(arena);
}

static void test_maximum_holds(void **state)
{
    (void)state;
    poolalloc_arena *arena = poolalloc_arena_create(
        &(struct poolalloc_arena_options){.first_bytes = 1024, .max_bytes = 10000});
    size_t n = 0;
    while (poolalloc_arena_alloc(arena, 100) != NULL)
        n++;
    assert_int_equal(errno, ENOMEM);
    struct poolalloc_arena_stats stats = stats_of(arena);
    assert_true(stats.bytes <= 10000 && n >= 10000 / 112 - 8);
    assert_int_equal(stats.n_failures, 1);
    poolalloc_arena_reset(arena);
    for (size_t i = 0; i < n; i++)
        assert_non_null(poolalloc_arena_alloc(arena, 100));
    poolalloc_arena_destroy(arena);
}

static void test_reset_keeps_chunks_and_trim_does_not(void **state)
{
    (void)state;
    poolalloc_arena *arena = poolalloc_arena_create(NULL);
    void *first = poolalloc_arena_alloc(arena, 16);
    (void)poolalloc_arena_alloc(arena, 3000000);
    (void)poolalloc_arena_alloc(arena, 100);
    struct poolalloc_arena_stats before = stats_of(arena);
    poolalloc_arena_reset(arena);
    struct poolalloc_arena_stats after = stats_of(arena);
    assert_int_equal(after.bytes, before.bytes);
    assert_int_equal(after.used_bytes, 0);
    assert_int_equal(after.peak_bytes, before.used_bytes);
    assert_ptr_equal(poolalloc_arena_alloc(arena, 16), first);
    assert_non_null(poolalloc_arena_alloc(arena, 3000000));
    assert_int_equal(stats_of(arena).bytes, before.bytes);
    poolalloc_arena_reset(arena);
    assert_true(poolalloc_arena_trim(arena) >= 3000000);
    assert_int_equal(stats_of(arena).n_chunks, 1);
    assert_int_equal(poolalloc_arena_trim(arena), 0);
    assert_non_null(poolalloc_arena_alloc(arena, 5000));
    poolalloc_arena_destroy(arena);
}

/* ---- marks ---- */

static void test_release_goes_back(void **state)
{
    (void)state;
    poolalloc_arena *arena = poolalloc_arena_create(NULL);
    char *kept = poolalloc_arena_strdup(arena, "kept");
    poolalloc_mark outer = poolalloc_arena_mark(arena);
    size_t used = stats_of(arena).used_bytes;
    char *again = poolalloc_arena_alloc(arena, 10);
    for (int i = 0; i < 100; i++)
        (void)poolalloc_arena_alloc(arena, 1000);
    poolalloc_mark inner = poolalloc_arena_mark(arena);
    size_t used_inner = stats_of(arena).used_bytes;
    (void)poolalloc_arena_alloc(arena, 100000);
    assert_int_equal(poolalloc_arena_release(arena, inner), 0);
    assert_int_equal(stats_of(arena).used_bytes, used_inner);
    assert_int_equal(poolalloc_arena_release(arena, outer), 0);
    assert_int_equal(stats_of(arena).used_bytes, used);
    assert_ptr_equal(poolalloc_arena_alloc(arena, 10), again);
    assert_string_equal(kept, "kept");
    assert_true(stats_of(arena).peak_bytes >= used_inner + 100000);
    poolalloc_arena_destroy(arena);
}

static void test_release_to_no_mark_is_refused(void **state)
{
    (void)state;
    poolalloc_arena *arena =
        poolalloc_arena_create(&(struct poolalloc_arena_options){.name = "requests"});
    poolalloc_arena *other = poolalloc_arena_create(NULL);
    poolalloc_mark mark = poolalloc_arena_mark(arena);
    (void)poolalloc_arena_alloc(arena, 100);
    poolalloc_mark beyond = poolalloc_arena_mark(arena);
    assert_int_equal(poolalloc_arena_release(arena, mark), 0);
    char *p = poolalloc_arena_strdup(arena, "p");

    char expected[100];
    (void)sprintf(expected, "poolalloc: arena requests: release to what is no mark: %p\n",
                  (const void *)beyond.at);
    capture_begin();
    errno = 0;
    int result = poolalloc_arena_release(arena, beyond);
    int error = errno;
    assert_string_equal(capture_end(), expected);
    assert_int_equal(result, -1);
    assert_int_equal(error, EINVAL);
    capture_begin();
    assert_int_equal(poolalloc_arena_release(other, mark), -1);
    assert_non_null(strstr(capture_end(), "poolalloc: arena -: release to what is no mark"));
    assert_string_equal(p, "p");
    poolalloc_arena_destroy(arena);
    poolalloc_arena_destroy(other);
}

/* ---- clean-ups and children ---- */

static char order[64];

static void note(void *letter)
{
    size_t n = strlen(order);
    order[n] = *(const char *)letter;
    order[n + 1] = '\0';
}

static void on_end(poolalloc_arena *arena, const char *letter)
{
    char *copy = poolalloc_arena_strdup(arena, letter); /* is whole when it is read */
    assert_int_equal(poolalloc_arena_on_end(arena, note, copy), 0);
}

static void check_order(const char *expected)
{
    assert_string_equal(order, expected);
    order[0] = '\0';
}

static void test_clean_ups_run_in_reverse(void **state)
{
    (void)state;
    poolalloc_arena *arena = poolalloc_arena_create(NULL);
    on_end(arena, "a");
    on_end(arena, "b");
    poolalloc_mark mark = poolalloc_arena_mark(arena);
    on_end(arena, "c");
    on_end(arena, "d");
    assert_int_equal(poolalloc_arena_release(arena, mark), 0);
    check_order("dc");
    assert_int_equal(poolalloc_arena_release(arena, mark), 0);
    check_order("");
    on_end(arena, "e");
    poolalloc_arena_reset(arena);
    check_order("eba");
    on_end(arena, "f");
    poolalloc_arena_destroy(arena);
    check_order("f");
}

static void change_errno(void *unused)
{
    (void)unused;
    errno = EXDEV;
}

static void test_clean_ups_leave_errno_alone(void **state)
{
    (void)state;
    poolalloc_arena *arena = poolalloc_arena_create(NULL);
    errno = 0;
    poolalloc_mark mark = poolalloc_arena_mark(arena);
    assert_int_equal(poolalloc_arena_on_end(arena, change_errno, NULL), 0);
    assert_int_equal(poolalloc_arena_release(arena, mark), 0);
    assert_int_equal(errno, 0);
    assert_int_equal(poolalloc_arena_on_end(arena, change_errno, NULL), 0);
    poolalloc_arena_reset(arena);
    assert_int_equal(errno, 0);
    assert_int_equal(poolalloc_arena_on_end(arena, change_errno, NULL), 0);
    poolalloc_arena_destroy(arena);
    assert_int_equal(errno, 0);
}

static void test_children_end_in_their_turn(void **state)
{
    (void)state;
    poolalloc_arena *arena = poolalloc_arena_create(NULL);
    on_end(arena, "a");
    poolalloc_arena *first = poolalloc_arena_create_child(arena, NULL);
    on_end(arena, "b");
    poolalloc_mark mark = poolalloc_arena_mark(arena);
    poolalloc_arena *second = poolalloc_arena_create_child(arena, NULL);
    on_end(arena, "c");
    on_end(first, "1");
    on_end(second, "2");
    poolalloc_arena *grandchild = poolalloc_arena_create_child(second, NULL);
    on_end(second, "3");
    on_end(grandchild, "g");
    assert_int_equal(poolalloc_arena_release(arena, mark), 0);
    check_order("c3g2");
    poolalloc_arena_destroy(first);
    check_order("1");
    poolalloc_arena *third = poolalloc_arena_create_child(arena, NULL);
    on_end(third, "x");
    poolalloc_arena_destroy(arena);
    check_order("xba");
}

/* The mark stays what it is, though the newest ending before it is gone. */
static void test_a_child_may_end_before_a_mark_does(void **state)
{
    (void)state;
    poolalloc_arena *arena = poolalloc_arena_create(NULL);
    on_end(arena, "a");
    poolalloc_arena *child = poolalloc_arena_create_child(arena, NULL);
    poolalloc_mark mark = poolalloc_arena_mark(arena);
    poolalloc_arena_destroy(child);
    on_end(arena, "b");
    assert_int_equal(poolalloc_arena_release(arena, mark), 0);
    check_order("b");
    poolalloc_arena_destroy(arena);
    check_order("a");
}

static size_t n_ended;

static void count_end(void *argument)
{
    (void)argument;
    n_ended++;
}

/* On a stack that recursion of this depth would not fit into. */
static void test_any_depth(void **state)
{
    (void)state;
    enum { DEPTH = 300000 };
    const struct poolalloc_arena_options small = {.first_bytes = 64};
    poolalloc_arena *root = poolalloc_arena_create(&small);
    poolalloc_arena *at = root;
    for (int i = 0; i < DEPTH; i++) {
        at = poolalloc_arena_create_child(at, &small);
        assert_non_null(at);
        assert_int_equal(poolalloc_arena_on_end(at, count_end, NULL), 0);
    }
    poolalloc_arena_reset(root);
    assert_int_equal(n_ended, DEPTH);
    poolalloc_arena_destroy(root);
}

static void test_adopts_blocks_of_malloc(void **state)
{
    (void)state;
    poolalloc_arena *arena = poolalloc_arena_create(NULL);
    struct poolalloc_arena_stats stats = stats_of(arena);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(poolalloc_arena_on_end(arena, free, malloc(100000)), 0);
        poolalloc_arena_reset(arena);
    }
    assert_int_equal(stats_of(arena).bytes, stats.bytes);
    poolalloc_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_apart_and_aligned),
        cmocka_unit_test(test_align_1_packs),
        cmocka_unit_test(test_pieces_with_something_in_them),
        cmocka_unit_test(test_what_cannot_be_is_refused),
        cmocka_unit_test(test_chunks_grow),
        cmocka_unit_test(test_one_large_piece_makes_no_large_chunks),
        cmocka_unit_test(test_maximum_holds),
        cmocka_unit_test(test_reset_keeps_chunks_and_trim_does_not),
        cmocka_unit_test(test_release_goes_back),
        cmocka_unit_test(test_release_to_no_mark_is_refused),
        cmocka_unit_test(test_clean_ups_run_in_reverse),
        cmocka_unit_test(test_clean_ups_leave_errno_alone),
        cmocka_unit_test(test_children_end_in_their_turn),
        cmocka_unit_test(test_a_child_may_end_before_a_mark_does),
        cmocka_unit_test(test_any_depth),
        cmocka_unit_test(test_adopts_blocks_of_malloc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
