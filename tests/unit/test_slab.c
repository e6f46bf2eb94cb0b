/* SPDX-License-Identifier: MIT */
/* Every test runs in a child, where the arena is new. */
#include "arena_now.h"
#include "mem/slab.h"

#include "conf/classes.h"
#include "fake_sys.h"
#include "mem/arena.h"
#include "mem/meta.h"
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { N_BLOCKS_MAX = UNIT_BYTES / BLOCK_ALIGN };

/* The blocks of the slab under test, by index. */
static struct block *blocks[N_BLOCKS_MAX];

static size_t free_bytes(void)
{
    struct arena_stats stats;
    arena_get_stats(&stats);
    return stats.free_bytes;
}

/* Lists the blocks of a chain, which must be in rising order and apart by the class. */
static size_t list_chain(const struct chain *chain, size_t bytes, struct block **list)
{
    size_t n = 0;
    for (struct block *at = chain->head; at != BLOCK_END; at = block_next_checked(at, bytes)) {
        list[n++] = at;
        check(n <= N_BLOCKS_MAX);
    }
    check_equal(n, chain->n);
    return n;
}

/* A slab of which all blocks are out, listed in `blocks`. */
static struct span *slab_all_out(unsigned class)
{
    struct span *slab = slab_new(class);
    struct chain chain = slab_carve(slab, SIZE_MAX);
    size_t n = list_chain(&chain, class_bytes(class), blocks);
    check_equal(n, UNIT_BYTES / class_bytes(class));
    slab_check(slab);
    return slab;
}

/* As a bin does it: a block that is free is sealed. */
static void put(struct span *slab, struct block *block)
{
    block_link(block, BLOCK_END, block_secret);
    struct chain chain = {block, NULL, 1};
    const struct way_home way = way_home(slab->class);
    check(slab_put_run(slab, &way, &chain) == block);
    check(chain.head == BLOCK_END && chain.n == 0);
}

/* ---- carving, taking and putting, for every class ---- */

static void body_life(void *argument)
{
    unsigned class = *(unsigned *)argument;
    size_t bytes = class_bytes(class);
    struct span *slab = slab_new(class);
    check(slab_is_empty(slab) && slab_has_fresh(slab) && !slab_has_free(slab));
    check_equal(slab->class, class);
    check_equal(slab->base % (class_is_small(class) ? UNIT_BYTES : PAGE_BYTES), 0);
    struct chain chain = slab_take_free(slab, 10);
    check(chain.head == BLOCK_END && chain.n == 0);
    chain = slab_carve(slab, 1);
    size_t n = list_chain(&chain, bytes, blocks);
    check_equal(n, 1);
    chain = slab_carve(slab, SIZE_MAX);
    n += list_chain(&chain, bytes, blocks + 1);
    check_equal(n, class_blocks_a_slab(class));
    chain = slab_carve(slab, SIZE_MAX);
    check(chain.head == BLOCK_END && chain.n == 0);
    check_equal(span_bytes(slab), class_slab_bytes(class));
    for (size_t i = 0; i < n; i++)
        check_equal((uintptr_t)blocks[i], slab->base + i * bytes);
    check(!slab_has_fresh(slab) && !slab_has_free(slab));
    slab_check(slab);
    for (size_t i = n; i-- > 0;) {
        put(slab, blocks[i]);
        check_equal(slab->slab.n_out, i);
    }
    check(slab_is_empty(slab) && slab_has_free(slab));
    slab_check(slab);
    slab_delete(slab);
    arena_check();
}

static void test_life_of_a_slab_of_every_class(void **state)
{
    (void)state;
    for (unsigned class = 0; class < N_CLASSES; class ++)
        child_passes(body_life, &class);
}

/* Random puts and takes against one flag a block. */
static void body_random(void *argument)
{
    unsigned class = *(unsigned *)argument;
    static bool is_home[N_BLOCKS_MAX];
    static struct block *taken[N_BLOCKS_MAX];
    struct random dice = {class + 1};
    struct span *slab = slab_all_out(class);
    size_t n_blocks = UNIT_BYTES / class_bytes(class);
    for (int step = 0; step < 300; step++) {
        for (size_t i = random_below(&dice, n_blocks) + 1; i > 0; i--) {
            size_t at = random_below(&dice, n_blocks);
            if (!is_home[at])
                put(slab, blocks[at]);
            is_home[at] = true;
        }
        slab_check(slab);
        struct chain chain = slab_take_free(slab, random_below(&dice, n_blocks + 10));
        size_t n = list_chain(&chain, class_bytes(class), taken);
        size_t at = 0;
        for (size_t i = 0; i < n; i++, at++) {
            while (at < n_blocks && !is_home[at])
                at++;
            check(at < n_blocks && taken[i] == blocks[at]); /* the lowest first */
            is_home[at] = false;
        }
        slab_check(slab);
    }
}

static void test_blocks_go_and_come_lowest_first(void **state)
{
    (void)state;
    unsigned classes[] = {class_of(16),   class_of(48),   class_of(1000),
                          class_of(1024), class_of(1100), class_of(32768)};
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        child_passes(body_random, &classes[i]);
}

static void body_in_turn(void *argument)
{
    (void)argument;
    struct span *slab = slab_all_out(class_of(1024));
    struct block *list[N_BLOCKS_MAX];
    for (size_t i = 0; i < 4; i++)
        put(slab, blocks[i]);
    for (size_t i = 0; i < 4; i += 2) {
        struct chain chain = slab_take_free(slab, 2);
        check_equal(list_chain(&chain, 1024, list), 2);
        check(list[0] == blocks[i] && list[1] == blocks[i + 1]);
    }
}

static void test_what_is_left_comes_next(void **state)
{
    (void)state;
    child_passes(body_in_turn, NULL);
}

/* ---- zeroed blocks ---- */

static void body_zeroed(void *argument)
{
    unsigned class = *(unsigned *)argument;
    size_t bytes = class_bytes(class);
    struct span *slab = slab_new(class);
    uintptr_t base = slab->base;
    (void)slab_carve(slab, 2);
    for (size_t i = 2; i < UNIT_BYTES / bytes; i++) {
        char *p = slab_carve_zeroed(slab);
        check_equal((uintptr_t)p, base + i * bytes);
        check(is_zero(p, bytes));
        pattern_fill(p, bytes, i);
        slab_check(slab);
    }
    check(slab_carve_zeroed(slab) == NULL);
    for (size_t i = 0; i < UNIT_BYTES / bytes; i++)
        put(slab, (struct block *)(base + i * bytes));
    slab_delete(slab);
    /* The same unit again: what it holds is not zero any more, and no block of it passes for it. */
    slab = slab_new(class);
    check_equal(slab->base, base);
    check(slab_carve_zeroed(slab) == NULL);
}

static void test_zeroed_blocks(void **state)
{
    (void)state;
    unsigned classes[] = {class_of(16), class_of(1024), class_of(1100), class_of(32768)};
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        child_passes(body_zeroed, &classes[i]);
}

static void body_purged(void *argument)
{
    (void)argument;
    struct span *slab = slab_all_out(class_of(1024));
    uintptr_t base = slab->base;
    for (size_t i = 0; i < 64; i++)
        put(slab, blocks[i]);
    slab_delete(slab);
    check(arena_purge_all());
    slab = slab_new(class_of(1024));
    check_equal(slab->base, base);
    const char *p = slab_carve_zeroed(slab);
    check(p != NULL && is_zero(p, 1024));
}

static void test_a_slab_of_purged_pages_gives_zeroed_blocks(void **state)
{
    (void)state;
    child_passes(body_purged, NULL);
}

/* Of an empty slab the arena learns which pages were carved: the others need no purge. */
static void body_untouched(void *argument)
{
    (void)argument;
    struct span *slab = slab_new(class_of(1024));
    struct chain chain = slab_carve(slab, 5); /* a page and a quarter */
    size_t n = list_chain(&chain, 1024, blocks);
    for (size_t i = 0; i < n; i++)
        put(slab, blocks[i]);
    slab_delete(slab);
    struct arena_stats stats;
    arena_get_stats(&stats);
    check_equal(stats.dirty_bytes, (size_t)2 * PAGE_BYTES);
    check_equal(stats.free_bytes, stats.mapped_bytes);
}

static void test_only_carved_pages_count_as_touched(void **state)
{
    (void)state;
    child_passes(body_untouched, NULL);
}

static size_t dirty_bytes(void)
{
    return arena_now().dirty_bytes;
}

static void body_populated(void *argument)
{
    (void)argument;
    struct span *slab = slab_new(class_of(1024));
    uintptr_t base = slab->base;
    slab_populate(slab);
    check_equal(fake_count(FAKE_POPULATE), 1);
    const char *p = slab_carve_zeroed(slab);
    check(p != NULL && is_zero(p, 1024));
    put(slab, (struct block *)base);
    slab_delete(slab);
    check_equal(dirty_bytes(), UNIT_BYTES);
    /* It is all there still: no call, and what is known of its pages does not change. */
    slab = slab_new(class_of(1024));
    check_equal(slab->base, base);
    slab_populate(slab);
    check_equal(fake_count(FAKE_POPULATE), 1);
    check(slab_carve_zeroed(slab) == NULL);
}

static void test_all_pages_of_a_populated_slab_count_as_touched(void **state)
{
    (void)state;
    child_passes(body_populated, NULL);
}

/* ---- pages given back ---- */

static size_t resident_pages(const struct span *slab)
{
    unsigned char in_core[UNIT_PAGES];
    size_t n = 0;
    check(mincore((void *)slab->base, UNIT_BYTES, in_core) == 0);
    for (size_t i = 0; i < UNIT_PAGES; i++)
        n += in_core[i] & 1;
    return n;
}

/* Of pages in which a block of `is_out` lies. */
static size_t pages_in_use(const struct span *slab, const bool *is_out)
{
    bool is_used[UNIT_PAGES] = {false};
    size_t bytes = class_bytes(slab->class);
    size_t n = 0;
    for (size_t i = 0; i < slab->slab.n_carved; i++) {
        for (size_t at = i * bytes; is_out[i] && at < (i + 1) * bytes; at += BLOCK_ALIGN)
            is_used[at >> PAGE_SHIFT] = true;
    }
    for (size_t i = 0; i < UNIT_PAGES; i++)
        n += is_used[i];
    return n;
}

/* Takes the lowest block that is at home. */
static void take_one(struct span *slab, bool *is_out)
{
    struct block *list[1];
    struct chain chain = slab_take_free(slab, 1);
    if (list_chain(&chain, class_bytes(slab->class), list) == 0)
        return;
    size_t i = ((uintptr_t)list[0] - slab->base) / class_bytes(slab->class);
    check(!is_out[i]);
    is_out[i] = true;
    pattern_fill((char *)list[0], class_bytes(slab->class), i);
}

static void put_one(struct span *slab, bool *is_out, size_t i)
{
    size_t bytes = class_bytes(slab->class);
    if (!is_out[i])
        return;
    check(pattern_holds((char *)slab->base + i * bytes, bytes, i));
    put(slab, (struct block *)(slab->base + i * bytes));
    is_out[i] = false;
}

static void body_purge(void *argument)
{
    static bool is_out[N_BLOCKS_MAX];
    unsigned class = class_of(*(size_t *)argument);
    struct random dice = {class + 1};
    struct span *slab = slab_all_out(class);
    size_t n = slab->slab.n_blocks;
    for (size_t i = 0; i < n; i++) {
        is_out[i] = true;
        pattern_fill((char *)blocks[i], class_bytes(class), i);
    }
    for (int i = 0; i < 20000; i++) {
        size_t most = i / 1000 % 2 == 0 ? 3 : 1; /* it becomes full and empty in turn */
        if (random_below(&dice, 4) < most)
            put_one(slab, is_out, random_below(&dice, n));
        else
            take_one(slab, is_out);
        if (random_below(&dice, 50) != 0)
            continue;
        size_t before = resident_pages(slab);
        size_t n_purged = slab_purge(slab);
        check_equal(resident_pages(slab), before - n_purged);
        check_equal(resident_pages(slab), pages_in_use(slab, is_out));
        check_equal(slab_active_pages(slab), pages_in_use(slab, is_out));
    }
    slab_check(slab); /* from then on the kernel's page of zeroes is where nothing was */
    for (size_t i = 0; i < n; i++)
        put_one(slab, is_out, i);
    slab_delete(slab);
    arena_check();
}

static void test_pages_of_free_blocks_go_back(void **state)
{
    (void)state;
    size_t sizes[] = {16, 112, 1024, 1280, 5120, 8192};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        child_passes(body_purge, &sizes[i]);
}

static void body_purge_uncarved(void *argument)
{
    (void)argument;
    struct span *slab = slab_new(class_of(1024));
    struct chain chain = slab_carve(slab, 6);
    size_t n = list_chain(&chain, 1024, blocks);
    for (size_t i = 0; i < n; i++)
        put(slab, blocks[i]);
    check_equal(slab_purge(slab), 2);
    check_equal(slab_purge(slab), 0);
    check_equal(slab_active_pages(slab), 0);
    /* The last page has blocks of both kinds. */
    const char *p = slab_carve_zeroed(slab);
    check(p == (char *)slab->base + 6 * 1024 && is_zero(p, 1024));
    check_equal(slab_active_pages(slab), 1);
    slab_check(slab);
    chain = slab_take_free(slab, SIZE_MAX);
    check_equal(list_chain(&chain, 1024, blocks), 6);
    check_equal(slab_active_pages(slab), 2);
}

static void test_blocks_that_were_never_used_may_lie_in_purged_pages(void **state)
{
    (void)state;
    child_passes(body_purge_uncarved, NULL);
}

static void body_purge_fails(void *argument)
{
    (void)argument;
    struct span *slab = slab_all_out(class_of(1024));
    put(slab, blocks[0]);
    put(slab, blocks[1]);
    put(slab, blocks[2]);
    check_equal(slab_purge(slab), 0);
    put(slab, blocks[3]);
    fake_fail_from(FAKE_DISCARD, 1, EINVAL);
    check_equal(slab_purge(slab), 0);
    slab_check(slab);
    fake_fail_none();
    check_equal(slab_purge(slab), 1);
}

static void test_pages_that_the_kernel_does_not_take_stay(void **state)
{
    (void)state;
    child_passes(body_purge_fails, NULL);
}

/* ---- out of memory ---- */

static void body_no_memory(void *argument)
{
    (void)argument;
    fake_fail_from(FAKE_MAP, 1, ENOMEM);
    check(slab_new(class_of(64)) == NULL);
    arena_check();
    fake_fail_none();
    check(slab_new(class_of(64)) != NULL);
}

/* There is a unit for the slab, but no record for its bitmap: the unit goes back, untouched. */
static void body_no_bitmap(void *argument)
{
    (void)argument;
    struct span *spans[6];
    for (size_t i = 0; i < ARRAY_LEN(spans); i++)
        spans[i] = arena_take(SPAN_LARGE, 1, 1);
    for (size_t i = 0; i < ARRAY_LEN(spans); i++)
        arena_give(spans[i], 0); /* the arena has spare records now */
    size_t before = free_bytes();
    fake_fail_from(FAKE_MAP, 1, ENOMEM);
    while (meta_take(META_ALIGN) != NULL)
        continue;
    check(slab_new(class_of(16)) == NULL);
    check_equal(free_bytes(), before);
    arena_check();
    const struct span *slab = slab_new(class_of(32768)); /* its bitmap is in its record */
    check(slab != NULL && slab->was_zero);
    fake_fail_none();
    check(slab_new(class_of(16)) != NULL);
}

static void test_no_memory(void **state)
{
    (void)state;
    child_passes(body_no_memory, NULL);
    child_passes(body_no_bitmap, NULL);
}

/* ---- faults of the program ---- */

/* Blocks of this slab have these addresses in the children, too: the parent makes it first. */
static struct span *fault_slab;

static void expect(char *line, size_t bytes, const char *fault, const void *p, size_t class)
{
    (void)snprintf(line, bytes, "poolalloc: fatal: %s: %p, class %zu\n", fault, p, class);
}

static void put_twice(void *argument)
{
    (void)argument;
    put(fault_slab, blocks[7]);
    put(fault_slab, blocks[7]);
}

static void put_what_was_never_carved(void *argument)
{
    put(fault_slab, argument);
}

static void take_what_was_written_to(void *argument)
{
    (void)argument;
    put(fault_slab, blocks[7]);
    blocks[7]->next = blocks[8];
    (void)slab_take_free(fault_slab, 1);
}

static void take_what_was_written_to_since_it_went_back(void *argument)
{
    for (size_t i = 0; i < 20; i++)
        put(fault_slab, blocks[i]);
    check_equal(slab_purge(fault_slab), 1);
    ((struct block *)argument)->seal = 1;
    (void)slab_take_free(fault_slab, 1);
}

/* argument: a block that was never carved, and what is at its start is not zero. */
static void carve_what_was_written_to(void *argument)
{
    *(char *)argument = 1;
    (void)slab_carve(fault_slab, SIZE_MAX);
}

static void carve_what_was_freed(void *argument)
{
    block_link(argument, BLOCK_END, block_secret);
    (void)slab_carve(fault_slab, SIZE_MAX);
}

static void test_faults_end_the_process(void **state)
{
    (void)state;
    char line[128];
    fault_slab = slab_new(class_of(100));
    struct chain chain = slab_carve(fault_slab, 20);
    check_equal(list_chain(&chain, 112, blocks), 20);
    expect(line, sizeof line, "double free", blocks[7], 112);
    child_aborts(put_twice, NULL, line);
    char *fresh = (char *)blocks[19] + 112;
    expect(line, sizeof line, "free of a pointer that is no block", fresh, 112);
    child_aborts(put_what_was_never_carved, fresh, line);
    expect(line, sizeof line, "free block was overwritten or freed twice", blocks[7], 112);
    child_aborts(take_what_was_written_to, NULL, line);
    child_aborts(take_what_was_written_to_since_it_went_back, blocks[7], line);
    size_t n_fresh = UNIT_BYTES / 112 - 20;
    for (size_t i = 0; i < n_fresh; i += 13) { /* first ones of a page among them */
        expect(line, sizeof line, "free block was overwritten or freed twice", fresh + i * 112,
               112);
        child_aborts(carve_what_was_written_to, fresh + i * 112, line);
        child_aborts(carve_what_was_freed, fresh + i * 112, line);
    }
}

static void body_carve_what_is_not_zero(void *unused)
{
    (void)unused;
    struct span *slab = slab_all_out(class_of(48));
    memset((void *)slab->base, 0x41, UNIT_BYTES);
    while (slab->slab.n_out > 0)
        put(slab, blocks[slab->slab.n_out - 1]);
    slab_delete(slab);
    slab = slab_all_out(class_of(1024));
    check(!slab->slab.is_zero);
}

/* Pages that were used before hold anything. */
static void test_what_is_carved_of_used_pages_is_not_looked_at(void **state)
{
    (void)state;
    child_passes(body_carve_what_is_not_zero, NULL);
}

static void check_after_overwriting(void *argument)
{
    (void)argument;
    put(fault_slab, blocks[7]);
    slab_check(fault_slab);
    blocks[7]->seal ^= 1;
    slab_check(fault_slab);
}

static void check_after_miscounting(void *argument)
{
    (void)argument;
    put(fault_slab, blocks[7]);
    slab_check(fault_slab);
    fault_slab->slab.n_out--;
    slab_check(fault_slab);
}

/* The walker that all tests rely on sees what it is there for. */
static void test_the_walker_traps(void **state)
{
    (void)state;
    child_dies(check_after_overwriting, NULL, SIGILL, SIGTRAP);
    child_dies(check_after_miscounting, NULL, SIGILL, SIGTRAP);
}

int main(void)
{
    block_secret_init(UINT64_C(0x1234567890abcdef));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life_of_a_slab_of_every_class),
        cmocka_unit_test(test_blocks_go_and_come_lowest_first),
        cmocka_unit_test(test_what_is_left_comes_next),
        cmocka_unit_test(test_zeroed_blocks),
        cmocka_unit_test(test_a_slab_of_purged_pages_gives_zeroed_blocks),
        cmocka_unit_test(test_only_carved_pages_count_as_touched),
        cmocka_unit_test(test_all_pages_of_a_populated_slab_count_as_touched),
        cmocka_unit_test(test_pages_of_free_blocks_go_back),
        cmocka_unit_test(test_blocks_that_were_never_used_may_lie_in_purged_pages),
        cmocka_unit_test(test_pages_that_the_kernel_does_not_take_stay),
        cmocka_unit_test(test_no_memory),
        /* These two leave a slab behind. */
        cmocka_unit_test(test_faults_end_the_process),
        cmocka_unit_test(test_what_is_carved_of_used_pages_is_not_looked_at),
        cmocka_unit_test(test_the_walker_traps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
