/* SPDX-License-Identifier: MIT */
/*
 * A whole heap on kernels with pages of 4, 16 and 64 KiB: blocks of all kinds, held against a
 * model. fake_sys.c checks that each address and size the kernel is told of is a multiple of its
 * page, and maps as such a kernel does; every kind of call must have been made in the end. Every
 * test runs in a child, which finds an allocator that was never used.
 */
#include "arena_now.h"
#include "conf/options.h"
#include "fake_sys.h"
#include "mem/arena.h"
#include "model.h"
#include "os/pages.h"

#include <errno.h>

enum { N_MODEL = 400, N_STEPS = 20000, LARGE_BYTES = 600 * 1000, HUGE_BYTES = 4 * 1000 * 1000 };

static const size_t page_sizes[] = {4096, 16384, 65536};

static struct model_block model[N_MODEL];

/* So that calls of every kind come often. */
static void begin(size_t page_bytes)
{
    fake_auxv_page_bytes(page_bytes);
    fake_clock_set(1000000);
    options.direct_bytes = 256 * KIB;
    options.dirty_bytes = MIB;
    options.dirty_percent = 0;
    options.purge_ms = 100;
    options.guest_calls = 32;
    attach();
    check_equal(os_page_bytes(), page_bytes);
}

/* Half are of classes mostly, a block in 16 has a mapping of its own. */
static size_t limit_of(size_t i)
{
    if (i % 256 == 0)
        return HUGE_BYTES;
    if (i % 16 == 0)
        return LARGE_BYTES;
    return i % 2 == 0 ? 100 * 1000 : 5000;
}

/* A large block has pages of its own. */
static void check_pages_of(const struct model_block *block)
{
    if (block->p == NULL || heap_usable_size(block->p) <= CLASS_MAX_BYTES)
        return;
    check_equal((uintptr_t)block->p % os_page_bytes(), 0);
    check_equal(heap_usable_size(block->p) % os_page_bytes(), 0);
}

/* What the kernel gave for a page that was touched is all of its page. */
static void check_dirty(void)
{
    check_equal(arena_now().dirty_bytes % os_page_bytes(), 0);
}

static void steps(size_t n, uint64_t seed, bool may_fail)
{
    struct random dice = {seed};
    for (size_t i = 0; i < n; i++) {
        struct model_block *block = &model[random_below(&dice, N_MODEL)];
        fake_clock_add(random_below(&dice, 4));
        errno = 0;
        bool done = model_step(block, &dice, limit_of(i));
        check(done || (may_fail && errno == ENOMEM));
        check_pages_of(block);
    }
    heap_check(my_heap());
    check_dirty();
}

/* So that slabs are populated. */
static void many_of_a_class(void)
{
    static struct model_block many[1500];
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        many[i] = (struct model_block){.p = heap_alloc(1000), .bytes = 1000, .seed = i};
        check(many[i].p != NULL);
        pattern_fill(many[i].p, 1000, i);
    }
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        model_free(&many[i]);
}

/* Blocks with mappings of their own grow, in place or elsewhere, and shrink. */
static void direct_blocks(void)
{
    enum { FIRST = 1500 * 1000 };
    struct model_block blocks[4];
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        blocks[i] = (struct model_block){heap_alloc(FIRST), FIRST, i};
        check(blocks[i].p != NULL);
        pattern_fill(blocks[i].p, FIRST, i);
    }
    for (size_t bytes = 3 * FIRST; bytes >= FIRST / 2; bytes -= FIRST / 3) {
        for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
            blocks[i].p = heap_realloc(blocks[i].p, bytes);
            check(blocks[i].p != NULL);
            blocks[i].bytes = min_size(blocks[i].bytes, bytes); /* of which the bytes are known */
            check(pattern_holds(blocks[i].p, blocks[i].bytes, i));
            check_pages_of(&blocks[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        model_free(&blocks[i]);
}

/* What is free goes back to the kernel before memory is said to be short. */
static void until_memory_is_short(void)
{
    static struct model_block many[1500];
    fake_map_left(8 * MIB);
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        size_t bytes = i % 3 == 0 ? 50 * 1000 : 2000 + i;
        many[i] = (struct model_block){.p = heap_alloc(bytes), .bytes = bytes, .seed = i};
        if (many[i].p != NULL)
            pattern_fill(many[i].p, bytes, i);
    }
    check(many[ARRAY_LEN(many) - 3].p == NULL);
    fake_fail_none();
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        model_free(&many[i]);
}

static void *work_in_thread(void *argument)
{
    static struct model_block others[100];
    struct random dice = {5};
    for (size_t i = 0; i < 2000; i++)
        check(model_step(&others[random_below(&dice, ARRAY_LEN(others))], &dice, limit_of(i)));
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        model_free(&others[i]);
    return argument;
}

static void check_that_nothing_is_left(void)
{
    for (size_t i = 0; i < N_MODEL; i++)
        model_free(&model[i]);
    heap_flush_all(true);
    heap_check(my_heap());
    check_equal(arena_bytes_in_use(), 0);
    check_dirty();
    (void)arena_purge_all();
    check_equal(arena_now().dirty_bytes, 0);
}

static void body_all_works(void *argument)
{
    static const enum fake_call calls[] = {FAKE_MAP,    FAKE_UNMAP, FAKE_PROTECT_NONE, FAKE_DISCARD,
                                           FAKE_RESIZE, FAKE_MOVE,  FAKE_POPULATE};
    begin(*(size_t *)argument);
    many_of_a_class();
    direct_blocks();
    steps(N_STEPS, 1, false);
    thread_run(work_in_thread, NULL);
    until_memory_is_short();
    steps(N_STEPS / 4, 2, false);
    check_that_nothing_is_left();
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        check(fake_count(calls[i]) > 0);
}

static void test_blocks_of_all_kinds(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(page_sizes); i++)
        child_passes(body_all_works, (void *)&page_sizes[i]);
}

static void body_calls_fail(void *argument)
{
    static const enum fake_call calls[] = {FAKE_MAP, FAKE_UNMAP, FAKE_DISCARD, FAKE_RESIZE,
                                           FAKE_MOVE};
    begin(*(size_t *)argument);
    for (uint64_t seed = 1; seed <= 100; seed++) {
        fake_fail_once(calls[seed % ARRAY_LEN(calls)], 1 + seed % 3, ENOMEM);
        steps(100, seed, true);
        fake_fail_none();
    }
    check_that_nothing_is_left();
}

static void test_calls_fail_now_and_then(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(page_sizes); i++)
        child_passes(body_calls_fail, (void *)&page_sizes[i]);
}

static void body_large_first(void *argument)
{
    fake_auxv_page_bytes(*(size_t *)argument);
    char *p = heap_alloc(300000);
    check(p != NULL);
    check_equal(os_page_bytes(), *(size_t *)argument);
    check_equal(heap_usable_size(p) % os_page_bytes(), 0);
    heap_free(p);
    check(arena_purge_all());
}

/* Nothing says that the first block of a process is a small one. */
static void test_a_large_block_first(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(page_sizes); i++)
        child_passes(body_large_first, (void *)&page_sizes[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_of_all_kinds),
        cmocka_unit_test(test_calls_fail_now_and_then),
        cmocka_unit_test(test_a_large_block_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
