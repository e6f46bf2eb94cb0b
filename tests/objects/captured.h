/* SPDX-License-Identifier: MIT */
/*
 * cmocka, and what is written to fd 2 meanwhile.
 */
#ifndef CAPTURED_H
#define CAPTURED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

void capture_begin(void);

/* The text since then, valid until the next begin. */
const char *capture_end(void);

#endif
