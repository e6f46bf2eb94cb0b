/* SPDX-License-Identifier: MIT */
/*
 * The public interface to limits and pressure. In a program with a malloc of its own nothing here
 * has a meaning: no memory is ours.
 */
#include "pressure/pressure.h"

#include "base/bits.h"
#include "heap/heap.h"
#include "os/process.h"
#include "poolalloc.h"

#include <errno.h>
#include <string.h>

static struct poolalloc_pressure pressure_public(const struct pressure *from)
{
    return (struct poolalloc_pressure){
        .limit_bytes = from->limit_bytes,
        .threshold_bytes = from->threshold_bytes,
        .used_bytes = from->used_bytes,
        .charged_bytes = from->charged_bytes,
        .charged_peak_bytes = from->charged_peak_bytes,
        .since_clean_up_ms = from->since_clean_up_ms,
        .events = from->n_events,
        .clean_ups = from->n_clean_ups,
        .clean_up_bytes = from->given_back_bytes,
        .told = from->n_told,
        .refused_calls = from->n_refused,
        .ratio = from->limit_bytes > 0 ? (double)from->used_bytes / (double)from->limit_bytes : 0,
        .level = (uint32_t)from->level,
        .source = (uint32_t)from->source,
        .is_hard = from->is_hard,
    };
}

EXPORT size_t poolalloc_pressure_get(struct poolalloc_pressure *to, size_t bytes)
{
    memset(to, 0, bytes);
    if (os_is_bypassed())
        return 0;
    struct pressure pressure;
    pressure_get(&pressure);
    struct poolalloc_pressure all = pressure_public(&pressure);
    memcpy(to, &all, min_size(bytes, sizeof all));
    return sizeof all;
}

EXPORT int poolalloc_pressure_subscribe(poolalloc_subscriber *call, void *context)
{
    if (call == NULL) {
        errno = EINVAL;
        return -1;
    }
    if (os_is_bypassed())
        return 0;
    pressure_start();
    if (subscriber_add(call, context)) {
        heap_background_start(); /* which hears of it while the program does nothing */
        return 0;
    }
    errno = ENOMEM;
    return -1;
}

EXPORT int poolalloc_pressure_unsubscribe(poolalloc_subscriber *call, void *context)
{
    if (os_is_bypassed() || (call != NULL && subscriber_remove(call, context)))
        return 0;
    errno = EINVAL;
    return -1;
}

EXPORT int poolalloc_set_limit(size_t bytes)
{
    if (bytes > 0 && bytes < POOLALLOC_LIMIT_MIN) {
        errno = EINVAL;
        return -1;
    }
    if (!os_is_bypassed())
        pressure_set_limit(bytes);
    return 0;
}

EXPORT size_t poolalloc_purge(void)
{
    return os_is_bypassed() ? 0 : pressure_purge();
}
