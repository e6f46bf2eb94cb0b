/* SPDX-License-Identifier: MIT */
/*
 * Guests, threads that have no heap of their own: in their first calls, after their last
 * destructor, and when there is none for them. Every test runs in a child whose first thread has a
 * heap.
 */
#include "conf/options.h"
#include "fake_sys.h"
#include "mem/meta.h"
#include "model.h"

#include <errno.h>
#include <sched.h>

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
    heap_visit_end(host);
}

/* The heap a thread had is parked by then, and the only one: it is the host. */
static void live_as_guest(struct late *late)
{
    static struct model_block model[20];
    static char *volatile nothing;
    struct random dice = {1};
    check(front_own == &front_empty);
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
    check(front_own == &front_empty);
}

static void at_end(void *argument)
{
    struct late *late = argument;
    if (++late->round == LATE_ROUND) {
        live_as_guest(late);
        return;
    }
    /* Until then it has its heap, and the fast paths. */
    check_equal(my_heap()->number, thread_number);
    heap_free(heap_alloc(100));
    check_equal(atomic_get_relaxed(&my_heap()->state), HEAP_LIVE);
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
        check(p != NULL && front_own == &front_empty);
        pattern_fill(p, 64, 1);
        if (i < GUEST_CALLS / 2 - 1)
            heap_free(p);
    }
    uint32_t host = owner_of(p);
    check_host(host);
    char *q = heap_alloc(64);
    check(front_own == &front_empty);
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

/* ---- guests that end ---- */

/* In which rounds of destructors calls are made, more than make a guest come of age. */
struct ending {
    bool calls_in_round[LATE_ROUND + 1];
    int round;
    char *kept;
};

static void end_calling(void *argument)
{
    struct ending *ending = argument;
    if (ending->calls_in_round[++ending->round]) {
        for (int i = 0; i < 2 * GUEST_CALLS; i++)
            heap_free(heap_alloc(64));
    }
    if (ending->round < LATE_ROUND) {
        (void)pthread_setspecific(end_key, ending);
        return;
    }
    check(front_own == &front_empty);
    ending->kept = heap_alloc(64);
    check(ending->kept != NULL && front_own == &front_empty);
}

static void *end_as_guest(void *argument)
{
    heap_free(heap_alloc(64));
    check(front_own == &front_empty);
    check(pthread_setspecific(end_key, argument) == 0);
    return NULL;
}

static void body_ending(void *argument)
{
    struct ending *ending = argument;
    attach();
    options.guest_calls = GUEST_CALLS;
    check(pthread_key_create(&end_key, end_calling) == 0);
    for (int i = 0; i < 3; i++) {
        ending->round = 0;
        thread_run(end_as_guest, ending);
        check_equal((unsigned)ending->round, LATE_ROUND);
        check_equal(heap_live_count(), 1);
        check_equal(heap_number_max(), 2);
        check_parked(2);
        check_host(2);
        check_equal(owner_of(ending->kept), 2);
        heap_free(ending->kept);
    }
    heap_flush_outboxes(my_heap());
    check_equal(live_blocks(class_of(64)), 0);
}

/* Nobody would take it back from them. */
static void test_a_guest_that_ends_leaves_no_heap_in_use(void **state)
{
    (void)state;
    struct ending endings[] = {
        {.calls_in_round = {[3] = true}},
        {.calls_in_round = {[1] = true}},
        {.calls_in_round = {[2] = true, [3] = true}},
        {.calls_in_round = {[1] = true, [2] = true, [3] = true}},
    };
    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        child_passes(body_ending, &endings[i]);
}

/* ---- what guests free ---- */

enum { N_LEFT = 4 * UNIT_BYTES / 1024 };

static char *left[N_LEFT];

static void *leave_blocks(void *argument)
{
    for (size_t i = 0; i < N_LEFT; i++)
        left[i] = heap_alloc(1024);
    *(uint32_t *)argument = my_heap()->number;
    return NULL;
}

/* Parks after the other, so that its heap is the first that guests come to. */
static void *leave_a_host(void *argument)
{
    attach();
    thread_run(leave_blocks, argument);
    return NULL;
}

static void *free_left_blocks(void *argument)
{
    uint32_t number = *(uint32_t *)argument;
    for (size_t i = 0; i < N_LEFT; i++) {
        heap_free(left[i]);
        check(front_own == &front_empty);
        check_equal(inbox_count(number, class_of(1024)), 0);
    }
    struct heap *host = heap_visit();
    check(host->number != number);
    heap_visit_end(host);
    check_parked(number);
    return NULL;
}

static void body_guest_frees(void *argument)
{
    (void)argument;
    uint32_t number = 0;
    attach();
    heap_flush(my_heap());
    thread_run(leave_a_host, &number);
    check_equal(arena_bytes_in_use(), (size_t)N_LEFT * 1024);
    options.guest_calls = 2 * N_LEFT;
    thread_run(free_left_blocks, &number);
    check_equal(arena_bytes_in_use(), 0);
    check_equal(live_blocks(class_of(1024)), 0);
}

static void test_what_a_guest_frees_of_another_parked_heap_goes_home(void **state)
{
    (void)state;
    child_passes(body_guest_frees, NULL);
}

static void *free_one(void *argument)
{
    heap_free(argument);
    check(front_own == &front_empty);
    return NULL;
}

static void body_guest_frees_of_live(void *argument)
{
    (void)argument;
    options.guest_calls = GUEST_CALLS;
    for (size_t i = 1; i <= 3; i++) {
        thread_run(free_one, heap_alloc(1024));
        check_equal(inbox_count(my_heap()->number, class_of(1024)), i);
    }
    check_equal(live_blocks(class_of(1024)), 0);
}

/* It may not come back to send more. */
static void test_what_a_guest_frees_of_a_thread_s_heap_arrives_at_once(void **state)
{
    (void)state;
    child_passes(body_guest_frees_of_live, NULL);
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
    heap_visit_end(host);
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
    heap_visit_end(host);
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
    heap_visit_end(hosts[0]);
    check(pthread_join(thread, NULL) == 0);
    for (size_t i = 1; i < HOSTS_MAX; i++)
        heap_visit_end(hosts[i]);
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
    check(p != NULL && front_own == &front_empty);
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
    check(front_own != &front_empty);
    return NULL;
}

static void body_no_heap(void *argument)
{
    (void)argument;
    char *lost = heap_alloc(1000);
    char *kept = heap_alloc(1000);
    fake_fail_from(FAKE_MAP, 1, ENOMEM);
    while (meta_take(META_ALIGN) != NULL)
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

/* ---- no number for a heap ---- */

struct heap *__real_heap_new(uint32_t number, enum heap_state state);
struct heap *__wrap_heap_new(uint32_t number, enum heap_state state);

static bool heaps_are_fake;

/* A heap that is never used, but has a number. */
struct heap *__wrap_heap_new(uint32_t number, enum heap_state state)
{
    static struct heap fake;
    return heaps_are_fake ? &fake : __real_heap_new(number, state);
}

static void use_up_numbers(uint32_t n_left)
{
    attach();
    struct front *mine = front_own;
    heaps_are_fake = true;
    while (heap_number_max() < HEAPS_MAX - 1 - n_left) {
        front_own = (struct front *)&front_empty;
        check(heap_attach() != NULL);
    }
    front_own = mine;
    heaps_are_fake = false;
}

static void *be_a_guest_of_the_last(void *argument)
{
    uint32_t host = *(uint32_t *)argument;
    for (int i = 0; i < 1000; i++) {
        char *p = heap_alloc(64);
        check(p != NULL && front_own == &front_empty);
        check_equal(owner_of(p), host);
        heap_free(p);
    }
    check_parked(host);
    return NULL;
}

static void *two_guests_of_the_last(void *argument)
{
    (void)be_a_guest_of_the_last(argument);
    thread_run(be_a_guest_of_the_last, argument);
    return be_a_guest_of_the_last(argument);
}

static void *note_number(void *argument)
{
    attach();
    *(uint32_t *)argument = my_heap()->number;
    return NULL;
}

static void body_last_parked(void *argument)
{
    (void)argument;
    uint32_t host = 0;
    use_up_numbers(1);
    thread_run(note_number, &host);
    check_equal(host, HEAPS_MAX - 1);
    thread_run(two_guests_of_the_last, &host);
    thread_run(two_guests_of_the_last, &host);
    check_equal(heap_number_max(), HEAPS_MAX - 1);
    check_parked(host);
}

/* Or the next thread would find none at all. */
static void test_when_no_more_heaps_can_be_made_guests_keep_the_last(void **state)
{
    (void)state;
    child_passes(body_last_parked, NULL);
}

static void *note_two_numbers(void *argument)
{
    uint32_t *numbers = argument;
    (void)note_number(&numbers[0]);
    thread_run(note_number, &numbers[1]);
    return NULL;
}

static void *adopt_one_of_two(void *argument)
{
    uint32_t *numbers = argument;
    attach();
    check_equal(my_heap()->number, numbers[0]);
    thread_run(be_a_guest_of_the_last, &numbers[1]);
    return NULL;
}

static void body_two_parked(void *argument)
{
    (void)argument;
    uint32_t numbers[2] = {0, 0};
    use_up_numbers(2);
    thread_run(note_two_numbers, numbers);
    thread_run(adopt_one_of_two, numbers);
    check_equal(heap_number_max(), HEAPS_MAX - 1);
    check_parked(numbers[0]);
    check_parked(numbers[1]);
}

static void test_of_two_heaps_one_may_be_adopted(void **state)
{
    (void)state;
    child_passes(body_two_parked, NULL);
}

/* ---- more hosts than a guest looks at, and all of those in use ---- */

enum { N_HOSTS = 20 };

static pthread_barrier_t all_attached;

static void *attach_with_others(void *argument)
{
    attach();
    (void)pthread_barrier_wait(&all_attached);
    return argument;
}

static void *visit_a_host(void *argument)
{
    struct heap *host = heap_visit();
    check(host != NULL);
    check(atomic_get_relaxed(&host->guest_lock.word) != 0);
    check_equal(atomic_get_relaxed(&host->state), HEAP_PARKED);
    heap_visit_end(host);
    return argument;
}

static bool somebody_waits(void)
{
    for (uint32_t i = 1; i <= heap_number_max(); i++) {
        if (atomic_get_relaxed(&heap_by_number(i)->guest_lock.word) == 2)
            return true;
    }
    return false;
}

/* All but the host that was parked first, the last in the list, are in use. A guest waits for one
 * of them, or goes to that one: it never enters without the lock. */
static void body_busy_hosts(void *argument)
{
    (void)argument;
    pthread_t threads[N_HOSTS];
    attach();
    check(pthread_barrier_init(&all_attached, NULL, N_HOSTS) == 0);
    for (size_t i = 0; i < N_HOSTS; i++)
        threads[i] = thread_start(attach_with_others, NULL);
    for (size_t i = 0; i < N_HOSTS; i++)
        thread_join(threads[i]);
    uint32_t n = heap_number_max();
    check(n > N_HOSTS);
    for (uint32_t unused = 1; unused <= n; unused++) {
        for (uint32_t i = 1; i <= n; i++) {
            if (i != unused)
                check(lock_try(&heap_by_number(i)->guest_lock));
        }
        pthread_t guest = thread_start(visit_a_host, NULL);
        bool waits = false;
        for (int tries = 0; tries < 200 && !waits; tries++) {
            waits = somebody_waits();
            (void)sched_yield();
        }
        for (uint32_t i = 1; i <= n; i++) {
            if (i != unused)
                lock_release(&heap_by_number(i)->guest_lock);
        }
        thread_join(guest);
    }
}

static void test_a_guest_never_enters_a_host_in_use(void **state)
{
    (void)state;
    child_passes(body_busy_hosts, NULL);
}

int main(void)
{
    options.guest_calls = 0;
    heap_fork_init();
    heap_end_hook_make();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_guest_never_enters_a_host_in_use),
        cmocka_unit_test(test_after_its_last_destructor_a_thread_is_a_guest),
        cmocka_unit_test(test_a_thread_is_a_guest_in_its_first_calls_and_adopts_its_host),
        cmocka_unit_test(test_a_guest_that_ends_leaves_no_heap_in_use),
        cmocka_unit_test(test_what_a_guest_frees_of_another_parked_heap_goes_home),
        cmocka_unit_test(test_what_a_guest_frees_of_a_thread_s_heap_arrives_at_once),
        cmocka_unit_test(test_guests_do_not_wait_for_each_other_while_heaps_can_be_had),
        cmocka_unit_test(test_a_guest_waits_when_all_hosts_are_busy),
        cmocka_unit_test(test_a_thread_whose_end_cannot_be_seen_stays_a_guest),
        cmocka_unit_test(test_a_thread_for_which_there_is_no_heap),
        cmocka_unit_test(test_when_no_more_heaps_can_be_made_guests_keep_the_last),
        cmocka_unit_test(test_of_two_heaps_one_may_be_adopted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
