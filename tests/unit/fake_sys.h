/* SPDX-License-Identifier: MIT */
/*
 * The operating system as the unit tests want it. The calls of os/sys.h and a few of os/ are
 * wrapped at link time (ld --wrap, see CMakeLists.txt): they go through to the real ones until a
 * test makes them fail, counts them, or sets the clock.
 *
 * Every wrapped call that is about pages checks what os/pages.h demands: addresses and sizes are
 * multiples of os_page_bytes(). Where a test has set a page size larger than the machine's, sys_map
 * gives memory that is aligned to it, as such a kernel would.
 */
#ifndef FAKE_SYS_H
#define FAKE_SYS_H

#include "base/compiler.h"

#include <stdbool.h>

enum fake_call {
    FAKE_MAP,
    FAKE_UNMAP,
    FAKE_PROTECT_NONE,
    FAKE_DISCARD,
    FAKE_POPULATE,
    FAKE_HUGE_ON,
    FAKE_HUGE_OFF,
    FAKE_HUGE_NOW,   /* of some memory */
    FAKE_HUGE_PROBE, /* of none: is the advice known? */
    FAKE_RESIZE,
    FAKE_MOVE,
    FAKE_WRITE, /* while capturing */
    FAKE_BARRIER_REGISTER,
    FAKE_BARRIER,
    FAKE_THREAD_AT_EXIT, /* of os/process.h; fails by returning false */
    N_FAKE_CALLS
};

/* The nth call from now on fails with this errno; 1 is the next. */
void fake_fail_once(enum fake_call call, size_t nth, int error);

/* And all after it. */
void fake_fail_from(enum fake_call call, size_t nth, int error);

/* All calls work again, of all sizes. */
void fake_fail_none(void);

/* sys_map of more than this many bytes fails. */
void fake_map_max(size_t bytes);

/* As if there were no more address space than for so many bytes on top of what is mapped now: a
 * sys_map that needs more fails; sys_unmap makes room. */
void fake_map_left(size_t bytes);

/* The next sys_map gets this hint instead of its own. */
void fake_map_hint(uintptr_t hint);

/* Calls of this kind since the program began, failed ones included. */
size_t fake_count(enum fake_call call);

/* Runs on the calling thread inside the next sys_discard, before it takes effect. */
void fake_on_discard(void (*hook)(void));

/* Files are opened, and sockets connected to, below this folder; NULL, as at the start: where they
 * are. */
void fake_root(const char *folder);

/* What sys_poll finds of each descriptor, and if it is to be found once or always; 0: what is
 * so. */
void fake_poll_once(short events);
void fake_poll(short events);

/* Any file passes for one of the kernel's. */
void fake_kernels_files(void);

/* What the machine has; 0: what it has. */
void fake_memory_bytes(uint64_t bytes);

/* Signals that this process was sent by sys_signal_process, which sends none here. */
size_t fake_signals(void);

/* What is written to fd 2 is kept, not written; at most `write_max` bytes a call. */
void fake_capture_begin(size_t write_max);

/* What was kept, as a string; valid until the next capture begins. */
const char *fake_capture_end(void);

/* The clock stands at this many milliseconds. Before the first call of this it is the real one. */
void fake_clock_set(uint64_t ms);
void fake_clock_add(uint64_t ms);

/* What os_auxv_page_bytes() answers; 0 (as at the start): the real answer. */
void fake_auxv_page_bytes(size_t bytes);

#endif
