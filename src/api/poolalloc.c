/* SPDX-License-Identifier: MIT */
#include "poolalloc.h"

#include "base/bits.h"
#include "obs/dump.h"
#include "obs/stats.h"
#include "os/process.h"

#include <errno.h>
#include <string.h>

#define STRING_OF(x) #x
#define STRING(x)    STRING_OF(x)
#define VERSION_STRING                                                                             \
    STRING(POOLALLOC_VERSION_MAJOR)                                                                \
    "." STRING(POOLALLOC_VERSION_MINOR) "." STRING(POOLALLOC_VERSION_PATCH)

EXPORT const char *poolalloc_version(void)
{
    return VERSION_STRING;
}

#define COPY(name, kind, unit, meaning) .name = stats.name,
_Static_assert(sizeof(struct poolalloc_stats) == N_TOTALS * sizeof(uint64_t),
               "the public struct has the rows of obs/counters.h");

EXPORT size_t poolalloc_stats_get(struct poolalloc_stats *to, size_t bytes)
{
    struct stats stats;
    bool is_read = !os_is_bypassed() && stats_read(&stats);
    memset(to, 0, bytes);
    if (!is_read)
        return 0;
    struct poolalloc_stats all = {TOTALS(COPY)};
    memcpy(to, &all, min_size(bytes, sizeof all));
    return sizeof all;
}

EXPORT int poolalloc_profile(int fd)
{
    int saved_errno = errno;
    bool done = dump_profile_to(fd);
    errno = saved_errno;
    return done ? 0 : -1;
}

EXPORT int poolalloc_dump(int fd, enum poolalloc_format format)
{
    static const enum dump_format formats[] = {
        [POOLALLOC_TEXT] = DUMP_TEXT,
        [POOLALLOC_JSON] = DUMP_JSON,
        [POOLALLOC_PROMETHEUS] = DUMP_PROM,
    };
    int saved_errno = errno;
    bool done =
        (size_t)format < ARRAY_LEN(formats) && !os_is_bypassed() && dump_to(fd, formats[format]);
    errno = saved_errno;
    return done ? 0 : -1;
}
