/* SPDX-License-Identifier: MIT */
/*
 * Guests, threads that have no heap of their own: in their first calls, after their last
 * destructor, and when there is none for them. Every test runs in a child whose first thread has a heap.
 */
#include "conf/options.h"
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
    char *kept;   /* a block that outlives the thread */
};

static void check_host(uint32_t number)
{
    struct heap *host = heap_visit();
    check(host != NULL && host->number == number);
    heap_check(host);
    heap_leave(host);
}

/* The heap a thread had is parked by then, and the only one: it is the host. */
static void live_as_guest(struct late *late)
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
    check_equal(owner_of(late->kept), thread_number);
    check(front_mine == &front_empty);
}

static void at_end(void *argument)
{
    struct late *late = argument;
    if (++late->round == LATE_ROUND)
        live_as_guest(late);
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
        check_equal(heap_number_max(), 2);
        check_host(thread_number);
        check(pattern_holds(late.kept, 100, 1));
        heap_free(late.kept);
    }
    heap_flush_outboxes(my_heap());
    check_equal(live_blocks(class_of(100)), 0);
    check_host(thread_number);
}

static void test_after_its_last_destructor_a_thread_is_a_guest(void **state)
{
    (void)state;
    child_passes(body_late, NULL);
}

/* ---- the first calls ---- */

enum { GUEST_CALLS = 20 };

static void *become_of_age(void *argument)
{
    char *p = NULL;
    for (int i = 0; i < GUEST_CALLS / 2; i++) {
        p = heap_alloc(64);
        check(p != NULL && front_mine == &front_empty);
        pattern_fill(p, 64, 1);
        if (i < GUEST_CALLS / 2 - 1)
            heap_free(p);
    }
    uint32_t host = owner_of(p);
    check_host(host);
    char *q = heap_alloc(64);
    check(front_mine == &front_empty);
    char *own = heap_alloc(64);
    /* It adopts its host, so that its blocks are its own. */
    check_equal(my_heap()->number, host);
    check_equal(owner_of(own), host);
    check(pattern_holds(p, 64, 1));
    heap_free(p);
    heap_free(q);
    heap_free(own);
    heap_check(my_heap());
    return argument;
}

static void body_first_calls(void *argument)
{
    (void)argument;
    attach();
    check_equal(my_heap()->number, 1);
    options.guest_calls = GUEST_CALLS;
    for (int i = 0; i < 3; i++)
        thread_run(become_of_age, NULL);
    check_equal(heap_number_max(), 2);
    check_equal(live_blocks(class_of(64)), 0);
}

static void test_a_thread_is_a_guest_in_its_first_calls_and_adopts_its_host(void **state)
{
    (void)state;
    child_passes(body_first_calls, NULL);
}

/* ---- more guests than one ---- */

static void *visit_inside(void *argument)
{
    struct heap *first = argument;
    /* Another guest is in there, so this one goes elsewhere. */
    char *p = heap_alloc(64);
    check(p != NULL && owner_of(p) != first->number);
    char *q = heap_alloc(64);
    check_equal(owner_of(q), owner_of(p));
    heap_free(q);
    heap_free(p);
    check_equal(inbox_count(first->number, class_of(64)), 0);
    return NULL;
}

static void *visit_outside(void *argument)
{
    struct heap *host = heap_visit();
    check(host != NULL);
    thread_run(visit_inside, host);
    heap_leave(host);
    return argument;
}

static void body_two_guests(void *argument)
{
    (void)argument;
    attach();
    options.guest_calls = GUEST_CALLS;
    thread_run(visit_outside, NULL);
    thread_run(visit_outside, NULL);
    check_equal(heap_number_max(), 3);
    check_parked(2);
    check_parked(3);
    check_equal(live_blocks(class_of(64)), 0);
}

static void test_guests_do_not_wait_for_each_other_while_heaps_can_be_had(void **state)
{
    (void)state;
    child_passes(body_two_guests, NULL);
}

enum { HOSTS_MAX = 16 };

static _Atomic int n_inside;

static void *wait_for_a_host(void *argument)
{
    struct heap *awaited = argument;
    struct heap *host = heap_visit();
    check(host == awaited);
    check_equal((unsigned)atomic_load(&n_inside), 0);
    heap_leave(host);
    return NULL;
}

static void *leave_last_host(void *argument)
{
    struct heap *hosts[HOSTS_MAX];
    pthread_t thread;
    for (size_t i = 0; i < HOSTS_MAX; i++) {
        hosts[i] = heap_visit();
        check(hosts[i] != NULL);
        check_equal(hosts[i]->number, 2 + i);
    }
    atomic_store(&n_inside, 1);
    /* The one it waits for is the one made first, the last in the list. */
    check(pthread_create(&thread, NULL, wait_for_a_host, hosts[0]) == 0);
    atomic_store(&n_inside, 0);
    heap_leave(hosts[0]);
    check(pthread_join(thread, NULL) == 0);
    for (size_t i = 1; i < HOSTS_MAX; i++)
        heap_leave(hosts[i]);
    return argument;
}

static void body_all_hosts_busy(void *argument)
{
    (void)argument;
    attach();
    options.guest_calls = GUEST_CALLS;
    thread_run(leave_last_host, NULL);
    check_equal(heap_number_max(), 1 + HOSTS_MAX);
}

static void test_a_guest_waits_when_all_hosts_are_busy(void **state)
{
    (void)state;
    child_passes(body_all_hosts_busy, NULL);
}

/* ---- no heap ---- */

static void *alloc_without_hook(void *argument)
{
    char *p = heap_alloc(100);
    check(p != NULL && front_mine == &front_empty);
    check_equal(owner_of(p), 2);
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
    check_host(my_heap()->number + 1);
    thread_run(have_a_heap, NULL);
    check_parked(my_heap()->number + 1);
    check_equal(heap_number_max(), my_heap()->number + 1);
}

static void test_a_thread_whose_end_cannot_be_seen_stays_a_guest(void **state)
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
    options.guest_calls = 0;
    heap_fork_init();
    heap_end_hook_make();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_after_its_last_destructor_a_thread_is_a_guest),
        cmocka_unit_test(test_a_thread_is_a_guest_in_its_first_calls_and_adopts_its_host),
        cmocka_unit_test(test_guests_do_not_wait_for_each_other_while_heaps_can_be_had),
        cmocka_unit_test(test_a_guest_waits_when_all_hosts_are_busy),
        cmocka_unit_test(test_a_thread_whose_end_cannot_be_seen_stays_a_guest),
        cmocka_unit_test(test_a_thread_for_which_there_is_no_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
