/* SPDX-License-Identifier: MIT */
/*
 * Dumps: when they are written, and where to. report.h says what is in them.
 *
 * Where: a file, opened and closed for each dump; written under another name and renamed when it is
 * whole, so nobody sees half of one. Or the stderr of the start, never what the program opened in
 * its place. When: POOLALLOC_CONF says; a module that knows another occasion adds it to DUMP_CAUSES
 * and calls dump_now().
 *
 * Nothing is allocated, and no lock is waited for but for a moment: a dump can be written in a
 * signal handler, by a thread that calls exit while others run, and after a fault. For each
 * occasion there is a desk, static memory that a dump is made on; who finds it taken leaves word,
 * and whoever works there makes another dump before he goes. The desk is a process's own: a child
 * of fork takes over what its parent's threads were at.
 */
#ifndef POOLALLOC_OBS_DUMP_H
#define POOLALLOC_OBS_DUMP_H

#include "conf/options.h"

#include <signal.h>

/* Occasion, and how the dump names it. */
#define DUMP_CAUSES(X)                                                                             \
    X(EXIT, "at exit")                                                                             \
    X(SIGNAL, "on a signal")                                                                       \
    X(INTERVAL, "at an interval")                                                                  \
    X(LIVE, "so much was live for the first time")                                                 \
    X(PRESSURE, "memory became short, or is no longer")                                            \
    X(FATAL, "after a fault")

#define DUMP_CAUSE_ENUM(cause, words) DUMP_CAUSE_##cause,
enum dump_cause { DUMP_CAUSES(DUMP_CAUSE_ENUM) N_DUMP_CAUSES };

/* Once, from the constructor, after the options are read. */
void dump_init(void);

/* To where dump= says, as its other options say. Any thread, signal handlers included. */
void dump_now(enum dump_cause cause);

/* The value that comes with a signal from who wants a dump and nothing else: it is not for a
 * handler that the program has installed for that signal. */
enum { DUMP_ASKED_VALUE = 0x706f6f6c };
bool dump_is_asked_for(int signal, const siginfo_t *info);

/* All of it for a caller, who has some 12 KB of stack. False: the thread is in a signal handler
 * that interrupted malloc, or not all could be written. */
bool dump_to(int fd, enum dump_format format);

/* The heap profile. False: nothing is sampled, or not all could be written. */
bool dump_profile_to(int fd);

#endif
