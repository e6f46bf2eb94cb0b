/* SPDX-License-Identifier: MIT */
/*
 * Threads that have no heap of their own: after their last destructor, and when there is none for
 * them. Every test runs in a child whose first thread has a heap.
 */
#include "fake_sys.h"
#include "mem/meta.h"
#include "model.h"

#include <errno.h>

static pthread_key_t end_key;

/* The round of destructors after which the thread's heap is gone: this key is made after the
 * allocator's, so it runs after it. (In the fourth, the last, the thread sanitizer is gone as
 * well.) */
enum { LATE_ROUND = 3 };

static uint32_t thread_number; /* of the heap that the thread had */

struct late {
    int round;
    char *before; /* a block of the thread's own heap */
    char *kept;   /* a block of the late heap */
};

static void use_the_late_heap(struct late *late)
{
    static struct model_block model[20];
    static char *volatile nothing;
    struct random dice = {1};
    check(front_mine == &front_empty);
    check_parked(thread_number);
    check(heap_attach() == NULL);
    for (int i = 0; i < 3000; i++)
        check(model_step(&model[random_below(&dice, ARRAY_LEN(model))], &dice, 60000));
    for (size_t i = 0; i < ARRAY_LEN(model); i++)
        model_free(&model[i]);
    heap_free(nothing);
    heap_free(late->before);
    late->kept = heap_alloc(100);
    pattern_fill(late->kept, 100, 1);
    check_equal(owner_of(late->kept), LATE_NUMBER);
    check(front_mine == &front_empty);
}

static void at_end(void *argument)
{
    struct late *late = argument;
    if (++late->round == LATE_ROUND)
        use_the_late_heap(late);
    else
        (void)pthread_setspecific(end_key, late);
}

static void *end_late(void *argument)
{
    struct late *late = argument;
    late->before = heap_alloc(100);
    thread_number = my_heap()->number;
    check(pthread_setspecific(end_key, late) == 0);
    return NULL;
}

static void check_late_heap(void)
{
    struct heap *heap = heap_late_take();
    check(heap != NULL && heap->number == LATE_NUMBER);
    heap_check(heap);
    heap_late_release();
}

static void body_late(void *argument)
{
    (void)argument;
    struct late late = {0};
    attach();
    check(pthread_key_create(&end_key, at_end) == 0);
    for (int i = 0; i < 3; i++) {
        late.round = 0;
        thread_run(end_late, &late);
        check_equal((unsigned)late.round, LATE_ROUND);
        check_late_heap();
        check(pattern_holds(late.kept, 100, 1));
        heap_free(late.kept);
    }
    heap_flush_outboxes(my_heap());
    check_equal(inbox_count(LATE_NUMBER, class_of(100)), 3);
    check_equal(live_blocks(class_of(100)), 0);
    check_late_heap();
}

static void test_after_its_last_destructor_a_thread_uses_the_late_heap(void **state)
{
    (void)state;
    child_passes(body_late, NULL);
}

static void *alloc_without_hook(void *argument)
{
    char *p = heap_alloc(100);
    check(p != NULL && front_mine == &front_empty);
    check_equal(owner_of(p), LATE_NUMBER);
    check(is_zero(heap_alloc_zeroed(3000), 3000));
    heap_free(p);
    return argument;
}

static void *have_a_heap(void *argument)
{
    attach();
    check_equal(atomic_get_relaxed(&my_heap()->state), HEAP_LIVE);
    return argument;
}

/* A thread that could not give its heap back when it ends must not have one. */
static void body_no_hook(void *argument)
{
    (void)argument;
    attach();
    fake_fail_once(FAKE_THREAD_AT_EXIT, 1, ENOMEM);
    thread_run(alloc_without_hook, NULL);
    check_parked(my_heap()->number + 1);
    check_late_heap();
    thread_run(have_a_heap, NULL);
    check_parked(my_heap()->number + 1);
    check_equal(heap_number_max(), my_heap()->number + 1);
}

static void test_a_thread_whose_end_cannot_be_seen_uses_the_late_heap(void **state)
{
    (void)state;
    child_passes(body_no_hook, NULL);
}

static void *without_any_heap(void *argument)
{
    errno = 0;
    check(heap_alloc(100) == NULL);
    check_equal((unsigned)errno, ENOMEM);
    /* Lost, since there is no heap to take it; but nothing else happens. */
    heap_free(argument);
    fake_fail_none();
    check(heap_alloc(100) != NULL);
    check(front_mine != &front_empty);
    return NULL;
}

static void body_no_heap(void *argument)
{
    (void)argument;
    char *lost = heap_alloc(1000);
    char *kept = heap_alloc(1000);
    fake_fail_from(FAKE_MAP, 1, ENOMEM);
    while (meta_take(META_REUSE_MAX_BYTES) != NULL)
        continue;
    thread_run(without_any_heap, lost);
    heap_free(kept);
    heap_check(my_heap());
    check_equal(live_blocks(class_of(1000)), 1);
}

static void test_a_thread_for_which_there_is_no_heap(void **state)
{
    (void)state;
    child_passes(body_no_heap, NULL);
}

int main(void)
{
    heap_hooks_make();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_after_its_last_destructor_a_thread_uses_the_late_heap),
        cmocka_unit_test(test_a_thread_whose_end_cannot_be_seen_uses_the_late_heap),
        cmocka_unit_test(test_a_thread_for_which_there_is_no_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
