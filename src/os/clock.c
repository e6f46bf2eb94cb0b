/* SPDX-License-Identifier: MIT */
#include "os/clock.h"

#include "base/atomic.h"
#include "os/process.h"
#include "os/sys.h"

#include <time.h>

/* The kernel's own function, not libc's: a sanitizer has one in its place that does not work before
 * its constructors. */
static READ_BY_ALL const char clock_name[] =
#if defined(__aarch64__)
    "__kernel_clock_gettime";
#else
    "__vdso_clock_gettime";
#endif

typedef int clock_call(clockid_t clock, struct timespec *now);
static _Atomic(clock_call *) clock_found;

static int clock_by_system_call(clockid_t clock, struct timespec *now)
{
    return (int)sys_clock(clock, now);
}

COLD static clock_call *clock_find(void)
{
    clock_call *found = (clock_call *)(uintptr_t)os_kernel_function(clock_name);
    if (found == NULL)
        found = clock_by_system_call;
    atomic_put_relaxed(&clock_found, found);
    return found;
}

static struct timespec clock_now(clockid_t clock)
{
    struct timespec now = {0, 0};
    clock_call *call = atomic_get_relaxed(&clock_found);
    if (UNLIKELY(call == NULL))
        call = clock_find();
    (void)call(clock, &now);
    return now;
}

static uint64_t clock_now_ms(clockid_t clock)
{
    struct timespec now = clock_now(clock);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t os_clock_ms(void)
{
    return clock_now_ms(CLOCK_MONOTONIC_COARSE);
}

uint64_t os_clock_of_day_ms(void)
{
    return clock_now_ms(CLOCK_REALTIME);
}

uint64_t os_clock_ns(void)
{
    struct timespec now = clock_now(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void os_sleep_ms(uint32_t ms)
{
    (void)sys_sleep_ms(ms);
}
