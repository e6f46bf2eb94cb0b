/* SPDX-License-Identifier: MIT */
/*
 * The lock's word and its futex (os/lock.h): one at a time is inside, whoever waits is woken, and
 * the lock is free at the end.
 */
#include "base/compiler.h"
#include "explore.h"
#include "os/lock.h"

static struct lock lock = LOCK_INIT(LOCK_HEAP);
static unsigned n_inside;
static unsigned n_times;

static void be_inside(void)
{
    holds(n_inside++ == 0);
    holds(lock_is_held(&lock));
    explore_pause();
    holds(--n_inside == 0);
    n_times++;
}

static void take_once(void)
{
    lock_take(&lock);
    be_inside();
    lock_release(&lock);
}

/* For three threads at least: one that releases must not forget the second that sleeps. */
static void take(size_t number)
{
    (void)number;
    take_once();
}

static void take_twice(size_t number)
{
    (void)number;
    take_once();
    take_once();
}

static void take_or_try(size_t number)
{
    if (number == 0 && !lock_try(&lock))
        return;
    if (number == 1 && !lock_take_soon(&lock))
        return;
    if (number == 2)
        lock_take(&lock);
    be_inside();
    if (number != 0) {
        lock_release(&lock);
        return;
    }
    lock_reset(&lock); /* as a child of fork does, with a thread that waits */
    if (DEBUG_CHECKS)
        lock_debug_release(&lock);
}

static void check_free(void)
{
    holds(!lock_is_held(&lock) && n_inside == 0 && n_times > 0);
}

static const struct model models[] = {
    {"take", 3, 0, 4, 0, NULL, NULL, take, check_free},
    {"take-twice", 2, 0, 8, 0, NULL, NULL, take_twice, check_free},
    {"take-or-try", 3, 0, 4, 0, NULL, NULL, take_or_try, check_free},
};

int main(int argc, char **argv)
{
    return explore_main(argc, argv, models, ARRAY_LEN(models));
}
