/* SPDX-License-Identifier: MIT */
#include "pressure/measure.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "conf/options.h"
#include "heap/heap.h"
#include "os/clock.h"
#include "os/process.h"
#include "os/sys.h"
#include "pressure/cgroup.h"

enum { RESERVE_SHARE = 8 };

/* A limit in percent costs files to be read, so it is found when it first matters: at the first
 * look, or when the arena is about to charge more than any limit allows. Who comes second waits. */
enum limit_search { LIMIT_FOUND, LIMIT_UNSOUGHT, LIMIT_SOUGHT };
static _Atomic uint32_t limit_search;

/* What the limit is and how much of it is used, as of the last reading. [turn, or who searches] but
 * for the atomic */
static struct {
    _Atomic uint64_t limit_bytes; /* 0: unknown */
    _Atomic uint32_t source;      /* enum pressure_source */
    uint64_t group_limit_bytes;   /* the control groups', or CGROUP_NO_LIMIT */
    uint64_t group_bytes;         /* used of the control group's, then; 0: unknown */
    uint64_t measured_bytes;      /* used, when so much was charged: */
    uint64_t charged_bytes;
    uint64_t read_ms; /* when; 0: never */
} known = {.group_limit_bytes = CGROUP_NO_LIMIT};

static size_t charged_bytes(void)
{
    return atomic_get_relaxed(&memory_limits.charged_bytes);
}

/* ---- the limit ---- */

uint64_t measure_limit(void)
{
    return atomic_get_relaxed(&known.limit_bytes);
}

enum pressure_source measure_source(void)
{
    return (enum pressure_source)atomic_get_relaxed(&known.source);
}

bool measure_is_charge(void)
{
    enum pressure_source source = measure_source();
    return source == PRESSURE_OF_OPTION || source == PRESSURE_OF_PROGRAM;
}

static void limit_know(enum pressure_source source, uint64_t bytes)
{
    atomic_put_relaxed(&known.source, source);
    atomic_put_relaxed(&known.limit_bytes, bytes);
}

bool measure_may_read(void)
{
    return options.pressure != PRESSURE_OFF && !os_is_privileged();
}

static bool is_below(uint64_t bytes, uint64_t machine_bytes)
{
    return bytes != CGROUP_NO_LIMIT && (machine_bytes == 0 || bytes <= machine_bytes);
}

/* The groups' limit, as it was just read. It does not rise, let alone go, because files cannot be
 * read any more: then it is as it was. */
static uint64_t group_limit(uint64_t read_bytes)
{
    known.group_limit_bytes =
        cgroup_is_read() ? read_bytes : min_size(read_bytes, known.group_limit_bytes);
    return known.group_limit_bytes;
}

/* What others set: a control group, or the machine. */
static void limit_find(void)
{
    uint64_t machine_bytes = sys_memory_bytes();
    struct cgroup_use use = cgroup_nearest();
    uint64_t bytes = group_limit(use.limit_bytes);
    known.group_bytes = use.used_bytes;
    if (is_below(bytes, machine_bytes))
        limit_know(PRESSURE_OF_CGROUP, bytes);
    else
        limit_know(machine_bytes > 0 ? PRESSURE_OF_MACHINE : PRESSURE_OF_NOTHING, machine_bytes);
}

uint64_t measure_threshold_of(uint64_t limit_bytes)
{
    return limit_bytes / 100 * options.pressure_percent;
}

static void limit_enforce(size_t bytes)
{
    size_t reserve = min_size(options.limit_reserve, bytes / RESERVE_SHARE);
    atomic_put_relaxed(&memory_limits.reserve_bytes, reserve);
    atomic_put_relaxed(&memory_limits.hard_bytes, bytes);
}

static void limit_set_option(uint64_t bytes)
{
    limit_know(PRESSURE_OF_OPTION, bytes);
    if (options.limit_action != LIMIT_WATCH)
        limit_enforce(bytes);
}

/* A limit in percent follows what it is a share of. A group that may have nothing has some for
 * us. */
static void limit_set_percent(void)
{
    uint64_t machine_bytes = sys_memory_bytes();
    uint64_t bytes = group_limit(cgroup_limit());
    if (!is_below(bytes, machine_bytes))
        bytes = machine_bytes;
    if (bytes > 0 || machine_bytes > 0)
        limit_set_option(max_size(bytes / 100 * options.limit, MIB));
}

/* The next look may be due earlier for it. */
static void limit_search_end(void)
{
    uint64_t limit_bytes = measure_limit();
    size_t look = atomic_get_relaxed(&memory_limits.look_bytes);
    if (limit_bytes > 0)
        atomic_put_relaxed(&memory_limits.look_bytes,
                           min_size(look, measure_threshold_of(limit_bytes)));
    if (atomic_get_relaxed(&memory_limits.hard_bytes) == LIMIT_LATER)
        limit_enforce(LIMIT_NONE); /* of nothing that is known */
    atomic_put_release(&limit_search, LIMIT_FOUND);
}

/* Inside, for a signal handler that takes memory would wait for us. */
static void limit_search_once(void)
{
    uint32_t unsought = LIMIT_UNSOUGHT;
    bool is_entered = heap_enter();
    if (atomic_try_acq_rel(&limit_search, &unsought, LIMIT_SOUGHT)) {
        limit_set_percent();
        limit_search_end();
    }
    while (atomic_get_acquire(&limit_search) != LIMIT_FOUND)
        os_sleep_ms(1);
    if (is_entered)
        heap_leave();
}

static void limit_put_off(void)
{
    atomic_put_relaxed(&limit_search, LIMIT_UNSOUGHT);
    memory_limits.find = limit_search_once;
    if (options.limit_action != LIMIT_WATCH)
        atomic_put_release(&memory_limits.hard_bytes, LIMIT_LATER);
}

/* Who searched is not here. */
void measure_forked(void)
{
    uint32_t sought = LIMIT_SOUGHT;
    (void)atomic_try_acq_rel(&limit_search, &sought, LIMIT_UNSOUGHT);
}

static void limit_read_percent(void)
{
    if (atomic_get_acquire(&limit_search) == LIMIT_FOUND)
        limit_set_percent();
    else
        limit_search_once();
}

static void limit_read(void)
{
    if (measure_source() == PRESSURE_OF_PROGRAM)
        return;
    if (options.limit > PERCENT_MAX)
        limit_set_option(options.limit);
    else if (options.limit > 0)
        limit_read_percent();
    else if (measure_may_read())
        limit_find();
}

/* The program's own is gone: the option's is in force at once. */
static void limit_restore(void)
{
    limit_know(PRESSURE_OF_NOTHING, 0);
    limit_read();
    bool is_hard = measure_is_charge() && options.limit_action != LIMIT_WATCH;
    if (!is_hard)
        limit_enforce(LIMIT_NONE);
}

void measure_init(void)
{
    if (options.limit > PERCENT_MAX)
        limit_set_option(options.limit); /* before anything is allocated */
    else if (options.limit > 0)
        limit_put_off();
}

void measure_set_limit(size_t bytes)
{
    limit_search_once(); /* lest it ends later */
    if (bytes > 0) {
        limit_know(PRESSURE_OF_PROGRAM, bytes);
        limit_enforce(bytes);
    } else {
        limit_restore();
    }
    known.read_ms = 0;
}

/* ---- how much of it is used ---- */

uint64_t measure_charge_for(uint64_t bytes)
{
    if (measure_is_charge())
        return bytes;
    uint64_t charged = known.charged_bytes + bytes;
    return charged > known.measured_bytes ? charged - known.measured_bytes : 0;
}

uint64_t measure_used(void)
{
    if (measure_is_charge())
        return charged_bytes();
    uint64_t used = known.measured_bytes + charged_bytes();
    return used > known.charged_bytes ? used - known.charged_bytes : 0;
}

/* What cannot be read is as much more as came on top since it was. */
static uint64_t used_read(enum pressure_source source)
{
    uint64_t bytes = 0;
    if (source == PRESSURE_OF_CGROUP)
        bytes = known.group_bytes;
    else if (source == PRESSURE_OF_MACHINE)
        bytes = process_resident();
    return bytes > 0 ? bytes : measure_used();
}

void measure_read(uint64_t now)
{
    known.read_ms = now;
    limit_read();
    known.measured_bytes = used_read(measure_source());
    known.charged_bytes = charged_bytes();
}

uint64_t measure_age_ms(uint64_t now)
{
    return known.read_ms != 0 ? now - known.read_ms : UINT64_MAX;
}
