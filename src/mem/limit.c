/* SPDX-License-Identifier: MIT */
#include "mem/limit.h"

struct memory_limits memory_limits = {
    .hard_bytes = LIMIT_NONE,
    .soft_bytes = LIMIT_NONE,
    .look_bytes = LIMIT_NONE,
};

/* Twice the reserve is free: the program is over it. */
static void reserve_close(size_t bytes)
{
    size_t hard = atomic_get_relaxed(&memory_limits.hard_bytes);
    size_t twice = 2 * atomic_get_relaxed(&memory_limits.reserve_bytes);
    if (hard == LIMIT_NONE || bytes + twice <= hard)
        atomic_put_relaxed(&memory_limits.reserve_is_open, false);
}

void limit_charge(size_t bytes)
{
    atomic_put_relaxed(&memory_limits.charged_bytes, bytes);
    if (bytes > atomic_get_relaxed(&memory_limits.charged_peak_bytes))
        atomic_put_relaxed(&memory_limits.charged_peak_bytes, bytes);
    if (UNLIKELY(bytes >= atomic_get_relaxed(&memory_limits.look_bytes)))
        atomic_put_relaxed(&memory_limits.is_look_due, true);
    if (UNLIKELY(atomic_get_relaxed(&memory_limits.reserve_is_open)))
        reserve_close(bytes);
}
