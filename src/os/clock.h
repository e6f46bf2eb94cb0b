/* SPDX-License-Identifier: MIT */
/*
 * Time since some fixed moment.
 */
#ifndef POOLALLOC_OS_CLOCK_H
#define POOLALLOC_OS_CLOCK_H

#include <stdint.h>

/* To the timer tick (4 ms or so), and all the cheaper for it: what ages need. */
uint64_t os_clock_ms(void);

/* Since 1970, as people set it. */
uint64_t os_clock_of_day_ms(void);

/* As finely as the machine can tell. */
uint64_t os_clock_ns(void);

/* This thread does nothing for about so long. */
void os_sleep_ms(uint32_t ms);

#endif
