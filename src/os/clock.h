/* SPDX-License-Identifier: MIT */
/*
 * Wall-clock milliseconds since some fixed moment, to the timer tick (4 ms or so): what ages need.
 */
#ifndef POOLALLOC_OS_CLOCK_H
#define POOLALLOC_OS_CLOCK_H

#include <stdint.h>

uint64_t os_clock_ms(void);

/* This thread does nothing for about so long. */
void os_sleep_ms(uint32_t ms);

#endif
