/* SPDX-License-Identifier: MIT */
/* A heap when the kernel has no memory: NULL and ENOMEM, no crash, no lost block. Every test runs
 * in a child, which finds an allocator that was never used. */
#include "conf/options.h"
#include "fake_sys.h"
#include "mem/arena.h"
#include "mem/meta.h"
#include "model.h"
#include "os/pages.h"

#include <errno.h>

enum { N_BLOCKS_MAX = 200000 };

static char *blocks[N_BLOCKS_MAX];

static size_t alloc_until_null(size_t bytes)
{
    size_t n = 0;
    errno = 0;
    while (n < N_BLOCKS_MAX && (blocks[n] = heap_alloc(bytes)) != NULL) {
        pattern_fill(blocks[n], min_size(bytes, 64), n);
        n++;
    }
    check(n < N_BLOCKS_MAX);
    check_equal((unsigned)errno, ENOMEM);
    heap_check(my_heap());
    arena_check();
    return n;
}

static void free_blocks(size_t n, size_t bytes)
{
    for (size_t i = 0; i < n; i++) {
        check(pattern_holds(blocks[i], min_size(bytes, 64), i));
        heap_free(blocks[i]);
    }
    heap_check(my_heap());
    arena_check();
}

static size_t blocks_of_a_slab(size_t bytes)
{
    return UNIT_BYTES / class_bytes(class_of(bytes));
}

/* ---- one class ---- */

static void body_one_class(void *argument)
{
    size_t bytes = *(size_t *)argument;
    check(heap_alloc(1) != NULL);
    fake_fail_from(FAKE_MAP, 3, ENOMEM);
    size_t n = alloc_until_null(bytes);
    check(n >= blocks_of_a_slab(bytes));
    check(heap_alloc_zeroed(bytes) == NULL);
    check(heap_alloc_aligned(BLOCK_ALIGN, bytes) == NULL);
    free_blocks(n, bytes);
    /* Not one was lost. */
    check_equal(alloc_until_null(bytes), n);
    fake_fail_none();
    char *p = heap_alloc(bytes);
    check(p != NULL);
    heap_free(p);
    free_blocks(n, bytes);
    check_equal(live_blocks(class_of(bytes)), bytes <= 16 ? 1 : 0);
}

static void test_no_block_is_lost(void **state)
{
    (void)state;
    size_t sizes[] = {16, 64, 100, 1024, 3000, 32768};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        child_passes(body_one_class, &sizes[i]);
}

/* ---- what one class has set aside serves another ---- */

static void body_two_classes(void *argument)
{
    const size_t *sizes = argument;
    heap_free(heap_alloc(sizes[0]));
    fake_fail_from(FAKE_MAP, 2, ENOMEM);
    size_t n = alloc_until_null(sizes[0]);
    size_t n_slabs = n / blocks_of_a_slab(sizes[0]);
    check(n_slabs > 1);
    check(heap_alloc(sizes[1]) == NULL);
    free_blocks(n, sizes[0]);
    n = alloc_until_null(sizes[1]);
    check_equal(n, n_slabs * blocks_of_a_slab(sizes[1]));
    free_blocks(n, sizes[1]);
    check_equal(alloc_until_null(sizes[0]), n_slabs * blocks_of_a_slab(sizes[0]));
}

static void test_slabs_change_their_class_when_memory_is_short(void **state)
{
    (void)state;
    size_t sizes[][2] = {{64, 1024}, {1024, 64}, {2000, 32768}, {32768, 48}};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        child_passes(body_two_classes, sizes[i]);
}

/* ---- the nth map and all after it fail ---- */

static void body_nth(void *argument)
{
    static struct model_block model[2000];
    size_t nth = *(size_t *)argument;
    struct random dice = {nth};
    size_t n_failed = 0;
    fake_fail_from(FAKE_MAP, nth, ENOMEM);
    for (int i = 0; i < 20000; i++) {
        struct model_block *block = &model[random_below(&dice, ARRAY_LEN(model))];
        errno = 0;
        if (!model_step(block, &dice, 500000)) {
            check_equal((unsigned)errno, ENOMEM);
            n_failed++;
        }
    }
    check(n_failed > 0);
    heap_check(my_heap());
    arena_check();
    fake_fail_none();
    for (size_t i = 0; i < ARRAY_LEN(model); i++)
        model_free(&model[i]);
    check(heap_alloc(64) != NULL);
    heap_flush(my_heap());
    heap_check(my_heap());
    check_equal(arena_bytes_in_use(), UNIT_BYTES);
}

static void test_no_memory_from_the_nth_map_on(void **state)
{
    (void)state;
    for (size_t nth = 1; nth <= 8; nth++)
        child_passes(body_nth, &nth);
}

/* ---- single failures, anywhere ---- */

static void body_single_failures(void *argument)
{
    static struct model_block model[1000];
    static const enum fake_call calls[] = {FAKE_MAP,     FAKE_UNMAP,  FAKE_PROTECT_NONE,
                                           FAKE_DISCARD, FAKE_RESIZE, FAKE_MOVE};
    struct random dice = {*(uint64_t *)argument};
    options.direct_bytes = MIB;
    options.dirty_bytes = MIB;
    heap_free(heap_alloc(1));
    for (int i = 0; i < 20000; i++) {
        struct model_block *block = &model[random_below(&dice, ARRAY_LEN(model))];
        fake_fail_once(calls[random_below(&dice, ARRAY_LEN(calls))], 1, ENOMEM);
        (void)model_step(block, &dice, i % 64 == 0 ? 2 * MIB : 40000);
        if (i % 512 == 0)
            heap_check(my_heap());
    }
    fake_fail_none();
    for (size_t i = 0; i < ARRAY_LEN(model); i++)
        model_free(&model[i]);
    heap_flush(my_heap());
    heap_check(my_heap());
    check_equal(arena_bytes_in_use(), 0);
}

static void test_single_failures(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++)
        child_passes(body_single_failures, &seed);
}

/* ---- realloc ---- */

static void check_realloc_fails(char *p, size_t bytes, size_t wanted)
{
    errno = 0;
    check(heap_realloc(p, wanted) == NULL);
    check_equal((unsigned)errno, ENOMEM);
    check(pattern_holds(p, bytes, 1));
}

static void body_realloc(void *argument)
{
    (void)argument;
    static const size_t sizes[] = {100, 20000, 100000, 40 * MIB};
    char *p[ARRAY_LEN(sizes)];
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        p[i] = heap_alloc(sizes[i]);
        pattern_fill(p[i], sizes[i], 1);
    }
    fake_fail_from(FAKE_MAP, 1, ENOMEM);
    fake_fail_from(FAKE_RESIZE, 1, ENOMEM);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        check_realloc_fails(p[i], sizes[i], 60 * MIB);
        check_realloc_fails(p[i], sizes[i], PTRDIFF_MAX);
        check_realloc_fails(p[i], sizes[i], SIZE_MAX);
    }
    /* A block that is larger than it need be is better than none. */
    (void)alloc_until_null(32768);
    (void)alloc_until_null(1000);
    (void)alloc_until_null(16);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char *q = heap_realloc(p[i], sizes[i] / 4);
        check(q == p[i] && pattern_holds(q, sizes[i], 1));
    }
}

static void test_realloc_without_memory(void **state)
{
    (void)state;
    child_passes(body_realloc, NULL);
}

/* ---- no memory for the heap itself ---- */

static void use_up_all_records(void)
{
    fake_fail_from(FAKE_MAP, 1, ENOMEM);
    while (meta_take(META_ALIGN) != NULL)
        continue;
}

static void body_no_heap(void *argument)
{
    (void)argument;
    use_up_all_records();
    for (size_t bytes = 1; bytes < 200000; bytes *= 7) {
        errno = 0;
        check(heap_alloc(bytes) == NULL);
        check_equal((unsigned)errno, ENOMEM);
        check(heap_alloc_zeroed(bytes) == NULL);
        check(heap_alloc_aligned(64, bytes) == NULL);
    }
    check(front_own == &front_empty);
    fake_fail_none();
    check(heap_alloc(64) != NULL);
    check(owner_of(heap_alloc(64)) == my_heap()->number);
    heap_check(my_heap());
    arena_check();
}

static void test_no_memory_for_a_heap(void **state)
{
    (void)state;
    child_passes(body_no_heap, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_block_is_lost),
        cmocka_unit_test(test_slabs_change_their_class_when_memory_is_short),
        cmocka_unit_test(test_no_memory_from_the_nth_map_on),
        cmocka_unit_test(test_single_failures),
        cmocka_unit_test(test_realloc_without_memory),
        cmocka_unit_test(test_no_memory_for_a_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
