/* SPDX-License-Identifier: MIT */
#include "pressure/pressure.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "conf/options.h"
#include "heap/heap.h"
#include "mem/arena.h"
#include "objects/registry.h"
#include "os/clock.h"
#include "os/log.h"
#include "os/panic.h"
#include "os/process.h"
#include "os/sys.h"
#include "os/text.h"
#include "pressure/measure.h"
#include "pressure/watch.h"

#include <errno.h>

enum {
    POLL_MS = 100,           /* the descriptor is asked no more often */
    READ_MS = 1000,          /* nor is it measured, */
    READ_AGAIN_MS = 50,      /* or before a level rises */
    HOLD_MS = 3000,          /* what was heard counts for so long */
    REFUSALS_AWAIT_MS = 100, /* another's subscribers are waited for by who would be refused */
    TRIES = 16,
    ASK_SHARE = 32,  /* of what is charged: subscribers are asked for no less */
    STEP_SHARE = 32, /* of what is charged: a look at least whenever so much came on top */
};

/* Below this nobody is near any limit but ours. */
static const size_t first_look_bytes = 8 * MIB;

static struct {
    _Atomic uint32_t process; /* that watches; 0: none does */
    _Atomic uint32_t level;   /* enum pressure_level */
    _Atomic uint64_t used_bytes;
    bool is_fresh;                     /* [turn] what is used was measured in this look */
    uint64_t polled_ms;                /* [turn] */
    _Atomic uint64_t heard_ms;         /* of the kernel; 0: never */
    _Atomic uint64_t refused_ms;       /* 0: never */
    _Atomic uint64_t cleaned_up_ms;    /* 0: never */
    _Atomic bool is_signal_sent;       /* and memory was not found to be normal since */
    _Atomic bool is_warned;            /* of the limit, in this process */
    enum pressure_level cleaned_up_at; /* [turn] the level then */

    _Atomic uint64_t n_events;
    _Atomic uint64_t n_clean_ups;
    _Atomic uint64_t n_told;
    _Atomic uint64_t n_refused;
    _Atomic uint64_t given_back_bytes;
} state;

pressure_observer_call *pressure_observer;

static size_t charged_bytes(void)
{
    return atomic_get_relaxed(&memory_limits.charged_bytes);
}

/* For times that are put away: never 0. */
static uint64_t now_ms(void)
{
    return os_clock_ms() + 1;
}

static bool is_within(_Atomic uint64_t *since_ms, uint64_t now, uint64_t ms)
{
    uint64_t since = atomic_get_relaxed(since_ms);
    return since != 0 && now - since < ms;
}

/* ---- levels ---- */

/* For who asks meanwhile. */
static void used_note(void)
{
    atomic_put_relaxed(&state.used_bytes, measure_used());
}

/* Where levels begin, and where they end on the way down. */
struct marks {
    uint64_t elevated;
    uint64_t elevated_end;
    uint64_t critical;
    uint64_t critical_end;
};

static struct marks marks_of(uint64_t limit_bytes)
{
    uint64_t elevated = measure_threshold_of(limit_bytes);
    uint64_t rest = limit_bytes - elevated;
    return (struct marks){
        .elevated = elevated,
        .elevated_end = elevated - elevated / 16,
        .critical = elevated + rest / 4 * 3,
        .critical_end = elevated + rest / 2,
    };
}

static enum pressure_level level_of_use(uint64_t used, enum pressure_level level)
{
    struct marks marks = marks_of(measure_limit());
    if (measure_limit() == 0)
        return PRESSURE_NORMAL;
    if (used >= (level == PRESSURE_CRITICAL ? marks.critical_end : marks.critical))
        return PRESSURE_CRITICAL;
    if (used >= (level >= PRESSURE_ELEVATED ? marks.elevated_end : marks.elevated))
        return PRESSURE_ELEVATED;
    return PRESSURE_NORMAL;
}

/* What was charged since the last reading of what is not ours may never be touched. */
static bool may_rise(void)
{
    return state.is_fresh || measure_is_charge();
}

static enum pressure_level level_now(uint64_t now)
{
    if (is_within(&state.refused_ms, now, HOLD_MS))
        return PRESSURE_CRITICAL;
    enum pressure_level before = atomic_get_relaxed(&state.level);
    enum pressure_level level = level_of_use(measure_used(), before);
    if (level > before && !may_rise())
        level = before;
    if (level == PRESSURE_NORMAL && is_within(&state.heard_ms, now, HOLD_MS))
        return PRESSURE_ELEVATED;
    return level;
}

/* ---- giving back ---- */

/* All that can be had without asking other threads. */
static uint64_t tidy(void)
{
    uint64_t trimmed = registry_trim();
    if (!heap_enter())
        return trimmed;
    uint64_t before = arena_purged_bytes();
    heap_flush_all(true);
    (void)arena_purge_all();
    uint64_t purged = arena_purged_bytes() - before;
    heap_leave();
    return trimmed + purged;
}

size_t pressure_purge(void)
{
    int saved_errno = errno;
    heap_shrink_all();
    size_t bytes = tidy();
    errno = saved_errno;
    return bytes;
}

static void clean_up(uint64_t now, enum pressure_level level)
{
    heap_shrink_all();
    (void)atomic_add_relaxed(&state.given_back_bytes, tidy());
    (void)atomic_add_relaxed(&state.n_clean_ups, 1);
    atomic_put_relaxed(&state.cleaned_up_ms, now);
    state.cleaned_up_at = level;
}

static void tell(enum pressure_level level, size_t wanted_bytes)
{
    used_note();
    (void)atomic_add_relaxed(&state.n_told, subscribers_tell(level, wanted_bytes));
}

/* What would have to go for memory not to be short; where it is others who say that it is, some
 * part. */
static size_t wanted_bytes(enum pressure_level level)
{
    uint64_t end = marks_of(measure_limit()).elevated_end;
    uint64_t used = measure_used();
    uint64_t over = end > 0 && used > end ? used - end : 0;
    return level > PRESSURE_NORMAL ? max_size(over, charged_bytes() / ASK_SHARE) : 0;
}

/* One that comes too soon after the one before is made only if things are worse than they were
 * then. */
static bool is_clean_up_due(uint64_t now, enum pressure_level level)
{
    return level > PRESSURE_NORMAL &&
           (!is_within(&state.cleaned_up_ms, now, options.pressure_every_ms) ||
            level > state.cleaned_up_at);
}

/* ---- a look ---- */

/* Up to which charge the arena may hold free memory back. While memory is short it is little: that
 * shall not keep the level up for long, nor every large block cost its pages. */
static void soft_limit_set(uint64_t now, struct marks marks)
{
    size_t soft = LIMIT_NONE;
    size_t full = 0;
    if (is_within(&state.heard_ms, now, HOLD_MS)) {
        soft = 0;
    } else if (marks.elevated > 0 && atomic_get_relaxed(&state.level) == PRESSURE_NORMAL) {
        soft = measure_charge_for(marks.elevated);
    } else if (marks.elevated > 0) {
        soft = measure_charge_for(marks.elevated_end - marks.elevated_end / 8);
        full = measure_charge_for(measure_limit());
    }
    atomic_put_relaxed(&memory_limits.soft_bytes, soft);
    atomic_put_relaxed(&memory_limits.full_bytes, full);
}

/* When the arena is to call again: where a level may begin, or some way up. */
static void next_look_set(struct marks marks)
{
    size_t charged = charged_bytes();
    size_t at = charged + max_size(charged / STEP_SHARE, MIB);
    size_t elevated = measure_charge_for(marks.elevated);
    size_t critical = measure_charge_for(marks.critical);
    if (charged < elevated)
        at = min_size(at, elevated);
    else if (charged < critical)
        at = min_size(at, critical);
    atomic_put_relaxed(&memory_limits.look_bytes, at);
}

static void listen(uint64_t now)
{
    if (!measure_may_read())
        return;
    if (state.polled_ms != 0 && now - state.polled_ms < POLL_MS)
        return;
    state.polled_ms = now;
    watch_open();
    if (watch_poll()) {
        (void)atomic_add_relaxed(&state.n_events, 1);
        atomic_put_relaxed(&state.heard_ms, now);
    }
}

static void level_change(enum pressure_level level)
{
    atomic_put_relaxed(&state.level, level);
    heap_caches_set_short(level > PRESSURE_NORMAL);
    if (level == PRESSURE_NORMAL)
        atomic_put_relaxed(&state.is_signal_sent, false);
}

static void react(uint64_t now)
{
    enum pressure_level before = atomic_get_relaxed(&state.level);
    enum pressure_level level = level_now(now);
    bool is_due = is_clean_up_due(now, level);
    if (level != before)
        level_change(level);
    if (is_due)
        clean_up(now, level);
    if (level != before || is_due)
        tell(level, wanted_bytes(level));
    used_note();
    if (level != before && pressure_observer != NULL)
        pressure_observer();
}

static bool watches_here(void)
{
    uint32_t process = atomic_get_relaxed(&state.process);
    return process != 0 && process == (uint32_t)sys_getpid();
}

static bool is_reading_due(uint64_t now)
{
    enum pressure_level level = atomic_get_relaxed(&state.level);
    uint64_t age_ms = measure_age_ms(now);
    if (age_ms >= READ_MS)
        return true;
    return !measure_is_charge() && age_ms >= READ_AGAIN_MS &&
           level_of_use(measure_used(), level) > level;
}

/* With the turn. */
static void look_in_turn(void)
{
    uint64_t now = now_ms();
    atomic_put_relaxed(&memory_limits.is_look_due, false);
    atomic_put_relaxed(&memory_limits.looked_ms, (uint32_t)(now - 1)); /* by the arena's clock */
    atomic_put_relaxed(&memory_limits.look_every_ms, POLL_MS);
    state.is_fresh = is_reading_due(now);
    if (state.is_fresh)
        measure_read(now);
    listen(now);
    react(now);
    struct marks marks = marks_of(measure_limit());
    soft_limit_set(now, marks);
    next_look_set(marks);
}

/* A child of vfork works with its parent's memory, but has another number: it does not look. */
static void look(void)
{
    int saved_errno = errno;
    if (turn_take()) {
        if (watches_here())
            look_in_turn();
        else
            atomic_put_relaxed(&memory_limits.is_look_due, false);
        turn_give();
    }
    errno = saved_errno;
}

/* ---- refusals ---- */

static void signal_once(void)
{
    if (atomic_swap_acquire(&state.is_signal_sent, true))
        return;
    (void)sys_signal_process((int)options.limit_signal);
}

/* More than that there never is. */
static bool can_ever_fit(size_t bytes)
{
    uint64_t known_bytes = measure_limit();
    return bytes <= limit_of_large() && (known_bytes == 0 || bytes <= known_bytes);
}

/* A slab may have as much of records. */
static bool is_by_limit(size_t bytes)
{
    size_t slab_bytes = options.check ? 2 * UNIT_BYTES : UNIT_BYTES;
    if (bytes <= SMALL_MAX_BYTES)
        return arena_refuses(SPAN_SLAB, slab_bytes);
    return arena_refuses(SPAN_LARGE, max_size(heap_room_of(bytes), bytes));
}

/* A program that does not expect NULL shows no more than that it failed. */
static void warn_once(void)
{
    char size[32];
    struct text text;
    if (atomic_swap_acquire(&state.is_warned, true))
        return;
    text_init(&text, size, sizeof size - 1);
    text_add_size(&text, measure_limit());
    *text.at = '\0';
    log_warn("the limit of ", size, " is reached: calls get NULL");
}

/* Nothing helps. What never could is no sign that memory is short; of a subscriber's own call the
 * program hears nothing, for he is making room. */
static void refuse(size_t bytes)
{
    (void)atomic_add_relaxed(&state.n_refused, 1);
    if (!can_ever_fit(bytes) || turn_is_mine())
        return;
    atomic_put_relaxed(&state.refused_ms, now_ms());
    atomic_put_relaxed(&memory_limits.is_look_due, true);
    if (!is_by_limit(bytes))
        return;
    atomic_put_relaxed(&memory_limits.reserve_is_open, true);
    if (options.limit_action == LIMIT_ABORT)
        panic("out of memory: the limit is reached", NULL, 0);
    warn_once();
    if (options.limit_action == LIMIT_SIGNAL)
        signal_once();
}

/* What subscribers are asked for the nth time: the call's need and no mere trifle, then twice as
 * much each time, until it is all there is. What is freed here and there makes up no whole
 * slabs. */
static size_t wanted_for(size_t bytes, unsigned n)
{
    size_t charged = charged_bytes();
    size_t first = max_size(max_size(bytes, UNIT_BYTES), charged / ASK_SHARE);
    size_t most = max_size(first, charged);
    return first > most >> (n - 1) ? most : first << (n - 1);
}

/* With the turn. False: nothing came of it, and nothing more can be asked for. */
static bool tell_and_collect(size_t bytes, unsigned n)
{
    uint64_t n_given = atomic_get_relaxed(&memory_limits.n_given);
    size_t wanted = wanted_for(bytes, n);
    tell(PRESSURE_CRITICAL, wanted);
    (void)tidy();
    return wanted < charged_bytes() || n_given != atomic_get_relaxed(&memory_limits.n_given);
}

/* For a subscriber's own call. False: that does not help. */
static bool reserve_open_for(size_t bytes)
{
    if (is_by_limit(bytes))
        atomic_put_relaxed(&memory_limits.reserve_is_open, true);
    return !is_by_limit(bytes);
}

/* Subscribers are told, and what they free is collected. Who had to wait for another thread that
 * did so looks first whether that was enough. False: nothing came of it. */
static bool ask_subscribers(size_t bytes, unsigned n)
{
    if (turn_is_mine())
        return reserve_open_for(bytes);
    bool is_at_once = turn_take();
    if (!is_at_once && !turn_take_within(REFUSALS_AWAIT_MS))
        return true;
    bool is_enough = !is_at_once && !is_by_limit(bytes);
    bool goes = is_enough || tell_and_collect(bytes, n);
    turn_give();
    return goes;
}

/* First what threads have set aside is collected; then the subscribers are asked, for more and
 * more, and on as long as memory comes of it: other threads may take what they give. */
static bool refused(size_t bytes, unsigned n)
{
    int saved_errno = errno;
    bool again = can_ever_fit(bytes) && n < TRIES;
    if (bytes > PTRDIFF_MAX)
        return false;
    if (again && n == 0)
        (void)tidy();
    else if (again)
        again = subscribers_any() && ask_subscribers(bytes, n);
    if (!again)
        refuse(bytes);
    errno = saved_errno;
    return again;
}

/* ---- start ---- */

static void forked(void)
{
    turn_forked();
    measure_forked();
    watch_forget();
    atomic_put_relaxed(&state.is_warned, false);
    if (atomic_get_relaxed(&state.process) != 0)
        atomic_put_relaxed(&state.process, (uint32_t)sys_getpid());
}

static void wait(uint32_t ms)
{
    if (watch_wait(ms))
        atomic_put_relaxed(&memory_limits.is_look_due, true);
}

static const struct heap_pressure_hooks hooks = {
    .look = look,
    .refused = refused,
    .forked = forked,
    .sleep_ms = wait,
};

/* The first look is when there is something to look at. */
static void start(void)
{
    uint32_t none = 0;
    if (!atomic_try_acq_rel(&state.process, &none, (uint32_t)sys_getpid()))
        return;
    atomic_put_release(&heap_pressure, &hooks);
    uint64_t limit_bytes = measure_limit();
    size_t first = first_look_bytes;
    if (limit_bytes > 0)
        first = min_size(first, measure_threshold_of(limit_bytes));
    atomic_put_relaxed(&memory_limits.look_bytes, first);
}

void pressure_start(void)
{
    if (options.pressure != PRESSURE_OFF)
        start();
}

void pressure_init(const char *watch, const char *words)
{
    bool is_asked = options.pressure != PRESSURE_OFF && watch_init(watch, words);
    measure_init();
    if (options.limit > 0 || options.pressure == PRESSURE_ON || is_asked)
        start();
}

/* ---- for the program ---- */

void pressure_set_limit(size_t bytes)
{
    start();
    bool taken = turn_take_surely();
    measure_set_limit(bytes);
    if (taken)
        turn_give();
    atomic_put_relaxed(&memory_limits.is_look_due, true);
}

void pressure_read(struct pressure *pressure)
{
    uint64_t limit_bytes = measure_limit();
    uint64_t cleaned_up_ms = atomic_get_relaxed(&state.cleaned_up_ms);
    *pressure = (struct pressure){
        .limit_bytes = limit_bytes,
        .threshold_bytes = marks_of(limit_bytes).elevated,
        .used_bytes = atomic_get_relaxed(&state.used_bytes),
        .charged_bytes = charged_bytes(),
        .charged_peak_bytes = atomic_get_relaxed(&memory_limits.charged_peak_bytes),
        .since_clean_up_ms = cleaned_up_ms != 0 ? now_ms() - cleaned_up_ms : UINT64_MAX,
        .n_events = atomic_get_relaxed(&state.n_events),
        .n_clean_ups = atomic_get_relaxed(&state.n_clean_ups),
        .n_told = atomic_get_relaxed(&state.n_told),
        .n_refused = atomic_get_relaxed(&state.n_refused),
        .given_back_bytes = atomic_get_relaxed(&state.given_back_bytes),
        .level = atomic_get_relaxed(&state.level),
        .source = measure_source(),
        .is_hard = atomic_get_relaxed(&memory_limits.hard_bytes) != LIMIT_NONE,
    };
}

void pressure_get(struct pressure *pressure)
{
    pressure_start();
    look();
    pressure_read(pressure);
}
