/* SPDX-License-Identifier: MIT */
/*
 * What the start has to do with operator new and delete.
 */
#ifndef POOLALLOC_API_CXX_H
#define POOLALLOC_API_CXX_H

/* While what is FIXED is open, after checked_start: lets the forms of new and delete that are jumps
 * to others say which they are. Weak: test programs that keep their own operators go without. */
void cxx_checked_start(void) __attribute__((weak));

#endif
