/* SPDX-License-Identifier: MIT */
/*
 * The background thread, by option: with it memory goes back to the kernel in a program that makes
 * no calls at all. It does what any slow path does now and then, and sleeps the longer the less there
 * is to do.
 *
 * It is started by the constructor, and in a child of fork by our handler: never from within malloc,
 * for libc frees memory with locks held that pthread_create takes. It allocates nothing itself, has
 * all signals blocked, and ends with the process.
 */
#include "conf/options.h"
#include "heap/heap.h"
#include "mem/arena.h"
#include "os/clock.h"
#include "os/log.h"
#include "os/process.h"

enum { SLEEP_MIN_MS = 50, SLEEP_MAX_MS = 4000 };

/* False: there was nothing. */
static bool tidy(void)
{
    (void)heap_enter();
    (void)heap_sweep_due();
    arena_purge_due();
    bool any = arena_is_dirty() || heap_any_idle();
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
    for (;;) {
        sleep_for(ms);
        ms = tidy() ? shortest : (uint32_t)min_size((size_t)ms * 2, SLEEP_MAX_MS);
    }
    return unused;
}

void heap_background_start(void)
{
    if (options.background && !os_thread_start(run, "poolalloc"))
        log_warn("cannot start the background thread", NULL, NULL);
}
