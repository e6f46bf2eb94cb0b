/* SPDX-License-Identifier: MIT */
/*
 * One thread's heap. Threads: test_heap_threads.c; no memory: test_heap_memory.c. Every test runs
 * in a child, which finds an allocator that was never used.
 */
#include "arena_now.h"
#include "conf/options.h"
#include "fake_sys.h"
#include "mem/arena.h"
#include "mem/slab.h"
#include "model.h"
#include "os/pages.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_BLOCKS = 20000 };

static char *blocks[N_BLOCKS];

static void alloc_blocks(size_t n, size_t bytes)
{
    for (size_t i = 0; i < n; i++) {
        blocks[i] = heap_alloc(bytes);
        check(blocks[i] != NULL);
    }
}

static void free_blocks(size_t n)
{
    for (size_t i = 0; i < n; i++)
        heap_free(blocks[i]);
}

/* ---- random operations against a model ---- */

static void body_random(void *argument)
{
    static struct model_block model[500];
    struct random dice = {*(uint64_t *)argument};
    options.dirty_bytes = 4 * MIB;
    for (int i = 0; i < 60000; i++) {
        struct model_block *block = &model[random_below(&dice, ARRAY_LEN(model))];
        check(model_step(block, &dice, i % 16 == 0 ? 200000 : 20000));
        if (i % 512 == 0) {
            heap_check(my_heap());
            arena_check();
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(model); i++)
        model_free(&model[i]);
    heap_check(my_heap());
    for (unsigned class = 0; class < N_CLASSES; class ++)
        check_equal(live_blocks(class), 0);
    heap_flush(my_heap());
    heap_check(my_heap());
    check_equal(arena_bytes_in_use(), 0);
}

static void test_random_operations(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++)
        child_passes(body_random, &seed);
}

/* ---- allocating ---- */

static void body_sizes(void *argument)
{
    (void)argument;
    for (size_t bytes = 0; bytes <= CLASS_MAX_BYTES + (size_t)2 * PAGE_BYTES; bytes++) {
        char *p = heap_alloc(bytes);
        size_t expected =
            bytes <= CLASS_MAX_BYTES ? class_bytes(class_of(bytes)) : round_up(bytes, PAGE_BYTES);
        check(p != NULL && (uintptr_t)p % BLOCK_ALIGN == 0);
        check_equal(heap_usable_size(p), expected);
        p[0] = 1;
        p[expected - 1] = 2;
        heap_free(p);
    }
    heap_check(my_heap());
}

static void test_every_size(void **state)
{
    (void)state;
    child_passes(body_sizes, NULL);
}

static void body_alignments(void *argument)
{
    (void)argument;
    for (size_t align = 1; align <= 64 * MIB; align *= 2) {
        for (size_t bytes = 0; bytes <= 100000; bytes = bytes * 5 / 3 + 1) {
            char *p = heap_alloc_aligned(align, bytes);
            check(p != NULL && (uintptr_t)p % align == 0);
            check(heap_usable_size(p) >= bytes);
            pattern_fill(p, bytes, 1);
            heap_free(p);
        }
    }
    heap_check(my_heap());
    arena_check();
}

static void test_every_alignment(void **state)
{
    (void)state;
    child_passes(body_alignments, NULL);
}

static void body_zeroed(void *argument)
{
    (void)argument;
    for (size_t bytes = 1; bytes <= 70000; bytes += bytes / 3 + 1) {
        for (size_t i = 0; i < 20; i++) {
            blocks[i] = heap_alloc_zeroed(bytes);
            check(is_zero(blocks[i], bytes));
            pattern_fill(blocks[i], bytes, i);
        }
        for (size_t i = 0; i < 20; i += 2)
            heap_free(blocks[i]);
        for (size_t i = 0; i < 20; i += 2) {
            blocks[i] = heap_alloc_zeroed(bytes);
            check(is_zero(blocks[i], bytes));
        }
        for (size_t i = 1; i < 20; i += 2)
            check(pattern_holds(blocks[i], bytes, i));
        free_blocks(20);
        heap_check(my_heap());
    }
}

static void test_zeroed_blocks(void **state)
{
    (void)state;
    child_passes(body_zeroed, NULL);
}

static void body_apart(void *argument)
{
    unsigned class = class_of(*(size_t *)argument);
    alloc_blocks(3000, class_bytes(class));
    for (size_t i = 0; i < 3000; i++)
        pattern_fill(blocks[i], class_bytes(class), i);
    for (size_t i = 0; i < 3000; i++) {
        check(pattern_holds(blocks[i], class_bytes(class), i));
        struct place place = map_place((uintptr_t)blocks[i]);
        check(place.is_slab && place.owner == my_heap()->number && place.class == class);
    }
}

static void test_no_two_blocks_overlap(void **state)
{
    (void)state;
    size_t sizes[] = {1, 48, 100, 1024, 3000, 20000};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        child_passes(body_apart, &sizes[i]);
}

/* ---- counting ---- */

static void check_counts(unsigned class, uint64_t n_allocs, uint64_t n_frees)
{
    const struct bin *bin = &my_heap()->front.bins[class];
    check_equal(atomic_get_relaxed(&bin->allocs), n_allocs);
    check_equal(bin_frees(bin), n_frees);
}

static void body_counts(void *argument)
{
    size_t bytes = *(size_t *)argument;
    unsigned class = class_of(bytes);
    heap_free(heap_alloc(bytes));
    check_counts(class, 1, 1);
    /* Through bins that are empty, full and over their cap, in all orders. */
    uint64_t n = 1;
    for (size_t round = 1; round <= 12; round++) {
        size_t n_round = (round * 977) % 3000;
        alloc_blocks(n_round, bytes);
        check_counts(class, n + n_round, n);
        free_blocks(n_round);
        n += n_round;
        check_counts(class, n, n);
        heap_check(my_heap());
    }
    for (int i = 0; i < 100; i++)
        heap_free(heap_alloc_zeroed(bytes));
    heap_free(heap_alloc_aligned(BLOCK_ALIGN, bytes));
    check_counts(class, n + 101, n + 101);
    heap_flush(my_heap());
    check_counts(class, n + 101, n + 101);
    for (unsigned other = 0; other < N_CLASSES; other++) {
        if (other != class)
            check_counts(other, 0, 0);
    }
}

static void test_counts_are_exact(void **state)
{
    (void)state;
    size_t sizes[] = {16, 64, 500, 1024, 4096, 4097, 32768};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        child_passes(body_counts, &sizes[i]);
}

/* ---- overflow, magazine, flush ---- */

static void check_bin_bounded(unsigned class)
{
    const struct heap *heap = my_heap();
    size_t cap = heap->shelves[class].cap;
    /* A bin that was filled from a slab is looked at again only after as many frees as it has room.
     */
    check(bin_count(heap, class) <= 2 * cap + 1);
    check(heap->shelves[class].n_magazine <= 2 * cap + 1);
}

static void body_overflow(void *argument)
{
    size_t bytes = *(size_t *)argument;
    unsigned class = class_of(bytes);
    size_t n = min_size(N_BLOCKS, 16 * MIB / class_bytes(class));
    alloc_blocks(n, bytes);
    heap_free(blocks[0]);
    check(my_heap()->shelves[class].n_magazine == 0);
    for (size_t i = 1; i < n; i++) {
        heap_free(blocks[i]);
        check_bin_bounded(class);
    }
    /* More came back than bin and magazine hold: all of it went home and on to the arena, without a
     * flush, but for what was freed last. */
    check(my_heap()->shelves[class].is_draining);
    check(my_heap()->shelves[class].n_magazine == 0);
    heap_check(my_heap());
    size_t kept = 64 * class_bytes(class);
    check(arena_bytes_in_use() <= kept + (size_t)2 * UNIT_BYTES);
    heap_flush(my_heap());
    heap_check(my_heap());
    check_equal(arena_bytes_in_use(), 0);
    for (size_t i = 0; i < n; i++)
        check(!map_place((uintptr_t)blocks[i]).is_slab);
}

static void test_a_bin_that_overflows(void **state)
{
    (void)state;
    size_t sizes[] = {16, 64, 1000, 8000, 32768};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        child_passes(body_overflow, &sizes[i]);
}

/* Blocks that are wanted again are kept at hand again. */
static void body_drained(void *argument)
{
    size_t bytes = *(size_t *)argument;
    unsigned class = class_of(bytes);
    size_t n = min_size(N_BLOCKS, 16 * MIB / class_bytes(class));
    for (int round = 0; round < 3; round++) {
        alloc_blocks(n, bytes);
        check(!my_heap()->shelves[class].is_draining);
        for (size_t i = 0; i < n; i++)
            heap_free(blocks[(i * 7919) % n]);
        check(my_heap()->shelves[class].is_draining);
        heap_check(my_heap());
    }
    size_t n_bin = bin_count(my_heap(), class);
    check(n_bin <= 64);
    check(arena_bytes_in_use() <= (n_bin + 1) * UNIT_BYTES);
}

static void test_a_bin_drains_until_blocks_are_wanted_again(void **state)
{
    (void)state;
    size_t sizes[] = {16, 64, 1000};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        child_passes(body_drained, &sizes[i]);
}

static void body_magazine(void *argument)
{
    (void)argument;
    unsigned class = class_of(1024);
    alloc_blocks(64, 1024);
    size_t n_bin = bin_count(my_heap(), class);
    size_t n = 0;
    while (my_heap()->shelves[class].n_magazine == 0)
        heap_free(blocks[n++]);
    /* The bin became the magazine whole; now the magazine becomes the bin again. */
    check_equal(my_heap()->shelves[class].n_magazine, n_bin + n);
    check(my_heap()->front.bins[class].head == BLOCK_END);
    check(heap_alloc(1024) == blocks[n - 1]);
    check_equal(my_heap()->shelves[class].n_magazine, 0);
    check_equal(bin_count(my_heap(), class), n_bin + n - 1);
    heap_check(my_heap());
}

static void test_a_full_bin_becomes_the_magazine_and_comes_back(void **state)
{
    (void)state;
    child_passes(body_magazine, NULL);
}

/* Of what came home the lowest addresses are handed out first, so that high slabs can empty. */
static void body_lowest_first(void *argument)
{
    (void)argument;
    alloc_blocks(40, 1024);
    for (size_t i = 1; i < 40; i++)
        check(blocks[i] > blocks[i - 1]);
    for (size_t i = 40; i-- > 0;) {
        if (i % 2 == 0)
            heap_free(blocks[i]);
    }
    heap_flush(my_heap());
    heap_check(my_heap());
    for (size_t i = 0; i < 40; i += 2)
        check(heap_alloc(1024) == blocks[i]);
}

static void test_lowest_addresses_first(void **state)
{
    (void)state;
    child_passes(body_lowest_first, NULL);
}

/* ---- slabs of a class of which there are many ---- */

enum { MANY_SLABS = 16, KIB_BYTES = 1024, SLAB_BLOCKS = UNIT_BYTES / KIB_BYTES };

static size_t dirty_bytes(void)
{
    return arena_now().dirty_bytes;
}

static void body_populated(void *argument)
{
    (void)argument;
    size_t n = (size_t)MANY_SLABS * SLAB_BLOCKS;
    options.dirty_bytes = GIB;
    options.purge_ms = 3600000;
    alloc_blocks(n, KIB_BYTES);
    check_equal(arena_bytes_in_use(), MANY_SLABS * (size_t)UNIT_BYTES);
    check_equal(fake_count(FAKE_POPULATE), 0);
    /* One block more, and all of its slab is there. */
    blocks[n] = heap_alloc(KIB_BYTES);
    check_equal(fake_count(FAKE_POPULATE), 1);
    /* Other classes begin with their own count. */
    blocks[n + 1] = heap_alloc(2 * KIB_BYTES);
    check_equal(fake_count(FAKE_POPULATE), 1);
    free_blocks(n + 2);
    heap_flush(my_heap());
    check_equal(arena_bytes_in_use(), 0);
    check_equal(dirty_bytes(), (MANY_SLABS + 1) * (size_t)UNIT_BYTES + PAGE_BYTES);
    /* What is in use or was lately is there already. */
    alloc_blocks(n + 1, KIB_BYTES);
    check_equal(fake_count(FAKE_POPULATE), 1);
    heap_check(my_heap());
}

static void body_not_populated(void *argument)
{
    (void)argument;
    fake_fail_from(FAKE_POPULATE, 1, EINVAL); /* an older kernel */
    alloc_blocks(2 * (size_t)MANY_SLABS * SLAB_BLOCKS, KIB_BYTES);
    check_equal(fake_count(FAKE_POPULATE), MANY_SLABS);
    for (size_t i = 0; i < 2 * (size_t)MANY_SLABS * SLAB_BLOCKS; i++)
        pattern_fill(blocks[i], KIB_BYTES, i);
    check(is_zero(heap_alloc_zeroed(KIB_BYTES), KIB_BYTES));
    heap_check(my_heap());
}

static void test_a_slab_of_a_class_with_many_is_populated(void **state)
{
    (void)state;
    child_passes(body_populated, NULL);
    child_passes(body_not_populated, NULL);
}

/* ---- a thread that needs nothing of the arena ---- */

static void give_old_memory(uint64_t now_ms)
{
    struct span *span = arena_take(SPAN_LARGE, 100, 1);
    pattern_fill((void *)span->base, span_bytes(span), 1);
    fake_clock_set(now_ms);
    arena_give(span, 100);
    check_equal(dirty_bytes(), (size_t)100 * PAGE_BYTES);
}

static void body_looks(void *argument)
{
    size_t bytes = *(size_t *)argument;
    unsigned class = class_of(bytes);
    enum { HITS_MAX = 1000000, YOUNG_HITS = 100000, START_MS = 1000000 };
    heap_free(heap_alloc(bytes));
    give_old_memory(START_MS);
    size_t in_use = arena_bytes_in_use();
    for (int i = 0; i < YOUNG_HITS; i++)
        heap_free(heap_alloc(bytes));
    fake_clock_set(START_MS + options.purge_ms - 1);
    for (int i = 0; i < YOUNG_HITS; i++)
        heap_free(heap_alloc(bytes));
    check_equal(fake_count(FAKE_DISCARD), 0);
    fake_clock_set(START_MS + options.purge_ms);
    for (int i = 0; i < HITS_MAX && fake_count(FAKE_DISCARD) == 0; i++)
        heap_free(heap_alloc(bytes));
    check_equal(dirty_bytes(), 0);
    check_equal(arena_bytes_in_use(), in_use);
    check_equal(my_heap()->shelves[class].n_slabs, 1);
}

static void test_a_thread_whose_calls_are_all_hits_gives_old_memory_back(void **state)
{
    (void)state;
    size_t sizes[] = {16, 1024, 8000};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        child_passes(body_looks, &sizes[i]);
}

/* ---- caps ---- */

static void burst(size_t bytes, size_t total_bytes)
{
    size_t n = min_size(total_bytes / bytes, N_BLOCKS);
    for (int round = 0; round < 12; round++) {
        alloc_blocks(n, bytes);
        free_blocks(n);
    }
}

static size_t cap_bytes(unsigned class)
{
    return my_heap()->shelves[class].cap * class_bytes(class);
}

static void body_cap_grows(void *argument)
{
    (void)argument;
    for (size_t bytes = 64; bytes <= 32768; bytes *= 8) {
        unsigned class = class_of(bytes);
        heap_free(heap_alloc(bytes));
        size_t first = cap_bytes(class);
        check(first <= max_size(PAGE_BYTES, 2 * bytes));
        burst(bytes, 4 * MIB);
        check(cap_bytes(class) > first);
        check(cap_bytes(class) <= options.cache_class_bytes);
        /* Half of it at least, or another doubling would have fitted. */
        check(cap_bytes(class) * 2 > min_size(options.cache_class_bytes, N_BLOCKS * bytes));
    }
}

static void test_caps_grow_with_demand(void **state)
{
    (void)state;
    child_passes(body_cap_grows, NULL);
}

enum { DISORDERED_CAP_MAX = 2 * 1024 - 1 };

static void burst_in_disorder(size_t n, size_t bytes)
{
    struct random dice = {1};
    for (int round = 0; round < 12; round++) {
        alloc_blocks(n, bytes);
        for (size_t i = n - 1; i > 0; i--) {
            size_t other = random_below(&dice, i + 1);
            char *block = blocks[i];
            blocks[i] = blocks[other];
            blocks[other] = block;
        }
        free_blocks(n);
    }
}

/* Who holds other_bytes has much memory or little. */
static void body_cap_in_disorder(void *argument)
{
    enum { N = 12000, BYTES = 48 };
    size_t other_bytes = *(size_t *)argument;
    bool is_much = other_bytes > MIB;
    void *other = heap_alloc(other_bytes);
    burst_in_disorder(N, BYTES);
    const uint32_t *cap = &my_heap()->shelves[class_of(BYTES)].cap;
    check((*cap > DISORDERED_CAP_MAX) == !is_much);
    burst(BYTES, N * BYTES);
    check(*cap > DISORDERED_CAP_MAX);
    burst_in_disorder(N, BYTES);
    check((*cap > DISORDERED_CAP_MAX) == !is_much);
    heap_check(my_heap());
    heap_free(other);
}

/* A cap that has come to its end stays as it is. */
static void body_cap_is_steady(void *argument)
{
    enum { N = 1000 };
    size_t bytes = *(size_t *)argument;
    void *other = heap_alloc(8 * MIB);
    burst_in_disorder(N, bytes);
    const struct shelf *shelf = &my_heap()->shelves[class_of(bytes)];
    uint32_t cap = shelf->cap;
    uint64_t n_refills = atomic_get_relaxed(&shelf->n_refills);
    burst_in_disorder(N, bytes);
    check_equal(shelf->cap, cap);
    check(atomic_get_relaxed(&shelf->n_refills) - n_refills <= 2 * 12);
    heap_free(other);
}

/* Two lists freed in turn: each of them is in order. */
static void body_cap_of_two_lists(void *argument)
{
    enum { N = 8000, BYTES = 64 };
    (void)argument;
    void *other = heap_alloc(8 * MIB);
    for (int round = 0; round < 12; round++) {
        alloc_blocks(N, BYTES);
        for (size_t i = 0; i < N / 2; i++) {
            heap_free(blocks[i]);
            heap_free(blocks[N / 2 + i]);
        }
    }
    check(my_heap()->shelves[class_of(BYTES)].cap > DISORDERED_CAP_MAX);
    heap_free(other);
}

static void test_large_bins_are_in_order(void **state)
{
    (void)state;
    size_t other_bytes[] = {8 * MIB, 1};
    size_t sizes[] = {64, 112, 208, 240, 448};
    for (size_t i = 0; i < ARRAY_LEN(other_bytes); i++)
        child_passes(body_cap_in_disorder, &other_bytes[i]);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        child_passes(body_cap_is_steady, &sizes[i]);
    child_passes(body_cap_of_two_lists, NULL);
}

static void check_caps(size_t limit)
{
    size_t sum = 0;
    size_t first = 0; /* what each class gets without asking */
    for (unsigned class = 0; class < N_SMALL_CLASSES; class ++) {
        sum += cap_bytes(class);
        if (cap_bytes(class) != 0)
            first += max_size(PAGE_BYTES / class_bytes(class), 2) * class_bytes(class);
        check(cap_bytes(class) <= max_size(options.cache_class_bytes, 4 * class_bytes(class)));
    }
    check_equal(my_heap()->caps_bytes, sum);
    check(sum <= limit + first);
}

static void body_caps_bounded(void *argument)
{
    const size_t *limits = argument;
    options.cache_thread_bytes = limits[0];
    options.cache_class_bytes = limits[1];
    options.cache_bytes = limits[2];
    size_t limit = min_size(limits[0], limits[2]);
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        burst(class_bytes(class), 2 * MIB);
        check_caps(limit);
    }
    heap_check(my_heap());
    heap_flush(my_heap());
    check_equal(arena_bytes_in_use(), 0);
}

static void test_caps_are_bounded_by_the_options(void **state)
{
    (void)state;
    size_t limits[][3] = {{4 * MIB, 512 * KIB, 32 * MIB},
                          {2 * MIB, 4 * KIB, 32 * MIB},
                          {64 * KIB, 64 * KIB, 32 * MIB},
                          {GIB, 64 * MIB, 1536 * KIB}};
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        child_passes(body_caps_bounded, limits[i]);
}

/* ---- medium blocks ---- */

static void *free_all(void *argument)
{
    char **all = argument;
    for (size_t i = 0; all[i] != NULL; i++)
        heap_free(all[i]);
    return NULL;
}

static void body_medium(void *argument)
{
    enum { N = 5 };
    unsigned class = *(unsigned *)argument;
    size_t bytes = class_bytes(class);
    char *all[N + 1] = {NULL};
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < N; i++) {
            all[i] = round < 2 ? heap_alloc(bytes) : heap_calloc(1, bytes);
            check((uintptr_t)all[i] % PAGE_BYTES == 0);
            check(round < 2 || is_zero(all[i], bytes));
            check(map_place((uintptr_t)all[i]).is_slab);
            pattern_fill(all[i], bytes, i);
        }
        for (size_t i = 0; i < N; i++)
            check(pattern_holds(all[i], bytes, i));
        if (round == 1)
            thread_run(free_all, all);
        else
            (void)free_all(all);
        heap_check(my_heap());
        heap_flush(my_heap());
        check_equal(arena_bytes_in_use(), 0);
    }
}

static void test_medium_blocks(void **state)
{
    (void)state;
    for (unsigned class = N_SMALL_CLASSES; class < N_CLASSES; class ++)
        child_passes(body_medium, &class);
}

/* What the kernel gave is not touched; what was used is cleared, not what lies beyond it. */
static void body_medium_zeroed(void *argument)
{
    (void)argument;
    enum { BYTES = 200 * KIB, USED = 10 * PAGE_BYTES };
    char *p = heap_calloc(BYTES, 1);
    memset(p, 1, USED);
    check_equal(os_pages_count_present(p, BYTES) * os_page_bytes(), USED);
    heap_free(p);
    heap_flush(my_heap());
    check(arena_purge_all());
    p = heap_calloc(BYTES, 1);
    check(is_zero(p, USED));
    check_equal(os_pages_count_present(p + USED, BYTES - USED), 0);
    heap_free(p);
}

static void *calloc_untouched(void *argument)
{
    enum { BYTES = 200 * KIB };
    for (int i = 0; i < 3; i++) {
        char *p = heap_calloc(BYTES, 1);
        check_equal(os_pages_count_present(p, BYTES), 0);
    }
    return argument;
}

/* As a guest, too. */
static void body_medium_untouched(void *argument)
{
    (void)argument;
    thread_run(calloc_untouched, NULL);
    attach();
    (void)calloc_untouched(NULL);
}

static void test_medium_blocks_are_cleared_where_they_were_used(void **state)
{
    (void)state;
    child_passes(body_medium_zeroed, NULL);
    child_passes(body_medium_untouched, NULL);
}

static void body_medium_aligned(void *argument)
{
    (void)argument;
    for (size_t align = 32; align <= 4 * UNIT_BYTES; align *= 2) {
        for (size_t bytes = 1; bytes <= 2 * CLASS_MAX_BYTES; bytes = bytes * 3 + 1) {
            char *p = heap_alloc_aligned(align, bytes);
            check(p != NULL && (uintptr_t)p % align == 0 && heap_usable_size(p) >= bytes);
            pattern_fill(p, bytes, align);
            check(pattern_holds(p, bytes, align));
            heap_free(p);
        }
    }
    heap_check(my_heap());
}

static void test_aligned_blocks_of_all_kinds(void **state)
{
    (void)state;
    child_passes(body_medium_aligned, NULL);
}

static size_t medium_bytes_kept(void)
{
    size_t bytes = 0;
    for (unsigned class = N_SMALL_CLASSES; class < N_CLASSES; class ++)
        bytes += my_heap()->shelves[class].n_magazine * class_bytes(class);
    check_equal(my_heap()->medium_bytes, bytes);
    return bytes;
}

/* In magazines, so that others can give them back; little to begin with, more if it is missed. */
static void body_medium_kept(void *argument)
{
    (void)argument;
    enum { BYTES = 100 * 1000, N = 64, FIRST_BYTES = 256 * KIB };
    unsigned class = class_of(BYTES);
    char *p = heap_calloc(
        1, BYTES); /* which does not fill the bin: the first look at it is upon a free */
    heap_free(p);
    check_equal(bin_count(my_heap(), class), 0);
    check_equal(my_heap()->shelves[class].n_magazine, 1);
    check(heap_alloc(BYTES) == p);
    heap_free(p);
    alloc_blocks(N, BYTES);
    for (size_t i = 0; i < N; i++)
        heap_free(blocks[i]);
    check(medium_bytes_kept() > FIRST_BYTES / 2 && medium_bytes_kept() <= FIRST_BYTES);
    check(arena_bytes_in_use() <= medium_bytes_kept());
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < N; i++)
            blocks[i] = heap_alloc(BYTES + (i % 8) * 20 * 1000);
        for (size_t i = 0; i < N; i++)
            heap_free(blocks[i]);
        check(medium_bytes_kept() <= options.cache_thread_bytes / 2);
    }
    check(medium_bytes_kept() > options.cache_thread_bytes / 4);
    heap_flush(my_heap());
    check_equal(medium_bytes_kept(), 0);
    check_equal(arena_bytes_in_use(), 0);
    options.cache_thread_bytes = 64 * KIB;
    alloc_blocks(N, BYTES);
    for (size_t i = 0; i < N; i++)
        heap_free(blocks[i]);
    check_equal(medium_bytes_kept(), 0);
    heap_check(my_heap());
}

/* As an array that grows does, and another after it. */
static void pass_by_all_sizes(void)
{
    for (unsigned class = N_SMALL_CLASSES; class < N_CLASSES; class ++)
        heap_free(heap_alloc(class_bytes(class)));
}

static void body_medium_passed_by(void *argument)
{
    (void)argument;
    enum { FIRST_BYTES = 256 * KIB };
    pass_by_all_sizes();
    check(medium_bytes_kept() <= FIRST_BYTES); /* none was wanted again */
    pass_by_all_sizes();
    check(medium_bytes_kept() > FIRST_BYTES);
}

static void calloc_all_sizes(void)
{
    for (unsigned class = N_SMALL_CLASSES; class < N_CLASSES; class ++)
        heap_free(heap_calloc(1, class_bytes(class)));
}

static void body_medium_zeroed_by(void *argument)
{
    (void)argument;
    enum { FIRST_BYTES = 256 * KIB };
    calloc_all_sizes();
    check(medium_bytes_kept() <= FIRST_BYTES);
    calloc_all_sizes();
    check(medium_bytes_kept() > FIRST_BYTES);
    heap_shrink(my_heap());
    calloc_all_sizes();
    check(medium_bytes_kept() <= FIRST_BYTES); /* what was wanted before is forgotten */
}

enum { MUCH_BYTES = 40 * 1024 * KIB, MEDIUM_PART = 32 };

static void *pass_by_in_a_thread(void *argument)
{
    attach();
    pass_by_all_sizes();
    *(size_t *)argument = medium_bytes_kept();
    return argument;
}

/* The more is in use the more they may be, all threads' together. */
static void body_medium_of_much(void *argument)
{
    (void)argument;
    enum { FIRST_BYTES = 256 * KIB };
    options.guest_calls = 0;
    char *much = heap_alloc(MUCH_BYTES);
    pass_by_all_sizes();
    check(medium_bytes_kept() > 3 * FIRST_BYTES);
    check(medium_bytes_kept() <= (MUCH_BYTES + 2048 * KIB) / MEDIUM_PART);
    size_t kept = 0;
    thread_run(pass_by_in_a_thread, &kept);
    check(kept > FIRST_BYTES && kept <= (MUCH_BYTES + 4096 * KIB) / MEDIUM_PART / 2);
    heap_free(much);
}

static void test_few_medium_blocks_are_kept(void **state)
{
    (void)state;
    child_passes(body_medium_kept, NULL);
    child_passes(body_medium_passed_by, NULL);
    child_passes(body_medium_zeroed_by, NULL);
    child_passes(body_medium_of_much, NULL);
}

/* ---- realloc ---- */

static void body_realloc(void *argument)
{
    (void)argument;
    for (size_t from = 1; from <= 1000000; from = from * 3 + 1) {
        for (size_t to = 1; to <= 1000000; to = to * 2 + 1) {
            char *p = heap_alloc(from);
            size_t usable = heap_usable_size(p);
            pattern_fill(p, usable, 1);
            char *q = heap_realloc(p, to);
            check(q != NULL && heap_usable_size(q) >= to);
            check(pattern_holds(q, min_size(usable, to), 1));
            size_t least = usable <= SMALL_MAX_BYTES ? usable / 2 : usable - usable / 4;
            if (to <= usable && to >= least)
                check(q == p);
            check(heap_usable_size(q) <= 2 * max_size(to, 64));
            heap_free(q);
        }
    }
    heap_check(my_heap());
    heap_flush(my_heap());
    check_equal(arena_bytes_in_use(), 0);
}

static void test_realloc_keeps_the_contents(void **state)
{
    (void)state;
    child_passes(body_realloc, NULL);
}

/* ---- pointers that are no blocks ---- */

static void free_it(void *argument)
{
    heap_free(argument);
}

static void realloc_it(void *argument)
{
    (void)heap_realloc(argument, 100);
}

static void expect(char *line, size_t bytes, const char *fault, const void *p, const char *class)
{
    (void)snprintf(line, bytes, "poolalloc: fatal: %s: %p, class %s\n", fault, p, class);
}

/* In the parent, so that the addresses are known here. */
static void test_pointers_that_are_no_blocks(void **state)
{
    (void)state;
    static const char free_fault[] = "free of a pointer that is no block";
    static int not_ours[4];
    char line[128];
    char *small = heap_alloc(100);
    char *medium = heap_alloc(100000);
    char *large = heap_alloc(300000);
    expect(line, sizeof line, free_fault, small + 16, "112");
    child_aborts(free_it, small + 16, line);
    expect(line, sizeof line, free_fault, small + 1, "112");
    child_aborts(free_it, small + 1, line);
    expect(line, sizeof line, free_fault, medium + 4096, "none");
    child_aborts(free_it, medium + 4096, line);
    expect(line, sizeof line, free_fault, medium + UNIT_BYTES, "none");
    child_aborts(free_it, medium + UNIT_BYTES, line);
    expect(line, sizeof line, free_fault, large + 4096, "none");
    child_aborts(free_it, large + 4096, line);
    expect(line, sizeof line, free_fault, large + 16, "none");
    child_aborts(free_it, large + 16, line);
    expect(line, sizeof line, free_fault, not_ours, "none");
    child_aborts(free_it, not_ours, line);
    expect(line, sizeof line, "realloc of a pointer that is no block", not_ours, "none");
    child_aborts(realloc_it, not_ours, line);
    options.foreign = FOREIGN_IGNORE;
    child_passes(free_it, not_ours);
    child_passes(free_it, large + 16);
    options.foreign = FOREIGN_FORWARD;
    child_passes(free_it, NULL);
    child_passes(free_it, small);
    child_passes(free_it, medium);
    child_passes(free_it, large);
}

/* ---- realloc to 0 bytes ---- */

/* Also if there were large blocks only, which need no heap. */
static void check_nothing_in_use(void)
{
    heap_free(heap_alloc(1));
    heap_flush(my_heap());
    check_equal(arena_bytes_in_use(), 0);
}

static void body_zero_frees(void *argument)
{
    size_t bytes = *(size_t *)argument;
    check(heap_realloc(heap_alloc(bytes), 0) == NULL);
    check_nothing_in_use();
}

static void body_zero_allocates(void *argument)
{
    size_t bytes = *(size_t *)argument;
    options.zero_realloc = ZERO_REALLOC_ALLOC;
    char *p = heap_realloc(heap_alloc(bytes), 0);
    check(p != NULL && heap_usable_size(p) <= BLOCK_ALIGN);
    heap_free(p);
    check_nothing_in_use();
}

static void test_realloc_to_zero(void **state)
{
    (void)state;
    size_t sizes[] = {0, 1, 1000, 30000, 100000, 20 * MIB};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        child_passes(body_zero_frees, &sizes[i]);
        child_passes(body_zero_allocates, &sizes[i]);
    }
}

static void realloc_it_to_zero(void *argument)
{
    options.zero_realloc = ZERO_REALLOC_ABORT;
    (void)heap_realloc(argument, 0);
}

/* In the parent, so that the addresses are known here. */
static void test_realloc_to_zero_may_be_fatal(void **state)
{
    (void)state;
    char line[128];
    char *small = heap_alloc(100);
    char *large = heap_alloc(300000);
    expect(line, sizeof line, "realloc to 0 bytes", small, "112");
    child_aborts(realloc_it_to_zero, small, line);
    expect(line, sizeof line, "realloc to 0 bytes", large, "none");
    child_aborts(realloc_it_to_zero, large, line);
    heap_free(small);
    heap_free(large);
}

/* ---- the walker ---- */

static void check_with_a_lost_block(void *argument)
{
    (void)argument;
    alloc_blocks(10, 64);
    free_blocks(10);
    heap_check(my_heap());
    struct bin *bin = &my_heap()->front.bins[class_of(64)];
    bin->head = bin->head->next;
    heap_check(my_heap());
}

static void check_with_a_wrong_owner(void *argument)
{
    (void)argument;
    alloc_blocks(10, 64);
    heap_check(my_heap());
    map_set_slab((uintptr_t)blocks[0] & ~(uintptr_t)0xffff, class_of(64), map_tag(999));
    heap_check(my_heap());
}

static void test_the_walker_traps(void **state)
{
    (void)state;
    child_dies(check_with_a_lost_block, NULL, SIGILL, SIGTRAP);
    child_dies(check_with_a_wrong_owner, NULL, SIGILL, SIGTRAP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations),
        cmocka_unit_test(test_every_size),
        cmocka_unit_test(test_every_alignment),
        cmocka_unit_test(test_zeroed_blocks),
        cmocka_unit_test(test_no_two_blocks_overlap),
        cmocka_unit_test(test_counts_are_exact),
        cmocka_unit_test(test_a_bin_that_overflows),
        cmocka_unit_test(test_a_bin_drains_until_blocks_are_wanted_again),
        cmocka_unit_test(test_a_full_bin_becomes_the_magazine_and_comes_back),
        cmocka_unit_test(test_lowest_addresses_first),
        cmocka_unit_test(test_a_slab_of_a_class_with_many_is_populated),
        cmocka_unit_test(test_a_thread_whose_calls_are_all_hits_gives_old_memory_back),
        cmocka_unit_test(test_caps_grow_with_demand),
        cmocka_unit_test(test_large_bins_are_in_order),
        cmocka_unit_test(test_caps_are_bounded_by_the_options),
        cmocka_unit_test(test_medium_blocks),
        cmocka_unit_test(test_medium_blocks_are_cleared_where_they_were_used),
        cmocka_unit_test(test_aligned_blocks_of_all_kinds),
        cmocka_unit_test(test_few_medium_blocks_are_kept),
        cmocka_unit_test(test_realloc_keeps_the_contents),
        cmocka_unit_test(test_realloc_to_zero),
        cmocka_unit_test(test_the_walker_traps),
        /* Last: they use the parent's heap. */
        cmocka_unit_test(test_realloc_to_zero_may_be_fatal),
        cmocka_unit_test(test_pointers_that_are_no_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
