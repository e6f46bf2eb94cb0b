/* SPDX-License-Identifier: MIT */
/*
 * Whom the program wants to be called when memory is short, and the turn: one thread at a time may
 * look after memory, call subscribers, or change their list. Who has it holds no lock of ours, and
 * is not inside: it may call malloc. It is not had twice: subscribers are never called while one of
 * them runs.
 *
 * A child of fork has the turn only if the thread that forked had it.
 */
#ifndef POOLALLOC_PRESSURE_SUBSCRIBERS_H
#define POOLALLOC_PRESSURE_SUBSCRIBERS_H

#include "base/compiler.h"

#include <stdbool.h>

enum { SUBSCRIBERS_MAX = 32 };

enum pressure_level { PRESSURE_NORMAL, PRESSURE_ELEVATED, PRESSURE_CRITICAL };

typedef void subscriber_call(int level, size_t wanted_bytes, void *context);

/* False: another thread has it, or this one already. */
bool turn_take(void);
void turn_give(void);

/* Waits for it. False: this thread has it already, and is not to give it. */
bool turn_take_surely(void);

bool turn_is_mine(void);

/* Waits for it, but not for longer than that: who has it may wait for this thread. */
bool turn_take_within(uint32_t ms);

void turn_forked(void);

/* Waits for its turn. False: there are too many. */
bool subscriber_add(subscriber_call *call, void *context);

/* Once it has returned, the subscriber is not called any more, nor is it running, unless it is the
 * caller. False: there is none such. */
bool subscriber_remove(subscriber_call *call, const void *context);

bool subscribers_any(void);

/* Whoever has the turn. How many there were. */
unsigned subscribers_tell(enum pressure_level level, size_t wanted_bytes);

#endif
