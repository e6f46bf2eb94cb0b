/* SPDX-License-Identifier: MIT */
/* The kernel and the clock, wrapped at link time (ld --wrap, see CMakeLists.txt). */
#include "base/atomic.h"
#include "fuzz.h"
#include "os/sys.h"

#include <errno.h>

long __real_sys_map(void *hint, size_t bytes);
long __real_sys_populate(void *p, size_t bytes);
long __real_sys_resize(void *p, size_t old_bytes, size_t new_bytes);
long __real_sys_move(void *p, size_t old_bytes, size_t new_bytes, void *to);
long __real_sys_write(int fd, const void *text, size_t bytes);

long __wrap_sys_map(void *hint, size_t bytes);
long __wrap_sys_populate(void *p, size_t bytes);
long __wrap_sys_resize(void *p, size_t old_bytes, size_t new_bytes);
long __wrap_sys_move(void *p, size_t old_bytes, size_t new_bytes, void *to);
long __wrap_sys_write(int fd, const void *text, size_t bytes);
uint64_t __wrap_os_clock_ms(void);

enum { CLOCK_STARTS_MS = 1000 };

/* One thread works at a time; the allocator has no other. */
static struct {
    size_t n_good;
    size_t n_to_refuse;
    size_t n_refused;
    uint64_t ms;
    bool is_mute;
} state = {.ms = CLOCK_STARTS_MS};

void system_refuse(size_t n_good, size_t n_refused)
{
    state.n_good = n_good;
    state.n_to_refuse = n_refused;
}

void system_refuse_none(void)
{
    system_refuse(0, 0);
}

size_t system_n_refused(void)
{
    return state.n_refused;
}

void system_clock_add(uint64_t ms)
{
    state.ms += ms;
}

void system_mute(bool mute)
{
    state.is_mute = mute;
}

static bool is_refused(void)
{
    if (state.n_to_refuse == 0)
        return false;
    if (state.n_good > 0) {
        state.n_good--;
        return false;
    }
    state.n_to_refuse--;
    state.n_refused++;
    return true;
}

long __wrap_sys_map(void *hint, size_t bytes)
{
    return is_refused() ? -ENOMEM : __real_sys_map(hint, bytes);
}

long __wrap_sys_populate(void *p, size_t bytes)
{
    return is_refused() ? -ENOMEM : __real_sys_populate(p, bytes);
}

long __wrap_sys_resize(void *p, size_t old_bytes, size_t new_bytes)
{
    return is_refused() ? -ENOMEM : __real_sys_resize(p, old_bytes, new_bytes);
}

long __wrap_sys_move(void *p, size_t old_bytes, size_t new_bytes, void *to)
{
    return is_refused() ? -ENOMEM : __real_sys_move(p, old_bytes, new_bytes, to);
}

long __wrap_sys_write(int fd, const void *text, size_t bytes)
{
    return fd == 2 && state.is_mute ? (long)bytes : __real_sys_write(fd, text, bytes);
}

uint64_t __wrap_os_clock_ms(void)
{
    return state.ms;
}
