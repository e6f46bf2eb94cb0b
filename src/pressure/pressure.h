/* SPDX-License-Identifier: MIT */
/*
 * Whether memory is short, and what is done about it.
 *
 * What the limit is, and what is used of it, is measured (measure.h) once a second; between
 * readings what is charged tells how it grows, but before a level rises for that it is read again,
 * which is done every 50 ms at most.
 *
 * Levels: normal; elevated, from the threshold on, or when the kernel presses; critical, near the
 * limit, or when a call was refused. A level is left further down than it is entered, and not
 * before what the kernel said, or a refusal, is some seconds old.
 *
 * While it is not normal caches stay small, little free memory is held back, and there is a
 * clean-up now and then: all threads' caches are given up, all free memory goes back to the kernel,
 * and subscribers are told. So they are when the level changes, and when a call is about to be
 * refused: each that is comes to refused() by heap_try_again(), which asks them for more and more.
 *
 * Nothing of this is looked at by a thread of its own: slow paths end here when the arena finds
 * that the clock or the charge says so (memory_limits.is_look_due). Whoever has the turn
 * (subscribers.h) looks.
 *
 * Tests: tests/unit/test_pressure.c, test_cgroup.c, test_watch.c, tests/pressure.
 */
#ifndef POOLALLOC_PRESSURE_PRESSURE_H
#define POOLALLOC_PRESSURE_PRESSURE_H

#include "pressure/measure.h"
#include "pressure/subscribers.h"

struct pressure {
    uint64_t limit_bytes; /* 0: unknown */
    uint64_t threshold_bytes;
    uint64_t used_bytes; /* of the limit */
    uint64_t charged_bytes;
    uint64_t charged_peak_bytes;
    uint64_t since_clean_up_ms; /* UINT64_MAX: there was none */
    uint64_t n_events;          /* that the kernel or systemd sent */
    uint64_t n_clean_ups;
    uint64_t n_told; /* calls of subscribers */
    uint64_t n_refused;
    uint64_t given_back_bytes; /* by clean-ups */
    enum pressure_level level;
    enum pressure_source source;
    bool is_hard; /* what exceeds the limit is refused */
};

/* Once, from the constructor, after the options are read. The values of MEMORY_PRESSURE_WATCH and
 * MEMORY_PRESSURE_WRITE, or NULL. */
void pressure_init(const char *watch, const char *words);

/* From now on, if no option forbids it: for programs that want to know. */
void pressure_start(void);

/* As of the last look, which is now unless another thread is at it. */
void pressure_get(struct pressure *pressure);

/* The same of the counters alone, without a look: for who may not do that. */
void pressure_read(struct pressure *pressure);

/* The program's own hard limit, in place of any other; 0: none. */
void pressure_set_limit(size_t bytes);

/* A clean-up of threads' caches and free memory, without subscribers. What went back to the
 * kernel. */
size_t pressure_purge(void);

/* Called when the level changes, by who has the turn. NULL: nobody. */
typedef void pressure_observer_call(void);
extern pressure_observer_call *pressure_observer;

#endif
