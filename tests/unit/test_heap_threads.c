/* SPDX-License-Identifier: MIT */
/*
 * Heaps that pass from thread to thread, and blocks that other threads free. Every test runs in a
 * child whose first thread has a heap of its own, the first there is.
 */
#include "conf/options.h"
#include "model.h"

enum { N_BLOCKS = 1024 };

/* With the lock: on a slow machine other threads may think the heap idle, and send home what it
 * has. */
static void check_my_heap(void)
{
    lock_take(&my_heap()->lock);
    heap_check(my_heap());
    lock_release(&my_heap()->lock);
}

static char *blocks[N_BLOCKS];
static size_t n_blocks;
static size_t block_bytes;
static uint32_t thread_number; /* of the heap of the thread that ran last */

/* What a test hands over to the thread that it runs, and gets back from it. */
static pthread_barrier_t barrier;

static void meet(void)
{
    (void)pthread_barrier_wait(&barrier);
}

static void run_child(void (*body)(void *), void *argument)
{
    check(pthread_barrier_init(&barrier, NULL, 2) == 0);
    child_passes(body, argument);
    (void)pthread_barrier_destroy(&barrier);
}

static void alloc_blocks(size_t n, size_t bytes)
{
    n_blocks = n;
    block_bytes = bytes;
    for (size_t i = 0; i < n; i++) {
        blocks[i] = heap_alloc(bytes);
        check(blocks[i] != NULL);
        pattern_fill(blocks[i], bytes, i);
    }
    thread_number = my_heap()->number;
}

static void free_block(size_t i)
{
    check(pattern_holds(blocks[i], block_bytes, i));
    heap_free(blocks[i]);
    blocks[i] = NULL;
}

static void *thread_alloc_blocks(void *argument)
{
    const size_t *n_and_bytes = argument;
    alloc_blocks(n_and_bytes[0], n_and_bytes[1]);
    check_my_heap();
    return NULL;
}

static void run_thread_alloc_blocks(size_t n, size_t bytes)
{
    size_t n_and_bytes[] = {n, bytes};
    thread_run(thread_alloc_blocks, n_and_bytes);
}

/* ---- attaching and parking ---- */

static void *note_number(void *argument)
{
    attach();
    thread_number = my_heap()->number;
    check_equal(atomic_get_relaxed(&my_heap()->state), HEAP_LIVE);
    return argument;
}

static void body_adoption(void *argument)
{
    (void)argument;
    attach();
    uint32_t mine = my_heap()->number;
    check_equal(mine, heap_number_max());
    check_equal(heap_live_count(), 1);
    for (int i = 0; i < 10; i++) {
        thread_run(note_number, NULL);
        check_equal(thread_number, mine + 1);
        check_parked(thread_number);
        check_equal(heap_number_max(), mine + 1);
        check_equal(heap_live_count(), 1);
    }
    check(my_heap()->number == mine);
}

static void test_the_next_thread_gets_the_heap_of_the_last(void **state)
{
    (void)state;
    run_child(body_adoption, NULL);
}

static void *wait_with_a_heap(void *argument)
{
    attach();
    *(uint32_t *)argument = my_heap()->number;
    meet();
    meet();
    return NULL;
}

static void body_two_at_once(void *argument)
{
    (void)argument;
    uint32_t number = 0;
    attach();
    pthread_t thread = thread_start(wait_with_a_heap, &number);
    meet();
    check_equal(heap_live_count(), 2);
    thread_run(note_number, NULL);
    check(number != my_heap()->number);
    check(thread_number != number && thread_number != my_heap()->number);
    check_parked(thread_number);
    meet();
    thread_join(thread);
    check_parked(number);
    check_equal(heap_live_count(), 1);
}

static void test_threads_at_the_same_time_have_different_heaps(void **state)
{
    (void)state;
    run_child(body_two_at_once, NULL);
}

static void *alloc_and_free_much(void *argument)
{
    for (size_t bytes = 16; bytes <= 100000; bytes = bytes * 3 / 2) {
        alloc_blocks(min_size(N_BLOCKS, 4 * MIB / bytes), bytes);
        for (size_t i = 0; i < n_blocks; i++)
            free_block(i);
    }
    return argument;
}

static void body_nothing_left(void *argument)
{
    (void)argument;
    attach();
    heap_flush(my_heap());
    thread_run(alloc_and_free_much, NULL);
    check_parked(my_heap()->number + 1);
    check_equal(arena_bytes_in_use(), 0);
}

static void test_a_thread_that_ends_leaves_no_free_slab(void **state)
{
    (void)state;
    run_child(body_nothing_left, NULL);
}

static void *free_adopted_blocks(void *argument)
{
    attach();
    check_equal(my_heap()->number, thread_number);
    for (size_t i = 0; i < n_blocks; i++) {
        check_equal(owner_of(blocks[i]), my_heap()->number);
        free_block(i);
        check_my_heap();
    }
    return argument;
}

static void body_blocks_outlive(void *argument)
{
    (void)argument;
    attach();
    run_thread_alloc_blocks(100, 1000);
    check_parked(thread_number);
    thread_run(free_adopted_blocks, NULL);
    check_equal(live_blocks(class_of(1000)), 0);
    check_parked(thread_number);
    check(!map_place((uintptr_t)blocks[0]).is_slab);
}

static void test_blocks_outlive_their_thread(void **state)
{
    (void)state;
    run_child(body_blocks_outlive, NULL);
}

/* ---- slabs of parked heaps ---- */

#define SLAB_BLOCKS  ((size_t)64) /* of 1 KiB, make a slab */
#define N_LEFT_SLABS 4

enum { KIB_BYTES = 1024 };

static void *leave_one_block_a_slab(void *argument)
{
    alloc_blocks(N_LEFT_SLABS * SLAB_BLOCKS, KIB_BYTES);
    for (size_t i = 0; i < n_blocks; i++) {
        if (i % SLAB_BLOCKS != 5)
            free_block(i);
    }
    return argument;
}

static void body_take_slab(void *argument)
{
    (void)argument;
    attach();
    thread_run(leave_one_block_a_slab, NULL);
    check_parked(thread_number);
    size_t before = arena_bytes_in_use();
    /* All that the parked heap has of this class passes over, slab by slab, before a new one is
     * made. */
    for (size_t i = 0; i < N_LEFT_SLABS * (SLAB_BLOCKS - 1); i++) {
        char *p = heap_alloc(KIB_BYTES);
        check_equal(owner_of(p), my_heap()->number);
        pattern_fill(p, KIB_BYTES, 99);
    }
    check_equal(arena_bytes_in_use(), before);
    check_parked(thread_number);
    for (size_t i = 5; i < n_blocks; i += SLAB_BLOCKS) {
        check_equal(owner_of(blocks[i]), my_heap()->number);
        free_block(i);
    }
    check_my_heap();
    check(heap_alloc(KIB_BYTES) != NULL);
}

static void test_slabs_are_taken_from_parked_heaps(void **state)
{
    (void)state;
    run_child(body_take_slab, NULL);
}

/* A live heap's slabs are its own. */
static void *leave_blocks_and_wait(void *argument)
{
    (void)leave_one_block_a_slab(argument);
    heap_flush(my_heap());
    meet();
    meet();
    for (size_t i = 5; i < n_blocks; i += SLAB_BLOCKS) {
        check_equal(owner_of(blocks[i]), my_heap()->number);
        free_block(i);
    }
    check_my_heap();
    return NULL;
}

static void body_live_keeps(void *argument)
{
    (void)argument;
    attach();
    pthread_t thread = thread_start(leave_blocks_and_wait, NULL);
    meet();
    for (size_t i = 0; i < N_LEFT_SLABS * SLAB_BLOCKS; i++)
        check_equal(owner_of(heap_alloc(KIB_BYTES)), my_heap()->number);
    for (size_t i = 5; i < n_blocks; i += SLAB_BLOCKS)
        check_equal(owner_of(blocks[i]), thread_number);
    meet();
    thread_join(thread);
}

static void test_slabs_of_live_heaps_are_not_taken(void **state)
{
    (void)state;
    run_child(body_live_keeps, NULL);
}

/* ---- blocks that another thread frees ---- */

static bool is_one_of(const char *p, char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i] == p)
            return true;
    }
    return false;
}

/* Waits while others free its blocks; then gets them again, out of its inbox, before any slab. */
static void *own_blocks(void *argument)
{
    const size_t *n_and_bytes = argument;
    size_t n = n_and_bytes[0];
    unsigned class = class_of(n_and_bytes[1]);
    alloc_blocks(n, n_and_bytes[1]);
    char *sent[N_BLOCKS];
    for (size_t i = 0; i < n; i++)
        sent[i] = blocks[i];
    meet();
    meet();
    check_equal(inbox_count(my_heap()->number, class), n);
    size_t n_before_inbox = bin_count(my_heap(), class) + my_heap()->shelves[class].n_magazine;
    for (size_t i = 0; i < n_before_inbox; i++)
        check(!is_one_of(heap_alloc(n_and_bytes[1]), sent, n));
    for (size_t i = 0; i < n; i++)
        check(is_one_of(heap_alloc(n_and_bytes[1]), sent, n));
    check_equal(inbox_count(my_heap()->number, class), 0);
    check_my_heap();
    return NULL;
}

static void body_batches(void *argument)
{
    size_t *n_and_bytes = argument;
    size_t batch = n_and_bytes[0];
    attach();
    pthread_t thread = thread_start(own_blocks, n_and_bytes);
    meet();
    for (size_t i = 0; i < batch; i++) {
        check_equal(inbox_count(thread_number, class_of(block_bytes)), 0);
        free_block(i);
    }
    check_equal(inbox_count(thread_number, class_of(block_bytes)), batch);
    meet();
    thread_join(thread);
    check_my_heap();
}

static void test_blocks_go_to_their_owner_in_batches(void **state)
{
    (void)state;
    size_t n_and_bytes[][2] = {
        {OUTBOX_MAX_BLOCKS, 16},
        {OUTBOX_MAX_BLOCKS, OUTBOX_MAX_BYTES / OUTBOX_MAX_BLOCKS},
        {OUTBOX_MAX_BYTES / 1024, 1024},
        {1, OUTBOX_MAX_BYTES},
        {1, 32768},
    };
    for (size_t i = 0; i < ARRAY_LEN(n_and_bytes); i++)
        run_child(body_batches, n_and_bytes[i]);
}

static void body_flush_outboxes(void *argument)
{
    (void)argument;
    size_t n_and_bytes[] = {5, 64};
    attach();
    pthread_t thread = thread_start(own_blocks, n_and_bytes);
    meet();
    for (size_t i = 0; i < 5; i++)
        free_block(i);
    check_equal(inbox_count(thread_number, class_of(64)), 0);
    heap_flush_outboxes(my_heap());
    check_equal(inbox_count(thread_number, class_of(64)), 5);
    heap_flush_outboxes(my_heap());
    check_equal(inbox_count(thread_number, class_of(64)), 5);
    meet();
    thread_join(thread);
}

static void test_outboxes_are_flushed(void **state)
{
    (void)state;
    run_child(body_flush_outboxes, NULL);
}

static void *own_a_block_of_each_class(void *argument)
{
    n_blocks = N_CLASSES;
    for (unsigned class = 0; class < N_CLASSES; class ++)
        blocks[class] = heap_alloc(class_bytes(class));
    thread_number = my_heap()->number;
    meet();
    meet();
    for (unsigned class = 0; class < N_CLASSES; class ++)
        check_equal(inbox_count(thread_number, class), 1);
    check_my_heap();
    return argument;
}

/* What outboxes hold together is bounded too. */
static void body_all_classes(void *argument)
{
    (void)argument;
    attach();
    pthread_t thread = thread_start(own_a_block_of_each_class, NULL);
    meet();
    for (unsigned class = 0; class < N_CLASSES; class ++)
        heap_free(blocks[class]);
    size_t bytes = 0;
    for (unsigned class = 0; class < N_CLASSES; class ++)
        bytes += (1 - inbox_count(thread_number, class)) * class_bytes(class);
    check(bytes > 0 && bytes <= OUTBOXES_MAX_BYTES);
    check_equal(bytes, my_heap()->outbox_bytes);
    heap_flush_outboxes(my_heap());
    check_equal(my_heap()->outbox_bytes, 0);
    meet();
    thread_join(thread);
    for (unsigned class = 0; class < N_CLASSES; class ++)
        check_equal(live_blocks(class), 0);
    heap_flush(my_heap());
    check_equal(arena_bytes_in_use(), 0);
}

static void test_outboxes_hold_little_together(void **state)
{
    (void)state;
    run_child(body_all_classes, NULL);
}

/* Two owners, and two classes that share an outbox when they are of the one and of the other. */
enum { CLASS_HIGH = OUTBOX_STRIDE + 6, CLASS_LOW = 6 };

static struct owner {
    uint32_t number;
    char *high;
    char *low;
} owners[2];

static pthread_barrier_t barrier_of_three;

static void meet_three(void)
{
    (void)pthread_barrier_wait(&barrier_of_three);
}

static void *own_two_blocks(void *argument)
{
    struct owner *owner = argument;
    owner->high = heap_alloc(class_bytes(CLASS_HIGH));
    owner->low = heap_alloc(class_bytes(CLASS_LOW));
    owner->number = my_heap()->number;
    meet_three();
    meet_three();
    return NULL;
}

static void body_shared_outbox(void *argument)
{
    (void)argument;
    attach();
    check(pthread_barrier_init(&barrier_of_three, NULL, 3) == 0);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        threads[i] = thread_start(own_two_blocks, &owners[i]);
    meet_three();
    bool in_order = owners[0].number < owners[1].number;
    const struct owner *first = &owners[in_order ? 0 : 1];
    const struct owner *second = &owners[in_order ? 1 : 0];
    check_equal(first->number + 1, second->number);
    heap_free(first->high);
    check_equal(inbox_count(first->number, CLASS_HIGH), 0);
    heap_free(second->low);
    check_equal(inbox_count(first->number, CLASS_HIGH), 1);
    check_equal(inbox_count(second->number, CLASS_LOW), 0);
    heap_free(first->low);
    check_equal(inbox_count(second->number, CLASS_LOW), 0);
    heap_flush_outboxes(my_heap());
    check_equal(inbox_count(second->number, CLASS_LOW), 1);
    check_equal(inbox_count(first->number, CLASS_LOW), 1);
    meet_three();
    for (int i = 0; i < 2; i++)
        thread_join(threads[i]);
}

static void test_an_outbox_holds_one_class_of_one_owner(void **state)
{
    (void)state;
    run_child(body_shared_outbox, NULL);
}

static void body_tidy(void *argument)
{
    (void)argument;
    attach();
    run_thread_alloc_blocks(3 * SLAB_BLOCKS, KIB_BYTES);
    size_t before = arena_bytes_in_use();
    for (size_t i = 0; i < n_blocks; i++) {
        free_block(i);
        check(inbox_count(thread_number, class_of(KIB_BYTES)) == 0);
    }
    check_parked(thread_number);
    check(arena_bytes_in_use() <= before - 3 * (size_t)UNIT_BYTES);
    check_equal(live_blocks(class_of(KIB_BYTES)), 0);
}

/* Nobody else would empty its inbox. */
static void test_what_is_sent_to_a_parked_heap_goes_home_at_once(void **state)
{
    (void)state;
    run_child(body_tidy, NULL);
}

static void *hold_the_lock(void *argument)
{
    struct heap *heap = heap_by_number(thread_number);
    (void)argument;
    lock_take(&heap->lock);
    meet();
    meet();
    lock_release(&heap->lock);
    return NULL;
}

static void *alloc_from_the_inbox(void *argument)
{
    attach();
    check_equal(my_heap()->number, thread_number);
    size_t n = inbox_count(thread_number, class_of(KIB_BYTES));
    check(n > 0);
    for (size_t i = 0; i < n; i++)
        check(heap_alloc(KIB_BYTES) != NULL);
    check_equal(inbox_count(thread_number, class_of(KIB_BYTES)), 0);
    check_my_heap();
    return argument;
}

static void body_tidy_busy(void *argument)
{
    (void)argument;
    attach();
    run_thread_alloc_blocks(SLAB_BLOCKS, KIB_BYTES);
    pthread_t thread = thread_start(hold_the_lock, NULL);
    meet();
    for (size_t i = 0; i < n_blocks; i++)
        free_block(i);
    check_equal(inbox_count(thread_number, class_of(KIB_BYTES)), n_blocks);
    /* Whoever looks for a slab passes the heap by as well. */
    check_equal(owner_of(heap_alloc(KIB_BYTES)), my_heap()->number);
    meet();
    thread_join(thread);
    thread_run(alloc_from_the_inbox, NULL);
}

static void test_nobody_waits_for_the_lock_of_a_parked_heap(void **state)
{
    (void)state;
    run_child(body_tidy_busy, NULL);
}

/* ---- a slab moves while blocks of it are on their way to its old owner ---- */

static void *move_on(void *argument)
{
    attach(); /* the heap that the slab was taken from */
    check_equal(my_heap()->number, thread_number);
    struct chain chain = {(struct block *)(void *)blocks[5], (struct block *)(void *)blocks[5], 1};
    heap_push(thread_number, class_of(KIB_BYTES), &chain);
    blocks[5] = NULL;
    /* A block of the inbox may be handed out, whoever owns its slab by now, and comes back. */
    char *p = heap_alloc(KIB_BYTES);
    check_equal(owner_of(p), *(uint32_t *)argument);
    heap_free(p);
    check_my_heap();
    return NULL;
}

static void body_late_push(void *argument)
{
    (void)argument;
    attach();
    uint32_t mine = my_heap()->number;
    thread_run(leave_one_block_a_slab, NULL);
    char *kept = blocks[5];
    while (owner_of(kept) != mine)
        check(heap_alloc(KIB_BYTES) != NULL);
    /* As if a thread had read the slab word just before it changed. */
    size_t n_before = inbox_count(mine, class_of(KIB_BYTES));
    thread_run(move_on, &mine);
    check_equal(inbox_count(mine, class_of(KIB_BYTES)), n_before + 1);
    check_parked(thread_number);
    heap_flush(my_heap());
    check_my_heap();
}

static void test_a_block_whose_slab_has_moved_follows_it(void **state)
{
    (void)state;
    run_child(body_late_push, NULL);
}

/* ---- caps of many threads ---- */

static void *grow_caps(void *argument)
{
    attach();
    meet();
    size_t first = my_heap()->caps_bytes;
    for (int round = 0; round < 12; round++) {
        for (size_t bytes = 16; bytes <= 256; bytes *= 2) {
            char *p[N_BLOCKS];
            for (size_t i = 0; i < N_BLOCKS; i++)
                p[i] = heap_alloc(bytes);
            for (size_t i = 0; i < N_BLOCKS; i++)
                heap_free(p[i]);
        }
    }
    /* Five classes of at least a page each are not asked for, they are given. */
    check(my_heap()->caps_bytes <= *(size_t *)argument + 5 * (size_t)PAGE_BYTES);
    check(my_heap()->caps_bytes > first);
    check_my_heap();
    meet();
    return NULL;
}

static void body_share(void *argument)
{
    (void)argument;
    enum { N_THREADS = 7 };
    pthread_t threads[N_THREADS];
    options.cache_bytes = 512 * KIB;
    size_t share = options.cache_bytes / (N_THREADS + 1);
    check(pthread_barrier_init(&barrier, NULL, N_THREADS) == 0);
    attach();
    for (size_t i = 0; i < N_THREADS; i++)
        threads[i] = thread_start(grow_caps, &share);
    for (size_t i = 0; i < N_THREADS; i++)
        thread_join(threads[i]);
}

static void test_threads_share_the_caps(void **state)
{
    (void)state;
    run_child(body_share, NULL);
}

int main(void)
{
    options.guest_calls = 0;
    heap_fork_init();
    heap_end_hook_make();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_next_thread_gets_the_heap_of_the_last),
        cmocka_unit_test(test_threads_at_the_same_time_have_different_heaps),
        cmocka_unit_test(test_a_thread_that_ends_leaves_no_free_slab),
        cmocka_unit_test(test_blocks_outlive_their_thread),
        cmocka_unit_test(test_slabs_are_taken_from_parked_heaps),
        cmocka_unit_test(test_slabs_of_live_heaps_are_not_taken),
        cmocka_unit_test(test_blocks_go_to_their_owner_in_batches),
        cmocka_unit_test(test_outboxes_are_flushed),
        cmocka_unit_test(test_outboxes_hold_little_together),
        cmocka_unit_test(test_an_outbox_holds_one_class_of_one_owner),
        cmocka_unit_test(test_what_is_sent_to_a_parked_heap_goes_home_at_once),
        cmocka_unit_test(test_nobody_waits_for_the_lock_of_a_parked_heap),
        cmocka_unit_test(test_a_block_whose_slab_has_moved_follows_it),
        cmocka_unit_test(test_threads_share_the_caps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
