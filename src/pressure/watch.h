/* SPDX-License-Identifier: MIT */
/*
 * What tells us that the kernel, or systemd, wants memory back: one descriptor, which is asked now
 * and then.
 *
 * Where MEMORY_PRESSURE_WATCH names a file, it is that (a file of the kernel's, a FIFO, or a
 * socket), told what MEMORY_PRESSURE_WRITE says; /dev/null: nothing. Else the memory.pressure of
 * the process's control group, or the machine's, with a trigger of ours. Any other kind of file is
 * left alone.
 *
 * The descriptor is far above those that programs count on, is closed by exec, and is looked at
 * before each use: when the program has closed it, or has another file there, we let go of it for
 * good. A child of fork opens its own.
 *
 * All but watch_wait() one thread at a time.
 */
#ifndef POOLALLOC_PRESSURE_WATCH_H
#define POOLALLOC_PRESSURE_WATCH_H

#include "base/compiler.h"

#include <stdbool.h>

/* Once, before there are threads: the values of the two variables, or NULL. True: the first asks us
 * to watch something. */
bool watch_init(const char *path, const char *base64);

/* Opens it, if that was not done in this process. */
void watch_open(void);

/* Something has been said since last time. */
bool watch_poll(void);

/* Until then, or for so long. True: watch_poll() should be called, which may find that nothing was
 * said after all; until it is, this waits for a moment only. Any thread. */
bool watch_wait(uint32_t ms);

/* In a child of fork. */
void watch_forget(void);

#endif
