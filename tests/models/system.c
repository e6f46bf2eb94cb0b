/* SPDX-License-Identifier: MIT */
/*
 * The kernel of the modelled threads, wrapped at link time (ld --wrap, see CMakeLists.txt). Memory
 * is of a variable, so that it is as it was when the next order begins. Time stands still while
 * threads run.
 */
#include "explore.h"
#include "os/process.h"
#include "os/sys.h"

#include <errno.h>
#include <string.h>

enum { PROCESS = 1000, PAGE_ALIGN = 4096 };
#define MEMORY_BYTES ((size_t)256 << 20)

static ALIGNED(PAGE_ALIGN) char memory[MEMORY_BYTES];
static size_t n_used;

long __wrap_sys_map(void *hint, size_t bytes);
long __wrap_sys_unmap(void *p, size_t bytes);
long __wrap_sys_protect_none(void *p, size_t bytes);
long __wrap_sys_discard(void *p, size_t bytes);
long __wrap_sys_populate(void *p, size_t bytes);
long __wrap_sys_resize(void *p, size_t old_bytes, size_t new_bytes);
long __wrap_sys_move(void *p, size_t old_bytes, size_t new_bytes, void *to);
long __wrap_sys_getpid(void);
long __wrap_sys_gettid(void);
long __wrap_sys_thread_probe(uint32_t id);
long __wrap_sys_futex_wait(const void *word, uint32_t expected);
long __wrap_sys_futex_wait_ms(const void *word, uint32_t expected, unsigned ms);
long __wrap_sys_futex_wake(const void *word, int n_threads);
long __wrap_sys_barrier_register(void);
long __wrap_sys_barrier(void);
long __wrap_sys_yield(void);
long __real_sys_write(int fd, const void *text, size_t bytes);
long __wrap_sys_write(int fd, const void *text, size_t bytes);
bool __wrap_os_thread_at_exit_init(void (*function)(void *));
bool __wrap_os_thread_at_exit(const void *value);
uint64_t __wrap_os_clock_ms(void);
uint64_t __wrap_os_clock_ns(void);
uint64_t __wrap_os_random_bits(void);

long __wrap_sys_map(void *hint, size_t bytes)
{
    (void)hint;
    size_t at = n_used;
    if (bytes > MEMORY_BYTES - at)
        return -ENOMEM;
    n_used += (bytes + PAGE_ALIGN - 1) / PAGE_ALIGN * PAGE_ALIGN;
    return (long)(memory + at);
}

long __wrap_sys_unmap(void *p, size_t bytes)
{
    return __wrap_sys_discard(p, bytes);
}

long __wrap_sys_protect_none(void *p, size_t bytes)
{
    (void)p;
    (void)bytes;
    return 0;
}

long __wrap_sys_discard(void *p, size_t bytes)
{
    memset(p, 0, bytes);
    return 0;
}

long __wrap_sys_populate(void *p, size_t bytes)
{
    (void)p;
    (void)bytes;
    return -EINVAL;
}

long __wrap_sys_resize(void *p, size_t old_bytes, size_t new_bytes)
{
    (void)p;
    (void)old_bytes;
    (void)new_bytes;
    return -ENOMEM;
}

long __wrap_sys_move(void *p, size_t old_bytes, size_t new_bytes, void *to)
{
    (void)to;
    return __wrap_sys_resize(p, old_bytes, new_bytes);
}

long __wrap_sys_getpid(void)
{
    return PROCESS;
}

/* None of them is the main thread. */
long __wrap_sys_gettid(void)
{
    return PROCESS + 1 + (long)explore_thread();
}

long __wrap_sys_thread_probe(uint32_t id)
{
    (void)id;
    return 0;
}

long __wrap_sys_futex_wait(const void *word, uint32_t expected)
{
    return explore_wait(word, expected, false);
}

long __wrap_sys_futex_wait_ms(const void *word, uint32_t expected, unsigned ms)
{
    (void)ms;
    return explore_wait(word, expected, true);
}

long __wrap_sys_futex_wake(const void *word, int n_threads)
{
    return explore_wake(word, n_threads);
}

long __wrap_sys_barrier_register(void)
{
    return 0;
}

long __wrap_sys_barrier(void)
{
    explore_barrier();
    return 0;
}

/* Who spins has waited for a change already. */
long __wrap_sys_yield(void)
{
    return 0;
}

/* Misuse of pools is reported in every order that has it. */
long __wrap_sys_write(int fd, const void *text, size_t bytes)
{
    static const char fatal[] = "poolalloc: fatal";
    bool is_fatal = bytes >= sizeof fatal && memcmp(text, fatal, sizeof fatal - 1) == 0;
    return is_fatal ? __real_sys_write(fd, text, bytes) : (long)bytes;
}

static uint64_t clock_ms = 1000;

void system_clock_add(uint64_t ms)
{
    clock_ms += ms;
}

uint64_t __wrap_os_clock_ms(void)
{
    return clock_ms;
}

uint64_t __wrap_os_clock_ns(void)
{
    return clock_ms * 1000000;
}

uint64_t __wrap_os_random_bits(void)
{
    return 42;
}

/* ---- the ends of threads ---- */

static void (*destructor)(void *);
static THREAD_LOCAL const void *destructor_value;

bool __wrap_os_thread_at_exit_init(void (*function)(void *))
{
    destructor = function;
    return true;
}

bool __wrap_os_thread_at_exit(const void *value)
{
    destructor_value = value;
    return true;
}

void system_thread_end(void)
{
    while (destructor_value != NULL) {
        void *value = (void *)(uintptr_t)destructor_value;
        destructor_value = NULL;
        destructor(value);
    }
}
