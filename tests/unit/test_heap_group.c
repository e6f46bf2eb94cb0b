/* SPDX-License-Identifier: MIT */
/*
 * Groups (heap/group.c): that their slabs hold their own blocks alone, that nothing of them is
 * under way when they end, what is counted, and forks. What programs see of them is the business of
 * tests/objects.
 */
#include "conf/options.h"
#include "fake_sys.h"
#include "mem/arena.h"
#include "model.h"
#include "objects/heaps.h"
#include "obs/stats.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BYTES = 1024, N_BLOCKS = 1000, N_MODELS = 300, N_STEPS = 20000 };

static poolalloc_heap *heap;
static void *blocks[N_BLOCKS];

static void begin(void)
{
    heap = heaps_create(NULL);
    check(heap != NULL);
}

static void allocate(void)
{
    for (size_t i = 0; i < N_BLOCKS; i++)
        check((blocks[i] = heaps_alloc(heap, BYTES)) != NULL);
}

static void free_every(size_t step)
{
    for (size_t i = 0; i < N_BLOCKS; i += step)
        heap_free(blocks[i]);
}

static void check_whole(struct heap *group)
{
    lock_take(&group->guest_lock);
    lock_take(&group->lock);
    heap_check(group);
    lock_release(&group->lock);
    lock_release(&group->guest_lock);
    arena_check();
}

/* ---- against a model ---- */

static struct model_block models[N_MODELS];

static void make_in(poolalloc_heap *in, struct model_block *block, struct random *dice)
{
    block->bytes = random_bytes(dice, 200000);
    block->seed = random_next(dice);
    switch (random_below(dice, 3)) {
    case 0:
        block->p = heaps_calloc(in, 1, block->bytes);
        check(is_zero(block->p, block->bytes));
        break;
    case 1:
        block->p = heaps_alloc_aligned(in, (size_t)1 << random_below(dice, 17), block->bytes);
        break;
    default:
        block->p = heaps_realloc(in, NULL, block->bytes);
        break;
    }
    pattern_fill(block->p, block->bytes, block->seed);
}

/* Blocks of two groups and of malloc, in the ways that there are. */
static void test_model(void **state)
{
    (void)state;
    struct random dice = {1};
    poolalloc_heap *heaps[2] = {heaps_create(NULL), heaps_create(NULL)};
    for (int i = 0; i < N_STEPS; i++) {
        size_t which = random_below(&dice, N_MODELS);
        struct model_block *block = &models[which];
        if (block->p == NULL && which % 3 != 2)
            make_in(heaps[which % 3], block, &dice);
        else
            check(model_step(block, &dice, 200000));
    }
    for (size_t j = 0; j < 2; j++) {
        size_t n = 0;
        size_t bytes = 0;
        for (size_t i = j; i < N_MODELS; i += 3) {
            n += models[i].p != NULL;
            bytes += models[i].p != NULL ? heap_usable_size(models[i].p) : 0;
            check(models[i].p == NULL ||
                  pattern_holds(models[i].p, models[i].bytes, models[i].seed));
        }
        struct poolalloc_heap_stats stats;
        heaps_get_stats(heaps[j], &stats);
        check_equal(stats.n_live, n);
        check_equal(stats.live_bytes, bytes);
        check(stats.bytes >= bytes);
        check_whole(heaps[j]->heap);
        check_equal(heaps_destroy(heaps[j]), n);
    }
    for (size_t i = 2; i < N_MODELS; i += 3)
        model_free(&models[i]);
    heap_check(my_heap());
}

/* ---- slabs ---- */

static void *use_malloc(void *argument)
{
    attach();
    for (size_t i = 0; i < N_BLOCKS; i++)
        blocks[i] = heap_alloc(BYTES);
    free_every(2);
    return argument;
}

/* A thread has left slabs with free blocks behind: the group takes none of them. */
static void body_takes_none(void *argument)
{
    thread_run(use_malloc, argument);
    begin();
    for (size_t i = 0; i < N_BLOCKS; i++)
        check_equal(owner_of(heaps_alloc(heap, BYTES)), heap->heap->number);
    check_equal(atomic_get_relaxed(&heap->heap->shelves[class_of(BYTES)].n_slabs),
                div_round_up(N_BLOCKS, 64));
    check_equal(heaps_destroy(heap), N_BLOCKS);
    for (size_t i = 1; i < N_BLOCKS; i += 2)
        heap_free(blocks[i]);
}

/* The other way round, also when nobody has used the group for long. */
static void body_gives_none(void *argument)
{
    (void)argument;
    fake_clock_set(10000);
    attach();
    begin();
    allocate();
    free_every(2);
    for (int i = 0; i < 4; i++) {
        fake_clock_add(1000);
        (void)heap_enter();
        heap_sweep_due();
        heap_leave();
    }
    check_equal(inbox_count(heap->heap->number, class_of(BYTES)), 0); /* swept */
    for (size_t i = 0; i < N_BLOCKS; i++)
        check(owner_of(heap_alloc(BYTES)) != heap->heap->number);
    check_equal(heaps_destroy(heap), N_BLOCKS / 2);
}

/* What a thread has left behind is found among however many groups. */
static void body_many_groups(void *argument)
{
    attach();
    for (int i = 0; i < 500; i++)
        begin();
    thread_run(use_malloc, argument);
    size_t before = arena_bytes_in_use();
    for (size_t i = 0; i < N_BLOCKS; i += 4)
        blocks[i] = heap_alloc(BYTES);
    check_equal(arena_bytes_in_use(), before);
}

static void test_slabs_neither_come_nor_go(void **state)
{
    (void)state;
    child_passes(body_takes_none, NULL);
    child_passes(body_gives_none, NULL);
    child_passes(body_many_groups, NULL);
}

static void test_a_group_is_no_thread_s(void **state)
{
    (void)state;
    begin();
    uint32_t live = heap_live_count();
    uint32_t number = heap->heap->number;
    check_equal(heaps_destroy(heap), 0);
    check_equal(heap_live_count(), live);
    thread_run(use_malloc, NULL);
    for (size_t i = 1; i < N_BLOCKS; i += 2) {
        check(owner_of(blocks[i]) != number);
        heap_free(blocks[i]);
    }
    begin();
    check_equal(heap->heap->number, number);
    check_equal(heaps_destroy(heap), 0);
}

/* ---- frees ---- */

static void *free_as_a_guest(void *argument)
{
    free_every(1);
    return argument;
}

static void *free_as_an_owner(void *argument)
{
    attach();
    free_every(1);
    for (size_t i = 0; i < N_OUTBOXES; i++)
        check_equal(my_heap()->outboxes[i].n, 0);
    return argument;
}

static void free_in(void *(*free_all)(void *))
{
    begin();
    allocate();
    thread_run(free_all, NULL);
    check_equal(atomic_get_relaxed(&heap->heap->group.n_live), 0);
    check_equal(heaps_destroy(heap), 0);
}

static void test_no_free_is_under_way(void **state)
{
    (void)state;
    options.guest_calls = 2 * N_BLOCKS;
    free_in(free_as_a_guest);
    options.guest_calls = 0;
    free_in(free_as_an_owner);
}

/* A bin takes in all that came back, but does not keep it. */
static void test_the_bin_stays_short(void **state)
{
    (void)state;
    unsigned class = class_of(BYTES);
    options.cache_class_bytes = 100 * BYTES;
    begin();
    allocate();
    free_every(1);
    void *last = heaps_alloc(heap, BYTES);
    check(bin_count(heap->heap, class) <= 100);
    check(heap_group_memory(heap->heap) <= UNIT_BYTES);
    check_whole(heap->heap);
    heap_free(last);
    check_equal(heaps_destroy(heap), 0);
    options.cache_class_bytes = 512 * 1024;
}

static void test_what_ends_is_counted_as_freed(void **state)
{
    (void)state;
    struct stats before;
    struct stats after;
    begin();
    check(stats_read(&before));
    allocate();
    (void)heaps_alloc(heap, 100000);
    free_every(4);
    check_equal(heaps_destroy(heap), N_BLOCKS * 3 / 4 + 1);
    check(stats_read(&after));
    check_equal(after.live_blocks, before.live_blocks);
    check_equal(after.live_bytes, before.live_bytes);
    check_equal(after.frees - before.frees, N_BLOCKS + 1);
    check_equal(after.heaps_live, before.heaps_live);
    check_equal(after.heaps_parked, before.heaps_parked);
}

static void test_full_slabs_end_too(void **state)
{
    (void)state;
    size_t before = arena_bytes_in_use();
    for (size_t bytes = 16; bytes <= CLASS_MAX_BYTES; bytes *= 2) {
        begin();
        size_t n = UNIT_BYTES / bytes * 3;
        for (size_t i = 0; i < n; i++)
            check(heaps_alloc(heap, bytes) != NULL);
        check_whole(heap->heap);
        check_equal(heaps_destroy(heap), n);
        check_equal(arena_bytes_in_use(), before);
    }
}

/* ---- fork ---- */

static void check_child(int child)
{
    int status = 0;
    check(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static void *fork_and_go_on(void *argument)
{
    int child = fork();
    if (child == 0) {
        check(heaps_alloc(heap, BYTES) != NULL);
        free_every(2);
        check_whole(heap->heap);
        check_equal(heaps_destroy(heap), N_BLOCKS / 2 + 1);
        begin();
        allocate();
        check_equal(heaps_destroy(heap), N_BLOCKS);
        _exit(0);
    }
    check_child(child);
    return argument;
}

/* From another thread, so that the process is not of one thread. */
static void body_fork(void *argument)
{
    heap_fork_init();
    begin();
    allocate();
    thread_run(fork_and_go_on, argument);
    check_equal(heaps_destroy(heap), N_BLOCKS);
}

static void test_groups_are_whole_in_the_child(void **state)
{
    (void)state;
    child_passes(body_fork, NULL);
}

/* A sanitizer's runtime does not bear such a fork: its own locks stay taken. */
#if defined(__SANITIZE_ADDRESS__) || defined(BASE_THREAD_SANITIZER)
enum { BEARS_BARE_FORKS = 0 };
#else
enum { BEARS_BARE_FORKS = 1 };
#endif

static void be_the_unnoticed_child(poolalloc_heap *torn)
{
    const struct heap *lost = torn->heap;
    check(heaps_alloc(torn, BYTES) == NULL);
    check_equal(heaps_trim(torn), 0);
    heap_free(blocks[0]);
    (void)heaps_destroy(torn);
    begin();
    check(heap->heap != lost);
    allocate();
    (void)heaps_alloc(heap, 100000);
    check_equal(heaps_destroy(heap), N_BLOCKS + 1);
}

static void *nothing(void *argument)
{
    return argument;
}

/* Somebody is in one group, and does not come with us. */
static void body_unnoticed(void *argument)
{
    thread_run(nothing, argument);
    begin();
    allocate();
    (void)heaps_alloc(heap, 100000);
    check(lock_try(&heap->heap->guest_lock)); /* as if by another thread */
    int child = (int)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        be_the_unnoticed_child(heap);
        _exit(0);
    }
    lock_release(&heap->heap->guest_lock);
    check_child(child);
    check_equal(heaps_destroy(heap), N_BLOCKS + 1);
}

static void test_a_bare_fork_leaves_a_group_in_use_behind(void **state)
{
    (void)state;
    if (!BEARS_BARE_FORKS)
        skip();
    child_passes(body_unnoticed, NULL);
}

/* ---- no memory ---- */

static void test_no_memory_leaves_the_group_as_it_was(void **state)
{
    (void)state;
    begin();
    allocate();
    fake_map_left(0);
    size_t n = 0;
    while (heaps_alloc(heap, CLASS_MAX_BYTES) != NULL)
        n++;
    check(heaps_alloc(heap, 10 << 20) == NULL);
    check(heap_realloc(blocks[0], 10 << 20) == NULL);
    check_equal(atomic_get_relaxed(&heap->heap->group.n_live), N_BLOCKS + n);
    check_equal(atomic_get_relaxed(&heap->heap->group.live_bytes),
                N_BLOCKS * BYTES + n * CLASS_MAX_BYTES);
    fake_fail_none();
    check(heaps_alloc(heap, 10 << 20) != NULL);
    check_whole(heap->heap);
    check_equal(heaps_destroy(heap), N_BLOCKS + n + 1);
}

int main(void)
{
    options.guest_calls = 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slabs_neither_come_nor_go),
        cmocka_unit_test(test_groups_are_whole_in_the_child),
        cmocka_unit_test(test_a_bare_fork_leaves_a_group_in_use_behind),
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_a_group_is_no_thread_s),
        cmocka_unit_test(test_no_free_is_under_way),
        cmocka_unit_test(test_the_bin_stays_short),
        cmocka_unit_test(test_what_ends_is_counted_as_freed),
        cmocka_unit_test(test_full_slabs_end_too),
        cmocka_unit_test(test_no_memory_leaves_the_group_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
