/* SPDX-License-Identifier: MIT */
/*
 * The background thread, by option: with it memory goes back to the kernel in a program that makes
 * no calls at all. It does what any slow path does now and then, and sleeps the longer the less
 * there is to do. It allocates nothing itself, has all signals blocked, and ends with the process.
 *
 * It is started once there is something for it: a program that uses little memory stays one of a
 * single thread, which user namespaces, for one, are for alone. In a child of fork it is the same
 * anew.
 *
 * Where: at the end of a call that has just taken a slab or a large block, when nothing of ours is
 * held and this thread is in no handler of a signal. Not of a call that frees: libc frees what a
 * thread had (its thread-local variables above all) with the lock of its stacks held, which
 * pthread_create takes, and which is not recursive (__nptl_deallocate_stack). It allocates with no
 * lock that pthread_create takes, but the loader's for thread-local variables, and that is
 * recursive; the program's own locks are nothing to pthread_create. A library that is in front of
 * it, and allocates with a lock of its own that its pthread_create takes as well, would wait for
 * itself: none is known.
 *
 * Not in a child of vfork, whose threads would not be this process's. Nor once the program has put
 * itself behind a seccomp filter: that may kill it for a thread that it never asked for. A filter
 * that was there when the process began says nothing: containers have one, and threads all the
 * same.
 *
 * Tests: tests/loader/background.c, background_start.c.
 */
#include "conf/options.h"
#include "heap/heap.h"
#include "mem/arena.h"
#include "os/clock.h"
#include "os/log.h"
#include "os/process.h"
#include "os/sys.h"

enum {
    SLEEP_MIN_MS = 50,
    SLEEP_MAX_MS = 4000,
    START_BYTES = 4 * MIB, /* in use: less is not worth a thread */
};

_Atomic bool background_is_due;

/* What the process was when the option was read. */
static _Atomic uint32_t process;
static long seccomp_at_start;

/* ---- the thread ---- */

struct seen {
    uint64_t n_purges;
    uint64_t dirty_bytes;
};

/* Since it was looked at last, memory has become free or gone back. What stays free is not counted:
 * it is too young, or the kernel refuses to take it. */
static bool arena_has_moved(struct seen *seen)
{
    struct arena_stats stats;
    arena_get_stats(&stats);
    bool has_moved = stats.n_purges != seen->n_purges || stats.dirty_bytes != seen->dirty_bytes;
    *seen = (struct seen){stats.n_purges, stats.dirty_bytes};
    return has_moved;
}

/* False: there was nothing to do. */
static bool tidy(struct seen *seen)
{
    (void)heap_enter();
    bool any = heap_sweep_due();
    arena_purge_due();
    any |= arena_has_moved(seen);
    heap_leave();
    if (UNLIKELY(atomic_get_relaxed(&memory_limits.is_look_due)))
        heap_look();
    return any;
}

static void sleep_for(uint32_t ms)
{
    const struct heap_pressure_hooks *pressure = atomic_get_acquire(&heap_pressure);
    if (pressure != NULL)
        pressure->sleep_ms(ms);
    else
        os_sleep_ms(ms);
}

static void *run(void *unused)
{
    uint32_t shortest =
        (uint32_t)min_size(max_size(options.purge_ms / 2, SLEEP_MIN_MS), SLEEP_MAX_MS);
    uint32_t ms = shortest;
    struct seen seen = {0, 0};
    os_thread_name("poolalloc");
    for (;;) {
        sleep_for(ms);
        if (tidy(&seen)) /* soon, if the sweep is to go on */
            ms = heap_sweep_wait_ms() < HEAP_SWEEP_MS ? heap_sweep_wait_ms() : shortest;
        else
            ms = (uint32_t)min_size((size_t)ms * 2, SLEEP_MAX_MS);
    }
    return unused;
}

/* ---- its start ---- */

static bool may_start(void)
{
    return !handler_runs() && !lock_is_fork_thread() &&
           atomic_get_relaxed(&process) == (uint32_t)sys_getpid();
}

static void start(void)
{
    bool is_due = true;
    if (!atomic_try_acq_rel(&background_is_due, &is_due, false))
        return; /* another thread does it, or has */
    if (sys_seccomp_mode() != seccomp_at_start)
        log_warn("no background thread: the program has a seccomp filter", NULL, NULL);
    else if (!os_thread_start(run))
        log_warn("cannot start the background thread", NULL, NULL);
}

COLD void heap_background_look(void)
{
    if (span_was_taken && atomic_get_relaxed(&arena_used_bytes) >= START_BYTES && may_start())
        start();
}

void heap_background_start(void)
{
    if (atomic_get_relaxed(&background_is_due) && may_start())
        start();
}

void heap_background_init(void)
{
    if (!options.background)
        return;
    seccomp_at_start = sys_seccomp_mode();
    heap_background_forked();
}

void heap_background_forked(void)
{
    if (!options.background)
        return;
    atomic_put_relaxed(&process, (uint32_t)sys_getpid());
    atomic_put_relaxed(&background_is_due, true);
}
