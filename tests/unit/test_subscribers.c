/* SPDX-License-Identifier: MIT */
/*
 * Subscribers come, go and are told, from inside of each other and from several threads.
 */
#include "base/atomic.h"
#include "model.h"
#include "pressure/subscribers.h"

#include <errno.h>

struct note {
    size_t n;
    int level;
    size_t wanted;
};

static void note(int level, size_t wanted, void *context)
{
    struct note *told = context;
    told->n++;
    told->level = level;
    told->wanted = wanted;
    errno = EDOM;
}

static unsigned tell(enum pressure_level level, size_t wanted)
{
    check(turn_take());
    unsigned n = subscribers_tell(level, wanted);
    turn_give();
    return n;
}

static void test_who_subscribed_is_told_until_he_leaves(void **state)
{
    (void)state;
    struct note one = {0};
    struct note other = {0};
    check(!subscribers_any());
    check(subscriber_add(note, &one) && subscriber_add(note, &other));
    errno = 0;
    check_equal(tell(PRESSURE_ELEVATED, 77), 2);
    check(errno == 0);
    check(one.n == 1 && one.level == PRESSURE_ELEVATED && one.wanted == 77 && other.n == 1);
    check(subscriber_remove(note, &one));
    check(!subscriber_remove(note, &one));
    check_equal(tell(PRESSURE_CRITICAL, 1), 1);
    check(one.n == 1 && other.n == 2);
    check(subscriber_remove(note, &other));
    check(!subscribers_any());
    check_equal(tell(PRESSURE_CRITICAL, 1), 0);
}

static void test_there_is_room_for_so_many(void **state)
{
    (void)state;
    struct note told[SUBSCRIBERS_MAX + 1] = {{0}};
    for (size_t i = 0; i < SUBSCRIBERS_MAX; i++)
        check(subscriber_add(note, &told[i]));
    check(!subscriber_add(note, &told[SUBSCRIBERS_MAX]));
    check_equal(tell(PRESSURE_NORMAL, 0), SUBSCRIBERS_MAX);
    for (size_t i = 0; i < SUBSCRIBERS_MAX; i++)
        check(told[i].n == 1 && subscriber_remove(note, &told[i]));
}

static size_t n_runs;

static void leaves_and_joins(int level, size_t wanted, void *context)
{
    (void)level;
    (void)wanted;
    n_runs++;
    check(turn_is_mine() && !turn_take());
    check(subscriber_remove(leaves_and_joins, context));
    check(!subscriber_remove(leaves_and_joins, context));
    check(subscriber_add(leaves_and_joins, context));
    check(turn_is_mine());
}

static void test_a_subscriber_may_leave_and_come_back_inside(void **state)
{
    (void)state;
    check(subscriber_add(leaves_and_joins, NULL));
    check_equal(tell(PRESSURE_ELEVATED, 0), 1);
    check_equal(tell(PRESSURE_ELEVATED, 0), 1);
    check_equal(n_runs, 2);
    check(subscriber_remove(leaves_and_joins, NULL));
    check(turn_take());
    turn_give();
}

/* ---- threads ---- */

enum { N_THREADS = 4, N_ROUNDS = 2000 };

static _Atomic uint32_t n_inside;
static _Atomic bool is_over;

static void alone(int level, size_t wanted, void *context)
{
    (void)level;
    (void)wanted;
    _Atomic bool *is_valid = context;
    check(atomic_get_relaxed(is_valid));
    check(atomic_add_relaxed(&n_inside, 1) == 0);
    (void)atomic_sub_relaxed(&n_inside, 1);
}

static void *teller(void *unused)
{
    while (!atomic_get_relaxed(&is_over)) {
        if (turn_take()) {
            (void)subscribers_tell(PRESSURE_ELEVATED, 1);
            turn_give();
        }
    }
    return unused;
}

static void *comer(void *unused)
{
    _Atomic bool is_valid = false;
    for (size_t i = 0; i < N_ROUNDS / 10; i++) {
        atomic_put_relaxed(&is_valid, true);
        check(subscriber_add(alone, (void *)&is_valid));
        check(subscriber_remove(alone, (void *)&is_valid));
        atomic_put_relaxed(&is_valid, false);
    }
    return unused;
}

static void test_who_has_left_is_not_called_any_more(void **state)
{
    (void)state;
    pthread_t tellers[2];
    pthread_t comers[N_THREADS];
    for (size_t i = 0; i < ARRAY_LEN(tellers); i++)
        tellers[i] = thread_start(teller, NULL);
    for (size_t i = 0; i < ARRAY_LEN(comers); i++)
        comers[i] = thread_start(comer, NULL);
    for (size_t i = 0; i < ARRAY_LEN(comers); i++)
        thread_join(comers[i]);
    atomic_put_relaxed(&is_over, true);
    for (size_t i = 0; i < ARRAY_LEN(tellers); i++)
        thread_join(tellers[i]);
    check(!subscribers_any());
}

/* ---- forks ---- */

static void body_not_mine(void *argument)
{
    (void)argument;
    check(!turn_take());
    turn_forked();
    check(turn_take());
}

static void body_mine(void *argument)
{
    (void)argument;
    turn_forked();
    check(turn_is_mine() && !turn_take());
}

static void *hold_turn(void *mine)
{
    check(turn_take());
    (void)pthread_barrier_wait(mine);
    (void)pthread_barrier_wait(mine);
    turn_give();
    return NULL;
}

static void test_a_child_has_the_turn_if_its_thread_had(void **state)
{
    (void)state;
    pthread_barrier_t barrier;
    check(turn_take());
    child_passes(body_mine, NULL);
    turn_give();
    check(pthread_barrier_init(&barrier, NULL, 2) == 0);
    pthread_t thread = thread_start(hold_turn, &barrier);
    (void)pthread_barrier_wait(&barrier);
    child_passes(body_not_mine, NULL);
    check(!turn_take_within(1));
    (void)pthread_barrier_wait(&barrier);
    thread_join(thread);
    check(turn_take_within(60000));
    turn_give();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_subscribed_is_told_until_he_leaves),
        cmocka_unit_test(test_there_is_room_for_so_many),
        cmocka_unit_test(test_a_subscriber_may_leave_and_come_back_inside),
        cmocka_unit_test(test_who_has_left_is_not_called_any_more),
        cmocka_unit_test(test_a_child_has_the_turn_if_its_thread_had),
    };
    return cmocka_run_group_tests_name("subscribers", tests, NULL, NULL);
}
