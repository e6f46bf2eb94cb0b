/* SPDX-License-Identifier: MIT */
/*
 * A barrier that one thread executes for all threads of the process, so that what others do often
 * needs none: membarrier(2). For protocols of two sides,
 *
 *     often    store a; compiler barrier; load b
 *     rarely   store b; os_barrier_all(); load a
 *
 * of which at least one sees the other's store.
 */
#ifndef POOLALLOC_OS_BARRIER_H
#define POOLALLOC_OS_BARRIER_H

#include <stdbool.h>
#include <stdint.h>

/* To be asked first. False: the kernel, or a filter, does not have it. */
bool os_barrier_init(void);

/* False: there was no barrier. Not after os_barrier_init() has said true. */
bool os_barrier_all(void);

/* A thread of this process, by sys_gettid(). Certain only if false: numbers are used again. */
bool os_thread_is_there(uint32_t id);

#endif
