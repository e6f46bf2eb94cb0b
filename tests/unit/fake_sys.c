/* SPDX-License-Identifier: MIT */
#include "fake_sys.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "os/pages.h"
#include "os/sys.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The linker sends calls of x to __wrap_x, and those of __real_x to x. */
long __real_sys_map(void *hint, size_t bytes);
long __real_sys_unmap(void *p, size_t bytes);
long __real_sys_protect_none(void *p, size_t bytes);
long __real_sys_discard(void *p, size_t bytes);
long __real_sys_populate(void *p, size_t bytes);
long __real_sys_huge_on(void *p, size_t bytes);
long __real_sys_huge_off(void *p, size_t bytes);
long __real_sys_huge_now(void *p, size_t bytes);
long __real_sys_resize(void *p, size_t old_bytes, size_t new_bytes);
long __real_sys_move(void *p, size_t old_bytes, size_t new_bytes, void *to);
long __real_sys_write(int fd, const void *text, size_t bytes);
long __real_sys_open_read(const char *path);
long __real_sys_open_both(const char *path);
long __real_sys_connect(const char *path);
long __real_sys_poll(struct pollfd *polls, size_t n, uint32_t ms);
bool __real_sys_is_kernels_file(int fd);
uint64_t __real_sys_memory_bytes(void);
long __real_sys_barrier_register(void);
long __real_sys_barrier(void);
uint64_t __real_os_clock_ms(void);
bool __real_os_thread_at_exit(const void *value);
size_t __real_os_auxv_page_bytes(void);

long __wrap_sys_map(void *hint, size_t bytes);
long __wrap_sys_unmap(void *p, size_t bytes);
long __wrap_sys_protect_none(void *p, size_t bytes);
long __wrap_sys_discard(void *p, size_t bytes);
long __wrap_sys_populate(void *p, size_t bytes);
long __wrap_sys_huge_on(void *p, size_t bytes);
long __wrap_sys_huge_off(void *p, size_t bytes);
long __wrap_sys_huge_now(void *p, size_t bytes);
long __wrap_sys_resize(void *p, size_t old_bytes, size_t new_bytes);
long __wrap_sys_move(void *p, size_t old_bytes, size_t new_bytes, void *to);
long __wrap_sys_write(int fd, const void *text, size_t bytes);
long __wrap_sys_open_read(const char *path);
long __wrap_sys_open_both(const char *path);
long __wrap_sys_connect(const char *path);
long __wrap_sys_poll(struct pollfd *polls, size_t n, uint32_t ms);
bool __wrap_sys_is_kernels_file(int fd);
uint64_t __wrap_sys_memory_bytes(void);
long __wrap_sys_signal_process(int signal);
long __wrap_sys_barrier_register(void);
long __wrap_sys_barrier(void);
uint64_t __wrap_os_clock_ms(void);
bool __wrap_os_thread_at_exit(const void *value);
size_t __wrap_os_auxv_page_bytes(void);

/* ---- which call fails ---- */

/* Calls number first to last fail; numbers begin at 1, so 0 to 0 is none. */
static struct {
    _Atomic size_t n_calls;
    _Atomic size_t first;
    _Atomic size_t last;
    _Atomic int error;
} plans[N_FAKE_CALLS];

static _Atomic size_t map_max_bytes = SIZE_MAX;
static _Atomic size_t map_left_bytes = SIZE_MAX / 2;
static _Atomic uintptr_t map_hint;

static void plan(enum fake_call call, size_t first, size_t last, int error)
{
    atomic_put_relaxed(&plans[call].first, first);
    atomic_put_relaxed(&plans[call].last, last);
    atomic_put_relaxed(&plans[call].error, error);
}

void fake_fail_once(enum fake_call call, size_t nth, int error)
{
    size_t at = fake_count(call) + nth;
    plan(call, at, at, error);
}

void fake_fail_from(enum fake_call call, size_t nth, int error)
{
    plan(call, fake_count(call) + nth, SIZE_MAX, error);
}

void fake_fail_none(void)
{
    for (int call = 0; call < N_FAKE_CALLS; call++)
        plan((enum fake_call)call, 0, 0, 0);
    fake_map_max(SIZE_MAX);
    fake_map_left(SIZE_MAX / 2);
}

void fake_map_max(size_t bytes)
{
    atomic_put_relaxed(&map_max_bytes, bytes);
}

void fake_map_left(size_t bytes)
{
    atomic_put_relaxed(&map_left_bytes, bytes);
}

void fake_map_hint(uintptr_t hint)
{
    atomic_put_relaxed(&map_hint, hint);
}

size_t fake_count(enum fake_call call)
{
    return atomic_get_relaxed(&plans[call].n_calls);
}

/* Counts a call; 0, or the negative errno that it shall return. */
static long planned(enum fake_call call)
{
    size_t n = atomic_add_relaxed(&plans[call].n_calls, 1) + 1;
    bool fails =
        n >= atomic_get_relaxed(&plans[call].first) && n <= atomic_get_relaxed(&plans[call].last);
    return fails ? -(long)atomic_get_relaxed(&plans[call].error) : 0;
}

/* ---- pages ---- */

static void check_pages(const void *p, size_t bytes)
{
    check((uintptr_t)p % os_page_bytes() == 0);
    check(bytes % os_page_bytes() == 0 && bytes > 0);
}

static bool is_error(long result)
{
    return result < 0 && result >= -4095;
}

/* For page sizes above the machine's: more than is wanted, and the ends cut off. */
static long map_aligned(size_t bytes)
{
    size_t align = os_page_bytes();
    long result = __real_sys_map(NULL, bytes + align);
    if (is_error(result))
        return result;
    uintptr_t base = (uintptr_t)result;
    uintptr_t start = round_up(base, align);
    if (start > base)
        (void)__real_sys_unmap((void *)base, start - base);
    if (base + align > start)
        (void)__real_sys_unmap((void *)(start + bytes), base + align - start);
    return (long)start;
}

long __wrap_sys_map(void *hint, size_t bytes)
{
    check_pages(hint, bytes);
    long error = planned(FAKE_MAP);
    if (error == 0 &&
        (bytes > atomic_get_relaxed(&map_max_bytes) || bytes > atomic_get_relaxed(&map_left_bytes)))
        error = -ENOMEM;
    if (error != 0)
        return error;
    (void)atomic_sub_relaxed(&map_left_bytes, bytes);
    void *other_hint = (void *)atomic_swap_acquire(&map_hint, 0);
    long result = __real_sys_map(other_hint != NULL ? other_hint : hint, bytes);
    if (is_error(result) || (uintptr_t)result % os_page_bytes() == 0)
        return result;
    (void)__real_sys_unmap((void *)result, bytes);
    return map_aligned(bytes);
}

long __wrap_sys_unmap(void *p, size_t bytes)
{
    check_pages(p, bytes);
    long error = planned(FAKE_UNMAP);
    if (error != 0)
        return error;
    (void)atomic_add_relaxed(&map_left_bytes, bytes);
    return __real_sys_unmap(p, bytes);
}

long __wrap_sys_protect_none(void *p, size_t bytes)
{
    check_pages(p, bytes);
    long error = planned(FAKE_PROTECT_NONE);
    return error != 0 ? error : __real_sys_protect_none(p, bytes);
}

static void (*_Atomic discard_hook)(void);

void fake_on_discard(void (*hook)(void))
{
    atomic_put_relaxed(&discard_hook, hook);
}

long __wrap_sys_discard(void *p, size_t bytes)
{
    check_pages(p, bytes);
    long error = planned(FAKE_DISCARD);
    void (*hook)(void) = atomic_swap_acquire(&discard_hook, NULL);
    if (hook != NULL)
        hook();
    return error != 0 ? error : __real_sys_discard(p, bytes);
}

long __wrap_sys_populate(void *p, size_t bytes)
{
    check_pages(p, bytes);
    long error = planned(FAKE_POPULATE);
    return error != 0 ? error : __real_sys_populate(p, bytes);
}

long __wrap_sys_huge_on(void *p, size_t bytes)
{
    check_pages(p, bytes);
    long error = planned(FAKE_HUGE_ON);
    return error != 0 ? error : __real_sys_huge_on(p, bytes);
}

long __wrap_sys_huge_off(void *p, size_t bytes)
{
    check_pages(p, bytes);
    long error = planned(FAKE_HUGE_OFF);
    return error != 0 ? error : __real_sys_huge_off(p, bytes);
}

/* As on a kernel that knows it, whatever the machine's does. */
long __wrap_sys_huge_now(void *p, size_t bytes)
{
    if (bytes == 0)
        return planned(FAKE_HUGE_PROBE);
    check_pages(p, bytes);
    long error = planned(FAKE_HUGE_NOW);
    if (error == 0)
        (void)__real_sys_huge_now(p, bytes);
    return error;
}

long __wrap_sys_resize(void *p, size_t old_bytes, size_t new_bytes)
{
    check_pages(p, old_bytes);
    check_pages(p, new_bytes);
    long error = planned(FAKE_RESIZE);
    return error != 0 ? error : __real_sys_resize(p, old_bytes, new_bytes);
}

long __wrap_sys_barrier_register(void)
{
    long error = planned(FAKE_BARRIER_REGISTER);
    return error != 0 ? error : __real_sys_barrier_register();
}

long __wrap_sys_barrier(void)
{
    long error = planned(FAKE_BARRIER);
    return error != 0 ? error : __real_sys_barrier();
}

long __wrap_sys_move(void *p, size_t old_bytes, size_t new_bytes, void *to)
{
    check_pages(p, old_bytes);
    check_pages(to, new_bytes);
    long error = planned(FAKE_MOVE);
    return error != 0 ? error : __real_sys_move(p, old_bytes, new_bytes, to);
}

/* ---- files ---- */

static const char *root = "";

void fake_root(const char *folder)
{
    root = folder != NULL ? folder : "";
}

struct path {
    char name[4096];
};

static struct path below_root(const char *name)
{
    struct path path;
    check((size_t)snprintf(path.name, sizeof path.name, "%s%s", root, name) < sizeof path.name);
    return path;
}

long __wrap_sys_open_read(const char *path)
{
    return __real_sys_open_read(below_root(path).name);
}

long __wrap_sys_open_both(const char *path)
{
    return __real_sys_open_both(below_root(path).name);
}

long __wrap_sys_connect(const char *path)
{
    return __real_sys_connect(below_root(path).name);
}

static short poll_events;
static bool poll_is_once;

void fake_poll(short events)
{
    poll_events = events;
    poll_is_once = false;
}

void fake_poll_once(short events)
{
    poll_events = events;
    poll_is_once = true;
}

long __wrap_sys_poll(struct pollfd *polls, size_t n, uint32_t ms)
{
    if (poll_events == 0)
        return __real_sys_poll(polls, n, ms);
    for (size_t i = 0; i < n; i++)
        polls[i].revents = poll_events;
    if (poll_is_once)
        poll_events = 0;
    return (long)n;
}

static bool all_are_kernels;

void fake_kernels_files(void)
{
    all_are_kernels = true;
}

bool __wrap_sys_is_kernels_file(int fd)
{
    return all_are_kernels || __real_sys_is_kernels_file(fd);
}

static uint64_t memory_bytes;
static size_t n_signals;

void fake_memory_bytes(uint64_t bytes)
{
    memory_bytes = bytes;
}

uint64_t __wrap_sys_memory_bytes(void)
{
    return memory_bytes != 0 ? memory_bytes : __real_sys_memory_bytes();
}

long __wrap_sys_signal_process(int signal)
{
    (void)signal;
    n_signals++;
    return 0;
}

size_t fake_signals(void)
{
    return n_signals;
}

/* ---- fd 2 ---- */

static struct {
    bool is_on;
    size_t write_max;
    size_t n;
    char text[8192];
} capture;

void fake_capture_begin(size_t write_max)
{
    capture.is_on = true;
    capture.write_max = write_max;
    capture.n = 0;
}

const char *fake_capture_end(void)
{
    capture.is_on = false;
    capture.text[capture.n] = '\0';
    return capture.text;
}

long __wrap_sys_write(int fd, const void *text, size_t bytes)
{
    if (fd != 2 || !capture.is_on)
        return __real_sys_write(fd, text, bytes);
    long error = planned(FAKE_WRITE);
    if (error != 0)
        return error;
    size_t n = min_size(bytes, capture.write_max);
    check(capture.n + n < sizeof capture.text);
    memcpy(capture.text + capture.n, text, n);
    capture.n += n;
    return (long)n;
}

/* ---- clock and process ---- */

static _Atomic uint64_t clock_ms; /* 0: the real clock */
static _Atomic size_t auxv_page_bytes;

void fake_clock_set(uint64_t ms)
{
    atomic_put_relaxed(&clock_ms, ms);
}

void fake_clock_add(uint64_t ms)
{
    (void)atomic_add_relaxed(&clock_ms, ms);
}

uint64_t __wrap_os_clock_ms(void)
{
    uint64_t ms = atomic_get_relaxed(&clock_ms);
    return ms != 0 ? ms : __real_os_clock_ms();
}

bool __wrap_os_thread_at_exit(const void *value)
{
    return planned(FAKE_THREAD_AT_EXIT) == 0 && __real_os_thread_at_exit(value);
}

void fake_auxv_page_bytes(size_t bytes)
{
    atomic_put_relaxed(&auxv_page_bytes, bytes);
}

size_t __wrap_os_auxv_page_bytes(void)
{
    size_t bytes = atomic_get_relaxed(&auxv_page_bytes);
    return bytes != 0 ? bytes : __real_os_auxv_page_bytes();
}
