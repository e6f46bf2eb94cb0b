/* SPDX-License-Identifier: MIT */
#include "pressure/subscribers.h"

#include "base/atomic.h"
#include "heap/heap.h"
#include "os/clock.h"
#include "os/process.h"

#include <errno.h>

/* The thread that has the turn, by the address of a variable of its own, or NULL. */
static _Atomic(const void *) turn;

/* Changed by who has the turn; whole at any moment, for a child of fork. */
static struct {
    _Atomic(subscriber_call *) call; /* NULL: the place is free */
    void *context;                   /* [turn] */
} list[SUBSCRIBERS_MAX];

/* ---- the turn ---- */

/* The same in a child of fork. */
static const void *me(void)
{
    return &front_mine;
}

bool turn_take(void)
{
    const void *nobody = NULL;
    return atomic_try_acq_rel(&turn, &nobody, me());
}

void turn_give(void)
{
    atomic_put_release(&turn, NULL);
}

bool turn_is_mine(void)
{
    return atomic_get_relaxed(&turn) == me();
}

bool turn_take_within(uint32_t ms)
{
    bool taken = turn_take();
    for (uint32_t i = 0; i < ms && !taken; i++) {
        os_sleep_ms(1);
        taken = turn_take();
    }
    return taken;
}

/* Whoever else had it is not here. */
void turn_forked(void)
{
    if (!turn_is_mine())
        atomic_put_relaxed(&turn, NULL);
}

bool turn_take_surely(void)
{
    if (turn_is_mine())
        return false;
    while (!turn_take())
        os_sleep_ms(1);
    return true;
}

/* ---- the list ---- */

static unsigned place_of(subscriber_call *call, const void *context)
{
    unsigned i = 0;
    while (i < SUBSCRIBERS_MAX &&
           (atomic_get_relaxed(&list[i].call) != call || list[i].context != context))
        i++;
    return i;
}

static unsigned place_free(void)
{
    unsigned i = 0;
    while (i < SUBSCRIBERS_MAX && atomic_get_relaxed(&list[i].call) != NULL)
        i++;
    return i;
}

bool subscriber_add(subscriber_call *call, void *context)
{
    bool taken = turn_take_surely();
    unsigned i = place_free();
    if (i < SUBSCRIBERS_MAX) {
        list[i].context = context;
        atomic_put_release(&list[i].call, call);
    }
    if (taken)
        turn_give();
    return i < SUBSCRIBERS_MAX;
}

bool subscriber_remove(subscriber_call *call, const void *context)
{
    bool taken = turn_take_surely();
    unsigned i = place_of(call, context);
    if (i < SUBSCRIBERS_MAX)
        atomic_put_release(&list[i].call, NULL);
    if (taken)
        turn_give();
    return i < SUBSCRIBERS_MAX;
}

bool subscribers_any(void)
{
    for (unsigned i = 0; i < SUBSCRIBERS_MAX; i++) {
        if (atomic_get_relaxed(&list[i].call) != NULL)
            return true;
    }
    return false;
}

unsigned subscribers_tell(enum pressure_level level, size_t wanted_bytes)
{
    unsigned n = 0;
    int saved_errno = errno;
    int cancelling = os_cancel_disable(); /* who ends in a subscriber keeps the turn for ever */
    for (unsigned i = 0; i < SUBSCRIBERS_MAX; i++) {
        subscriber_call *call = atomic_get_acquire(&list[i].call);
        if (call != NULL) {
            call(level, wanted_bytes, list[i].context);
            n++;
        }
    }
    os_cancel_restore(cancelling);
    errno = saved_errno;
    return n;
}
