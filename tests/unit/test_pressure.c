/* SPDX-License-Identifier: MIT */
/*
 * Limits: what they refuse, what is done before, and that all works again afterwards; levels as
 * memory is used and time goes by.
 */
#include "conf/options.h"
#include "fake_sys.h"
#include "mem/arena.h"
#include "model.h"
#include "pressure/pressure.h"
#include "pressure/subscribers.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LARGE = MIB, N_MAX = 1200 };

static struct pressure now_is(void)
{
    struct pressure pressure;
    pressure_get(&pressure);
    return pressure;
}

/* More than a look, a reading, and what was heard count for. */
static void time_goes_by(void)
{
    fake_clock_add(10000);
}

static void begin(size_t limit_bytes)
{
    fake_root("/nonexistent");
    fake_clock_set(1000000);
    options.limit = limit_bytes;
    pressure_init(NULL, NULL);
    attach();
}

static size_t fill(void **blocks, size_t bytes)
{
    size_t n = 0;
    for (; n < N_MAX; n++) {
        errno = 0;
        blocks[n] = heap_alloc(bytes);
        if (blocks[n] == NULL)
            break;
        memset(blocks[n], 1, bytes);
    }
    check(n < N_MAX && errno == ENOMEM);
    return n;
}

static void drop(void **blocks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        heap_free(blocks[i]);
}

/* ---- the hard limit ---- */

static void body_hard(void *argument)
{
    size_t bytes = *(const size_t *)argument;
    void *blocks[N_MAX];
    begin(64 * MIB);
    size_t most = 64 * MIB - MIB; /* the reserve is not for them */
    for (int round = 0; round < 3; round++) {
        size_t n = fill(blocks, bytes);
        check(n * bytes <= most && (n + 1) * bytes > most - MIB);
        struct pressure pressure = now_is();
        check(pressure.is_hard && pressure.limit_bytes == 64 * MIB);
        check(pressure.charged_peak_bytes <= 64 * MIB);
        check(pressure.n_refused > 0);
        check(pressure.level == PRESSURE_CRITICAL);
        void *small[1000];
        for (size_t i = 0; i < ARRAY_LEN(small); i++)
            check((small[i] = heap_alloc(100)) != NULL);
        drop(small, ARRAY_LEN(small));
        drop(blocks, n);
        time_goes_by();
        check(now_is().level == PRESSURE_NORMAL);
    }
    heap_check(my_heap());
    arena_check();
}

static void test_what_does_not_fit_is_refused(void **state)
{
    (void)state;
    static const size_t sizes[] = {64 * KIB, 192 * KIB, MIB, 5 * MIB, 20 * MIB};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        child_passes(body_hard, (void *)&sizes[i]);
}

static void body_warning(void *argument)
{
    (void)argument;
    static const char words[] = "poolalloc: the limit of 64.0 MiB is reached: calls get NULL\n";
    void *blocks[N_MAX];
    begin(64 * MIB);
    fake_capture_begin(SIZE_MAX);
    check(heap_alloc(100 * MIB) == NULL); /* it could never be had */
    check(*fake_capture_end() == '\0');
    for (int round = 0; round < 2; round++) {
        fake_capture_begin(SIZE_MAX);
        size_t n = fill(blocks, 5 * MIB);
        check(strcmp(fake_capture_end(), round == 0 ? words : "") == 0);
        drop(blocks, n);
    }
}

static void test_a_refusal_is_told_once(void **state)
{
    (void)state;
    child_passes(body_warning, NULL);
}

/* What is free does not stand in the way of what is asked for. */
static void body_reuse(void *argument)
{
    (void)argument;
    void *blocks[N_MAX];
    begin(64 * MIB);
    for (size_t bytes = 50 * MIB; bytes > 100 * KIB; bytes /= 2) {
        void *p = heap_alloc(50 * MIB);
        check(p != NULL);
        memset(p, 1, 50 * MIB);
        heap_free(p);
        size_t n = fill(blocks, bytes);
        check(n * bytes >= 48 * MIB || bytes > 24 * MIB);
        drop(blocks, n);
    }
    check(now_is().charged_peak_bytes <= 64 * MIB);
}

static void test_free_memory_makes_room(void **state)
{
    (void)state;
    child_passes(body_reuse, NULL);
}

static void body_small(void *argument)
{
    (void)argument;
    static void *blocks[1000000];
    begin(16 * MIB);
    size_t n = 0;
    while (n < ARRAY_LEN(blocks) && (blocks[n] = heap_alloc(100)) != NULL)
        n++;
    check(n < ARRAY_LEN(blocks) && n * 112 > 14 * MIB);
    /* Now there is the reserve, until that is used up too. */
    size_t n_more = 0;
    while (n + n_more < ARRAY_LEN(blocks) && (blocks[n + n_more] = heap_alloc(100)) != NULL)
        n_more++;
    check(n_more * 112 >= MIB - 4 * UNIT_BYTES && n_more * 112 <= MIB);
    check(now_is().charged_peak_bytes <= 16 * MIB);
    check(heap_alloc(100) == NULL);
    for (size_t i = 0; i < n + n_more; i++)
        heap_free(blocks[i]);
    check((blocks[0] = heap_alloc(8 * MIB)) != NULL);
    check(!atomic_get_relaxed(&memory_limits.reserve_is_open));
    heap_free(blocks[0]);
}

static void test_small_blocks_have_a_reserve(void **state)
{
    (void)state;
    child_passes(body_small, NULL);
}

static void body_realloc(void *argument)
{
    (void)argument;
    begin(64 * MIB);
    size_t bytes = 40 * MIB;
    char *p = heap_alloc(bytes);
    check(p != NULL);
    pattern_fill(p, bytes, 5);
    errno = 0;
    check(heap_realloc(p, 100 * MIB) == NULL && errno == ENOMEM);
    check(pattern_holds(p, bytes, 5));
    char *q = heap_realloc(p, 60 * MIB); /* where it is, or moved without a copy */
    check(q != NULL && pattern_holds(q, bytes, 5));
    check(now_is().charged_peak_bytes <= 64 * MIB);
    q = heap_realloc(q, 2 * MIB);
    check(q != NULL && pattern_holds(q, 2 * MIB, 5) == pattern_holds(q, 2 * MIB, 5));
    p = heap_alloc(50 * MIB);
    check(p != NULL);
    heap_free(p);
    heap_free(q);
    check(heap_alloc_zeroed(100 * MIB) == NULL && heap_alloc_aligned(MIB, 100 * MIB) == NULL);
}

static void test_what_grows_is_charged(void **state)
{
    (void)state;
    child_passes(body_realloc, NULL);
}

static void body_failing_map(void *argument)
{
    (void)argument;
    begin(256 * MIB);
    options.direct_bytes = MIB;
    size_t before = now_is().charged_bytes;
    char *p = heap_alloc(40 * MIB);
    check(p != NULL);
    fake_fail_from(FAKE_RESIZE, 1, ENOMEM);
    fake_fail_from(FAKE_MAP, 1, ENOMEM);
    check(heap_realloc(p, 80 * MIB) == NULL);
    fake_fail_none();
    heap_free(p);
    (void)arena_purge_all();
    check(now_is().charged_bytes <= before + MIB);
}

static void test_what_could_not_grow_is_not_charged(void **state)
{
    (void)state;
    child_passes(body_failing_map, NULL);
}

static void body_lowered(void *argument)
{
    (void)argument;
    begin(0);
    void *blocks[N_MAX];
    for (size_t i = 0; i < 60; i++)
        blocks[i] = heap_alloc(LARGE);
    pressure_set_limit(30 * MIB);
    check(heap_alloc(LARGE) == NULL);
    check(now_is().source == PRESSURE_OF_PROGRAM);
    drop(blocks, 40);
    check((blocks[0] = heap_alloc(LARGE)) != NULL);
    pressure_set_limit(0);
    check((blocks[1] = heap_alloc(100 * MIB)) != NULL);
    check(!now_is().is_hard);
}

static void test_a_program_may_set_its_limit(void **state)
{
    (void)state;
    child_passes(body_lowered, NULL);
}

static void body_locked_memory(void *argument)
{
    (void)argument;
    begin(64 * MIB);
    char *p = heap_alloc(30 * MIB);
    heap_free(p);
    fake_fail_from(FAKE_DISCARD, 1, EINVAL);
    void *blocks[N_MAX];
    size_t n = fill(blocks, LARGE);
    check(n > 50);
    check(now_is().charged_peak_bytes <= 64 * MIB);
    drop(blocks, n);
    fake_fail_none();
}

static void test_memory_that_cannot_be_given_back_is_used_again(void **state)
{
    (void)state;
    child_passes(body_locked_memory, NULL);
}

/* ---- actions ---- */

static void body_abort(void *argument)
{
    (void)argument;
    options.limit_action = LIMIT_ABORT;
    begin(16 * MIB);
    (void)heap_alloc(10 * MIB);
    (void)heap_alloc(10 * MIB);
}

static void test_a_program_may_be_ended_at_the_limit(void **state)
{
    (void)state;
    child_aborts(body_abort, NULL,
                 "poolalloc: fatal: out of memory: the limit is reached: 0x0, class none\n");
}

static void body_signal(void *argument)
{
    (void)argument;
    options.limit_action = LIMIT_SIGNAL;
    begin(16 * MIB);
    void *p = heap_alloc(10 * MIB);
    check_equal(fake_signals(), 0);
    check(heap_alloc(10 * MIB) == NULL);
    check(heap_alloc(10 * MIB) == NULL);
    check_equal(fake_signals(), 1);
    heap_free(p);
    time_goes_by();
    check(now_is().level == PRESSURE_NORMAL);
    p = heap_alloc(10 * MIB);
    check(heap_alloc(10 * MIB) == NULL);
    check_equal(fake_signals(), 2);
}

static void test_a_program_may_be_sent_a_signal_once(void **state)
{
    (void)state;
    child_passes(body_signal, NULL);
}

static void body_watch_only(void *argument)
{
    (void)argument;
    options.limit_action = LIMIT_WATCH;
    begin(16 * MIB);
    void *p = heap_alloc(30 * MIB);
    check(p != NULL);
    struct pressure pressure = now_is();
    check(pressure.level == PRESSURE_CRITICAL && !pressure.is_hard);
    check(pressure.used_bytes > 30 * MIB && pressure.limit_bytes == 16 * MIB);
}

static void test_a_limit_may_be_for_looking_only(void **state)
{
    (void)state;
    child_passes(body_watch_only, NULL);
}

/* ---- subscribers ---- */

static void *kept[N_MAX];
static size_t n_kept;
static size_t n_told;
static size_t n_recovered;
static bool is_told;

static void give_up(int level, size_t wanted, void *context)
{
    check(!is_told);
    is_told = true;
    (void)context;
    n_told++;
    n_recovered += level == PRESSURE_NORMAL;
    for (size_t freed = 0; level != PRESSURE_NORMAL && n_kept > 0 && freed < wanted; freed += LARGE)
        heap_free(kept[--n_kept]);
    void *p = heap_alloc(5000); /* it may allocate */
    check(p != NULL);
    heap_free(p);
    errno = EDOM;
    is_told = false;
}

static void body_subscriber(void *argument)
{
    (void)argument;
    begin(64 * MIB);
    check(subscriber_add(give_up, NULL));
    for (int i = 0; i < 1000; i++) {
        errno = 0;
        void *p = heap_alloc(LARGE);
        check(p != NULL && errno == 0);
        check(n_kept < N_MAX);
        kept[n_kept++] = p;
        fake_clock_add(1);
    }
    struct pressure pressure = now_is();
    check_equal(pressure.n_refused, 0);
    check(n_told > 0 && pressure.n_told == n_told);
    check(pressure.charged_peak_bytes <= 64 * MIB);
    drop(kept, n_kept);
    n_kept = 0;
    time_goes_by();
    check(now_is().level == PRESSURE_NORMAL);
    check(n_recovered > 0);
    check(subscriber_remove(give_up, NULL));
}

static void test_subscribers_make_room(void **state)
{
    (void)state;
    child_passes(body_subscriber, NULL);
}

static size_t n_inner;

static void wants_too_much(int level, size_t wanted, void *context)
{
    (void)level;
    (void)wanted;
    (void)context;
    n_inner++;
    check(heap_alloc(60 * MIB) == NULL); /* is not told of its own need */
    pressure_set_limit(64 * MIB);
    (void)pressure_purge();
    (void)now_is();
}

static void body_re_entry(void *argument)
{
    (void)argument;
    begin(64 * MIB);
    void *p = heap_alloc(40 * MIB);
    check(p != NULL);
    check(subscriber_add(wants_too_much, NULL));
    check(heap_alloc(50 * MIB) == NULL);
    (void)now_is(); /* it is told of the level as well */
    check(n_inner >= 1 && n_inner <= 4);
    heap_free(p);
}

static void test_a_subscriber_in_need_is_not_called_again(void **state)
{
    (void)state;
    child_passes(body_re_entry, NULL);
}

static void *inner[64];

/* It needs memory to give memory back, and at last more than there is. */
static void needs_some(int level, size_t wanted, void *context)
{
    (void)wanted;
    (void)context;
    if (level != PRESSURE_CRITICAL || n_kept == 0)
        return;
    for (size_t i = 0; i < 8; i++)
        check((inner[i] = heap_alloc(3000 + 1000 * i)) != NULL);
    check(heap_alloc(4 * LARGE) == NULL);
    heap_free(kept[--n_kept]);
    drop(inner, 8);
}

static void body_inner_need(void *argument)
{
    static const char words[] = "poolalloc: the limit of 64.0 MiB is reached: calls get NULL\n";
    options.limit_action = *(const uint64_t *)argument;
    begin(64 * MIB);
    while ((kept[n_kept] = heap_alloc(LARGE)) != NULL && now_is().charged_bytes < 61 * MIB)
        n_kept++;
    void *p = heap_alloc(63 * MIB - (size_t)now_is().charged_bytes - 16 * KIB);
    check(p != NULL && subscriber_add(needs_some, NULL));
    fake_capture_begin(SIZE_MAX);
    void *small[64];
    for (size_t i = 0; i < ARRAY_LEN(small); i++)
        check((small[i] = heap_alloc(30000)) != NULL);
    check(*fake_capture_end() == '\0' && fake_signals() == 0);
    check(now_is().level != PRESSURE_NORMAL && now_is().n_told > 0);
    n_kept = 0;
    fake_capture_begin(SIZE_MAX);
    if (options.limit_action == LIMIT_REFUSE)
        check(heap_alloc(20 * MIB) == NULL && strcmp(fake_capture_end(), words) == 0);
}

static void test_a_subscriber_may_use_the_reserve(void **state)
{
    (void)state;
    static const uint64_t actions[] = {LIMIT_REFUSE, LIMIT_ABORT, LIMIT_SIGNAL};
    for (size_t i = 0; i < ARRAY_LEN(actions); i++)
        child_passes(body_inner_need, (void *)&actions[i]);
}

/* ---- levels ---- */

static void body_levels(void *argument)
{
    (void)argument;
    void *blocks[N_MAX];
    size_t n = 0;
    enum pressure_level last = PRESSURE_NORMAL;
    begin(100 * MIB);
    for (; n < 97; n++) {
        check((blocks[n] = heap_alloc(LARGE)) != NULL);
        enum pressure_level level = now_is().level;
        check(level >= last);
        check(level == PRESSURE_NORMAL || n >= 78);
        check(level != PRESSURE_NORMAL || n <= 80);
        check(level != PRESSURE_CRITICAL || n >= 93);
        last = level;
    }
    check(last == PRESSURE_CRITICAL);
    check_equal(now_is().n_clean_ups, 2); /* on the way to each */
    while (n > 0) {
        heap_free(blocks[--n]);
        enum pressure_level level = now_is().level;
        check(level <= last);
        check(level != PRESSURE_CRITICAL || n >= 88);
        check(level == PRESSURE_CRITICAL || n <= 90);
        check(level != PRESSURE_ELEVATED || n >= 72);
        last = level;
    }
    check(last == PRESSURE_NORMAL);
    check_equal(now_is().n_clean_ups, 2);
}

static void test_levels_rise_and_fall_with_some_play(void **state)
{
    (void)state;
    child_passes(body_levels, NULL);
}

static void body_intervals(void *argument)
{
    (void)argument;
    begin(100 * MIB);
    check(now_is().since_clean_up_ms == UINT64_MAX);
    void *p = heap_alloc(85 * MIB);
    check_equal(now_is().n_clean_ups, 1);
    for (int i = 0; i < 49; i++) {
        fake_clock_add(100);
        check_equal(now_is().n_clean_ups, 1);
    }
    check_equal(now_is().since_clean_up_ms, 4900);
    fake_clock_add(100);
    struct pressure pressure = now_is();
    check_equal(pressure.n_clean_ups, 2);
    check_equal(pressure.since_clean_up_ms, 0);
    heap_free(p);
}

static void test_clean_ups_are_so_far_apart(void **state)
{
    (void)state;
    child_passes(body_intervals, NULL);
}

/* Memory is short now and then, and is not in between. */
static void body_flapping(void *argument)
{
    (void)argument;
    begin(100 * MIB);
    for (int i = 0; i < 40; i++) {
        void *p = heap_alloc(85 * MIB);
        check(now_is().level == PRESSURE_ELEVATED);
        heap_free(p);
        check(now_is().level == PRESSURE_NORMAL);
        fake_clock_add(100);
    }
    check_equal(now_is().n_clean_ups, 1);
    void *p = heap_alloc(97 * MIB);
    check_equal(now_is().n_clean_ups, 2); /* that was never so bad */
    heap_free(p);
    fake_clock_add(4900);
    p = heap_alloc(97 * MIB);
    check_equal(now_is().n_clean_ups, 2);
    fake_clock_add(100);
    check_equal(now_is().n_clean_ups, 3);
    heap_free(p);
}

static void test_who_is_short_now_and_then_cleans_up_no_more_often(void **state)
{
    (void)state;
    child_passes(body_flapping, NULL);
}

static void body_ticks(void *argument)
{
    (void)argument;
    begin(100 * MIB);
    (void)now_is();
    for (int ms = 0; ms < 100; ms++) {
        arena_purge_due();
        check(!atomic_get_relaxed(&memory_limits.is_look_due));
        fake_clock_add(1);
    }
    arena_purge_due();
    check(atomic_get_relaxed(&memory_limits.is_look_due));
}

static void test_looks_are_so_far_apart(void **state)
{
    (void)state;
    child_passes(body_ticks, NULL);
}

/* Free memory stays with us below the threshold, and goes above it. */
static void body_soft(void *argument)
{
    (void)argument;
    begin(100 * MIB);
    options.dirty_percent = 1000;
    options.dirty_bytes = GIB;
    void *blocks[N_MAX];
    for (size_t i = 0; i < 60; i++)
        check((blocks[i] = heap_alloc(LARGE)) != NULL);
    (void)now_is();
    drop(blocks, 30);
    check(arena_is_dirty() && now_is().charged_bytes >= 60 * MIB);
    for (size_t i = 0; i < 40; i++)
        check((blocks[i] = heap_alloc(LARGE)) != NULL);
    drop(blocks, 40);
    for (size_t i = 0; i < 55; i++)
        check((blocks[i] = heap_alloc(LARGE)) != NULL);
    check(now_is().charged_bytes >= 80 * MIB);
    drop(blocks, 5);
    check(now_is().charged_bytes <= 84 * MIB && arena_is_dirty()); /* some of what is left */
    drop(blocks + 5, 50);
    check(atomic_get_relaxed(&memory_limits.charged_bytes) <= 66 * MIB);
}

static void test_above_the_threshold_nothing_is_held_back(void **state)
{
    (void)state;
    child_passes(body_soft, NULL);
}

static struct {
    int level;
    size_t wanted;
    struct pressure pressure;
} last_word;

static void keep_words(int level, size_t wanted, void *context)
{
    (void)context;
    last_word.level = level;
    last_word.wanted = wanted;
    pressure_read(&last_word.pressure);
}

static void body_heard(void *argument)
{
    (void)argument;
    options.pressure = PRESSURE_ON;
    begin(0);
    fake_root(NULL);
    (void)now_is();
    time_goes_by();
    struct pressure pressure = now_is();
    check(pressure.level == PRESSURE_NORMAL && pressure.n_events == 0);
    check(heap_alloc(32 * MIB) != NULL && subscriber_add(keep_words, NULL));
    void *p = heap_alloc(20 * MIB);
    memset(p, 1, 20 * MIB);
    heap_free(p);
    time_goes_by();
    fake_poll_once(POLLPRI);
    pressure = now_is();
    if (pressure.n_events == 0)
        return; /* this machine does not know of pressure */
    check(pressure.level == PRESSURE_ELEVATED);
    check(pressure.n_clean_ups == 1 && pressure.given_back_bytes > 0);
    check(!arena_is_dirty());
    check(last_word.level == PRESSURE_ELEVATED && last_word.wanted >= MIB);
    time_goes_by();
    check(now_is().level == PRESSURE_NORMAL);
    check(last_word.level == PRESSURE_NORMAL && last_word.wanted == 0);
}

static void test_the_kernel_is_heard(void **state)
{
    (void)state;
    child_passes(body_heard, NULL);
}

static void body_machine(void *argument)
{
    (void)argument;
    fake_memory_bytes(100 * MIB);
    options.pressure = PRESSURE_ON;
    begin(0);
    struct pressure pressure = now_is();
    check(pressure.source == PRESSURE_OF_MACHINE && pressure.limit_bytes == 100 * MIB);
    void *p = heap_alloc(90 * MIB);
    fake_clock_add(50);
    pressure = now_is();
    check(!pressure.is_hard && pressure.level == PRESSURE_ELEVATED);
    void *q = heap_alloc(30 * MIB);
    fake_clock_add(50);
    check(q != NULL && now_is().level == PRESSURE_CRITICAL);
    fake_memory_bytes(1000 * MIB);
    time_goes_by();
    check(now_is().level == PRESSURE_NORMAL && now_is().limit_bytes == 1000 * MIB);
    heap_free(p);
    heap_free(q);
}

static void test_the_machine_has_a_limit(void **state)
{
    (void)state;
    child_passes(body_machine, NULL);
}

/* A tree of files that stands for the machine's. */
static char folder[64];

static void files_make(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/pressure_test.XXXXXX");
    check(mkdtemp(folder) != NULL);
    fake_root(folder);
}

static void files_remove(void)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    check(system(command) == 0);
}

static void file(const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s%s", folder, name);
    for (char *slash = strchr(path + strlen(folder) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        check(mkdir(path, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *f = fopen(path, "w");
    check(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void resident_is(size_t bytes)
{
    char text[64];
    (void)snprintf(text, sizeof text, "0 %zu 0\n", bytes / (size_t)sysconf(_SC_PAGESIZE));
    file("/proc/self/statm", text);
}

static void body_untouched(void *argument)
{
    (void)argument;
    fake_memory_bytes(100 * MIB);
    options.pressure = PRESSURE_ON;
    begin(0);
    files_make();
    resident_is(2 * MIB);
    check(now_is().level == PRESSURE_NORMAL);
    void *p = heap_alloc(90 * MIB);
    check(p != NULL && now_is().level == PRESSURE_NORMAL);
    fake_clock_add(50);
    check(now_is().level == PRESSURE_NORMAL && now_is().used_bytes < 4 * MIB);
    resident_is(92 * MIB);
    time_goes_by();
    check(now_is().level == PRESSURE_ELEVATED);
    files_remove();
}

/* A reading costs more than a look. */
static void body_reading(void *argument)
{
    (void)argument;
    fake_memory_bytes(100 * MIB);
    options.pressure = PRESSURE_ON;
    begin(0);
    files_make();
    resident_is(2 * MIB);
    (void)now_is();
    check(heap_alloc(90 * MIB) != NULL);
    resident_is(3 * MIB);
    check(now_is().used_bytes >= 92 * MIB);
    fake_clock_add(50);
    check(now_is().used_bytes < 4 * MIB);
    check(heap_alloc(90 * MIB) != NULL);
    resident_is(99 * MIB);
    fake_clock_add(49);
    check(now_is().level == PRESSURE_NORMAL);
    fake_clock_add(1);
    check(now_is().level == PRESSURE_CRITICAL);
    files_remove();
}

static void test_readings_are_so_far_apart(void **state)
{
    (void)state;
    child_passes(body_reading, NULL);
}

static void test_what_is_never_touched_makes_nothing_short(void **state)
{
    (void)state;
    child_passes(body_untouched, NULL);
}

static void keep_observed(void)
{
    pressure_read(&last_word.pressure);
}

static void body_told_of_use(void *argument)
{
    bool is_observer = argument != NULL;
    if (is_observer)
        pressure_observer = keep_observed;
    begin(100 * MIB);
    check(is_observer || subscriber_add(keep_words, NULL));
    (void)now_is();
    void *p = heap_alloc(90 * MIB);
    check(p != NULL && now_is().level == PRESSURE_ELEVATED);
    check(last_word.pressure.used_bytes >= 90 * MIB);
    heap_free(p);
    time_goes_by();
    check(now_is().level == PRESSURE_NORMAL);
    check(last_word.pressure.used_bytes < 90 * MIB);
}

static void test_who_is_told_sees_what_is_used(void **state)
{
    (void)state;
    static bool is_observer = true;
    child_passes(body_told_of_use, NULL);
    child_passes(body_told_of_use, &is_observer);
}

static void body_first_look(void *argument)
{
    (void)argument;
    struct pressure pressure;
    options.pressure = PRESSURE_ON;
    begin(0);
    for (int i = 0; i < 10; i++) {
        time_goes_by();
        heap_free(heap_alloc(100 * KIB));
    }
    pressure_read(&pressure);
    check(pressure.source == PRESSURE_OF_NOTHING);
    heap_free(heap_alloc(9 * MIB));
    pressure_read(&pressure);
    check(pressure.source != PRESSURE_OF_NOTHING);
}

static void test_small_programs_are_not_looked_at(void **state)
{
    (void)state;
    child_passes(body_first_look, NULL);
}

static void body_forbidden(void *argument)
{
    (void)argument;
    fake_memory_bytes(100 * MIB);
    options.pressure = PRESSURE_OFF;
    begin(0);
    pressure_start();
    void *p = heap_alloc(90 * MIB);
    check(p != NULL);
    check(now_is().source == PRESSURE_OF_NOTHING && now_is().level == PRESSURE_NORMAL);
    pressure_set_limit(95 * MIB);
    check(heap_alloc(20 * MIB) == NULL && now_is().level == PRESSURE_CRITICAL);
    pressure_set_limit(0);
    check(now_is().source == PRESSURE_OF_NOTHING && heap_alloc(20 * MIB) != NULL);
}

static void test_the_watch_may_be_forbidden(void **state)
{
    (void)state;
    child_passes(body_forbidden, NULL);
}

static void body_restored(void *argument)
{
    (void)argument;
    begin(32 * MIB);
    pressure_set_limit(100 * MIB);
    pressure_set_limit(0);
    check(heap_alloc(50 * MIB) == NULL);
    check_equal(now_is().limit_bytes, 32 * MIB);
}

static void test_the_options_limit_comes_back_at_once(void **state)
{
    (void)state;
    child_passes(body_restored, NULL);
}

/* The reserve is for blocks, not for heaps. */
static void body_records(void *argument)
{
    (void)argument;
    begin(8 * MIB);
    size_t n = 0;
    (void)heap_enter();
    while (n < 2000 && heap_group_new(SIZE_MAX) != NULL)
        n++;
    heap_leave();
    check(n > 100 && n < 2000);
    heap_free(heap_alloc(1));
    check(now_is().charged_bytes <= 7 * MIB);
    check(heap_alloc(100 * KIB) == NULL); /* opens the reserve */
    check(heap_alloc(1000) != NULL && heap_alloc(20) != NULL);
    (void)heap_enter();
    check(heap_group_new(SIZE_MAX) == NULL);
    heap_leave();
    check(now_is().charged_peak_bytes <= 8 * MIB);
}

static void test_records_count_but_leave_the_reserve(void **state)
{
    (void)state;
    child_passes(body_records, NULL);
}

static void body_nothing_allowed(void *argument)
{
    (void)argument;
    fake_memory_bytes(100 * MIB);
    options.limit = 90;
    fake_clock_set(1000000);
    files_make();
    file("/proc/self/cgroup", "0::/g\n");
    file("/sys/fs/cgroup/g/memory.max", "0\n");
    pressure_init(NULL, NULL);
    attach();
    check_equal(now_is().limit_bytes, MIB);
    check(heap_alloc(2 * MIB) == NULL);
    files_remove();
}

static void test_a_share_of_nothing_is_a_limit(void **state)
{
    (void)state;
    child_passes(body_nothing_allowed, NULL);
}

/* Nothing is read before it matters, and then before it is exceeded. */
static void body_put_off(void *argument)
{
    struct pressure pressure;
    bool is_small = argument != NULL;
    options.limit = 50;
    files_make();
    pressure_init(NULL, NULL);
    attach();
    check(heap_alloc(100 * KIB) != NULL);
    pressure_read(&pressure);
    check(pressure.source == PRESSURE_OF_NOTHING && pressure.limit_bytes == 0);
    file("/proc/self/cgroup", "0::/g\n");
    file("/sys/fs/cgroup/g/memory.max", is_small ? "2000000\n" : "20000000\n");
    if (is_small) {
        size_t n = 0;
        while (heap_alloc(1000) != NULL)
            n++;
        check(n > 500 && n < 1024);
        pressure_read(&pressure);
        check(pressure.charged_peak_bytes <= MIB);
    } else {
        check(heap_alloc(10 * MIB) == NULL && heap_alloc(MIB) != NULL);
        check(heap_alloc(7 * MIB) != NULL);
        pressure_read(&pressure);
        check(pressure.level != PRESSURE_NORMAL); /* it was looked at once there was so much */
    }
    check_equal(pressure.limit_bytes, is_small ? MIB : 10000000);
    check(pressure.is_hard && pressure.source == PRESSURE_OF_OPTION);
    files_remove();
}

static void test_a_limit_in_percent_is_found_when_it_matters(void **state)
{
    (void)state;
    static bool is_small = true;
    child_passes(body_put_off, NULL);
    child_passes(body_put_off, &is_small);
}

static void body_unknown_share(void *argument)
{
    (void)argument;
    options.limit = 50;
    fake_root("/nonexistent");
    fake_memory_bytes(0);
    pressure_init(NULL, NULL);
    attach();
    pressure_set_limit(4 * MIB);
    check(heap_alloc(5 * MIB) == NULL);
    check_equal(now_is().limit_bytes, 4 * MIB);
    pressure_set_limit(0);
    check(now_is().source == PRESSURE_OF_OPTION && heap_alloc(5 * MIB) != NULL);
}

static void test_the_programs_limit_counts_before_a_share_is_known(void **state)
{
    (void)state;
    child_passes(body_unknown_share, NULL);
}

/* Each may be the first to need it. */
static void *take_at_once(void *share)
{
    void *p = heap_alloc(10 * MIB);
    if (p != NULL)
        (void)atomic_add_relaxed((_Atomic size_t *)share, 1);
    for (size_t i = 0; i < 100; i++)
        (void)heap_alloc(2000);
    return NULL;
}

static void body_search_at_once(void *argument)
{
    (void)argument;
    enum { N_SEARCHING = 8 };
    pthread_t threads[N_SEARCHING];
    _Atomic size_t n_had = 0;
    options.limit = 50;
    fake_memory_bytes(80 * MIB);
    fake_root("/nonexistent");
    pressure_init(NULL, NULL);
    for (size_t i = 0; i < N_SEARCHING; i++)
        threads[i] = thread_start(take_at_once, &n_had);
    for (size_t i = 0; i < N_SEARCHING; i++)
        thread_join(threads[i]);
    check_equal(atomic_get_relaxed(&n_had), 3);
    check(now_is().charged_peak_bytes <= 40 * MIB);
}

static void test_threads_wait_for_who_finds_the_limit(void **state)
{
    (void)state;
    child_passes(body_search_at_once, NULL);
}

/* Descriptors are used up, or the program has shut itself in: its group is the same. */
static void body_shut_in(void *argument)
{
    bool is_watched = argument != NULL;
    fake_memory_bytes(1000 * MIB);
    options.limit = is_watched ? 0 : 50;
    options.pressure = PRESSURE_ON;
    fake_clock_set(1000000);
    files_make();
    file("/proc/self/cgroup", "0::/g\n");
    file("/sys/fs/cgroup/g/memory.max", "104857600\n");
    file("/sys/fs/cgroup/g/memory.stat", "anon 50000000\n");
    pressure_init(NULL, NULL);
    attach();
    struct pressure before = now_is();
    check_equal(before.limit_bytes, is_watched ? 100 * MIB : 50 * MIB);
    void *p = heap_alloc(20 * MIB);
    fake_root("/nonexistent");
    time_goes_by();
    struct pressure after = now_is();
    check(after.limit_bytes == before.limit_bytes && after.source == before.source);
    check(after.used_bytes >= before.used_bytes + 20 * MIB);
    fake_root(folder);
    file("/sys/fs/cgroup/g/memory.max", "max\n");
    time_goes_by();
    check_equal(now_is().limit_bytes, is_watched ? 1000 * MIB : 500 * MIB);
    heap_free(p);
    files_remove();
}

static void test_a_limit_that_cannot_be_read_again_stays(void **state)
{
    (void)state;
    static bool is_watched = true;
    child_passes(body_shut_in, NULL);
    child_passes(body_shut_in, &is_watched);
}

/* What never fits ends no program. */
static void body_never(void *argument)
{
    (void)argument;
    options.limit_action = LIMIT_ABORT;
    begin(16 * MIB);
    check(heap_alloc(20 * MIB) == NULL);
    struct pressure pressure = now_is();
    check(pressure.n_refused == 1 && pressure.level == PRESSURE_NORMAL);
    check(!atomic_get_relaxed(&memory_limits.reserve_is_open));
}

static void test_what_never_fits_is_no_sign_of_want(void **state)
{
    (void)state;
    child_passes(body_never, NULL);
}

/* Asked for little it gives little, here and there. */
static size_t asked_for[32];
static size_t n_asked;

static void keep_all(int level, size_t wanted, void *context)
{
    (void)context;
    if (level == PRESSURE_CRITICAL && n_asked < ARRAY_LEN(asked_for))
        asked_for[n_asked++] = wanted;
}

static void body_asked(void *argument)
{
    (void)argument;
    begin(64 * MIB);
    void *p = heap_alloc(40 * MIB);
    check(p != NULL && subscriber_add(keep_all, NULL));
    (void)now_is();
    n_asked = 0;
    check(heap_alloc(25 * MIB) == NULL);
    check(n_asked >= 2 && asked_for[0] == 25 * MIB && asked_for[1] >= 40 * MIB);
    (void)now_is(); /* the level has changed */
    size_t n = n_asked;
    check(heap_alloc(63 * MIB - 64 * KIB) == NULL && n_asked == n + 1);
    heap_free(p);
}

static void test_subscribers_are_asked_for_more_and_more(void **state)
{
    (void)state;
    child_passes(body_asked, NULL);
}

static void body_percent(void *argument)
{
    (void)argument;
    fake_memory_bytes(100 * MIB);
    begin(50);
    check_equal(now_is().limit_bytes, 50 * MIB);
    check(heap_alloc(60 * MIB) == NULL);
    fake_memory_bytes(200 * MIB);
    time_goes_by();
    check_equal(now_is().limit_bytes, 100 * MIB);
    check(heap_alloc(60 * MIB) != NULL);
}

static void test_a_limit_in_percent_follows_the_machine(void **state)
{
    (void)state;
    child_passes(body_percent, NULL);
}

/* ---- nobody asks ---- */

static void body_unasked(void *argument)
{
    (void)argument;
    options.pressure = *(const uint64_t *)argument;
    begin(0);
    void *p = heap_alloc(100 * MIB);
    heap_free(p);
    check(!atomic_get_relaxed(&memory_limits.is_look_due));
    check(atomic_get_relaxed(&heap_pressure) == NULL);
    struct pressure pressure;
    pressure_read(&pressure);
    check(pressure.limit_bytes == 0 && pressure.source == PRESSURE_OF_NOTHING);
    check(pressure.charged_peak_bytes >= 100 * MIB);
}

static void test_nobody_looks_unless_asked(void **state)
{
    (void)state;
    static const uint64_t ways[] = {PRESSURE_AUTO, PRESSURE_OFF};
    child_passes(body_unasked, (void *)&ways[0]);
    child_passes(body_unasked, (void *)&ways[1]);
}

/* ---- threads ---- */

enum { N_THREADS = 4, N_SHARED = 256, N_STEPS = 3000 };

static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static void *shared[N_SHARED]; /* [shared_lock] */

static void *shared_swap(size_t i, void *p)
{
    check(pthread_mutex_lock(&shared_lock) == 0);
    void *before = shared[i];
    shared[i] = p;
    check(pthread_mutex_unlock(&shared_lock) == 0);
    return before;
}

static void shared_give_up(int level, size_t wanted, void *context)
{
    (void)level;
    (void)context;
    for (size_t i = wanted % 7; i < N_SHARED; i += 7)
        heap_free(shared_swap(i, NULL));
}

/* Whoever puts a block there may free another thread's. */
static void *take_and_share(void *argument)
{
    struct random random = {(uintptr_t)argument};
    for (size_t i = 0; i < N_STEPS; i++) {
        void *p = heap_alloc(random_bytes(&random, MIB));
        if (p != NULL)
            memset(p, 1, 8);
        heap_free(shared_swap(random_below(&random, N_SHARED), p));
        if (i % 500 == 0)
            pressure_set_limit((24 + random_below(&random, 8)) * MIB);
        if (i % 300 == 0)
            (void)now_is();
        if (i % 700 == 0)
            (void)pressure_purge();
        fake_clock_add(1);
    }
    return NULL;
}

static void body_threads(void *argument)
{
    pthread_t threads[N_THREADS];
    (void)argument;
    options.guest_calls = 10;
    begin(32 * MIB);
    check(subscriber_add(shared_give_up, NULL));
    for (size_t i = 0; i < N_THREADS; i++)
        threads[i] = thread_start(take_and_share, (void *)(uintptr_t)(i + 1));
    for (size_t i = 0; i < N_THREADS; i++)
        thread_join(threads[i]);
    for (size_t i = 0; i < N_SHARED; i++)
        heap_free(shared_swap(i, NULL));
    check(now_is().n_told > 0);
    check(now_is().charged_peak_bytes <= 32 * MIB);
    heap_check(my_heap());
    arena_check();
}

static void test_threads_share_a_limit(void **state)
{
    (void)state;
    child_passes(body_threads, NULL);
}

/* ---- threads' caches ---- */

enum { N_CACHED = 2000 };

static void body_caches(void *argument)
{
    (void)argument;
    static void *blocks[N_CACHED];
    begin(100 * MIB);
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < N_CACHED; i++)
            blocks[i] = heap_alloc(1024);
        drop(blocks, N_CACHED);
    }
    struct heap *heap = my_heap();
    check(heap->shelves[class_of(1024)].cap > heap_cap_first(class_of(1024)));
    size_t before = arena_bytes_in_use();
    (void)pressure_purge();
    void *p = heap_alloc(6000); /* the owner's next slow path */
    heap_free(p);
    check_equal(heap->shelves[class_of(1024)].cap, heap_cap_first(class_of(1024)));
    check(arena_bytes_in_use() < before || before <= 4 * UNIT_BYTES);
    check(!arena_is_dirty() || arena_bytes_in_use() <= 4 * UNIT_BYTES);
    heap_check(heap);
}

static void test_caches_are_given_up(void **state)
{
    (void)state;
    child_passes(body_caches, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_does_not_fit_is_refused),
        cmocka_unit_test(test_a_refusal_is_told_once),
        cmocka_unit_test(test_free_memory_makes_room),
        cmocka_unit_test(test_small_blocks_have_a_reserve),
        cmocka_unit_test(test_what_grows_is_charged),
        cmocka_unit_test(test_what_could_not_grow_is_not_charged),
        cmocka_unit_test(test_a_program_may_set_its_limit),
        cmocka_unit_test(test_memory_that_cannot_be_given_back_is_used_again),
        cmocka_unit_test(test_a_program_may_be_ended_at_the_limit),
        cmocka_unit_test(test_a_program_may_be_sent_a_signal_once),
        cmocka_unit_test(test_a_limit_may_be_for_looking_only),
        cmocka_unit_test(test_subscribers_make_room),
        cmocka_unit_test(test_a_subscriber_in_need_is_not_called_again),
        cmocka_unit_test(test_a_subscriber_may_use_the_reserve),
        cmocka_unit_test(test_levels_rise_and_fall_with_some_play),
        cmocka_unit_test(test_clean_ups_are_so_far_apart),
        cmocka_unit_test(test_who_is_short_now_and_then_cleans_up_no_more_often),
        cmocka_unit_test(test_looks_are_so_far_apart),
        cmocka_unit_test(test_above_the_threshold_nothing_is_held_back),
        cmocka_unit_test(test_the_kernel_is_heard),
        cmocka_unit_test(test_the_machine_has_a_limit),
        cmocka_unit_test(test_a_limit_in_percent_follows_the_machine),
        cmocka_unit_test(test_what_is_never_touched_makes_nothing_short),
        cmocka_unit_test(test_readings_are_so_far_apart),
        cmocka_unit_test(test_who_is_told_sees_what_is_used),
        cmocka_unit_test(test_small_programs_are_not_looked_at),
        cmocka_unit_test(test_the_watch_may_be_forbidden),
        cmocka_unit_test(test_the_options_limit_comes_back_at_once),
        cmocka_unit_test(test_records_count_but_leave_the_reserve),
        cmocka_unit_test(test_a_share_of_nothing_is_a_limit),
        cmocka_unit_test(test_a_limit_in_percent_is_found_when_it_matters),
        cmocka_unit_test(test_the_programs_limit_counts_before_a_share_is_known),
        cmocka_unit_test(test_threads_wait_for_who_finds_the_limit),
        cmocka_unit_test(test_a_limit_that_cannot_be_read_again_stays),
        cmocka_unit_test(test_what_never_fits_is_no_sign_of_want),
        cmocka_unit_test(test_subscribers_are_asked_for_more_and_more),
        cmocka_unit_test(test_nobody_looks_unless_asked),
        cmocka_unit_test(test_threads_share_a_limit),
        cmocka_unit_test(test_caches_are_given_up),
    };
    return cmocka_run_group_tests_name("pressure", tests, NULL, NULL);
}
