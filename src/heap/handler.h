/* SPDX-License-Identifier: MIT */
/*
 * Signal handlers that call malloc. They may not, by the standards; they do, in crash reporters,
 * profilers and programs that clean up on an interrupt.
 *
 * The program's handlers are run by ours (api/signals.c), which the kernel enters with all signals
 * blocked. It looks at what was interrupted:
 *
 *   a slow path      The signal is put off: it is sent to this thread again, blocked until the
 *                    thread leaves. So no such handler runs while this thread holds a lock, nor
 *                    jumps away from there. Faults cannot wait, and job control would get in its
 *                    own way (a stop signal that is sent drops a continue signal that is pending):
 *                    in these, and while one of them runs, malloc takes from the emergency area
 *                    (emergency.h).
 *   a fast path, or  The thread's heap is set aside: until the handler returns the thread is a
 *   the program      guest (thread.c), so that the bins stay as the interrupted code knows them.
 *                    Of a thread that is a guest already it is noted that it is in a handler.
 *
 * Every change of this state is made with all signals blocked, and what was put off is taken out of
 * the interrupted mask by whichever handler comes first, so that handlers may nest in any way.
 *
 * A handler that does not return but jumps away leaves the heap set aside, until a slow path finds
 * itself outside of the stack that the handler had. What the interrupted call had in hand is lost
 * then; the bins are counted anew. A handler that goes on on another stack than its own and
 * sigaltstack's is not told from one that has jumped away.
 *
 * Between the handlers of fork (fork.c) a thread holds all locks and passes them, and is not
 * inside: a jump out of a handler then leaves them taken.
 *
 * Handlers that are installed by a bare system call are not known to us: in these, slow paths that
 * were interrupted are safe by the emergency area, fast paths are not.
 *
 * All state is the thread's own. Tests: tests/loader/signals.c, tests/unit/test_handler.c.
 */
#ifndef POOLALLOC_HEAP_HANDLER_H
#define POOLALLOC_HEAP_HANDLER_H

#include "base/compiler.h"

#include <signal.h>
#include <stdbool.h>

struct heap;

/* Where the code runs that belongs to a handler. */
struct handler_stacks {
    uintptr_t frame;           /* the outermost handler's; it and what it calls lie below */
    uintptr_t alternate_begin; /* the stack that sigaltstack set up, if a handler is on it */
    uintptr_t alternate_end;
};

/* What handler_begin() did, for handler_end(). */
enum handler_state { HANDLER_NESTED, HANDLER_OUTERMOST, HANDLER_OF_GUEST, HANDLER_INSIDE };

/* All that follow until handler_end() are called with all signals blocked, and the signal's
 * information there (SA_SIGINFO). */

/* True: do not call the handler now. */
bool handler_put_off(int signal, const siginfo_t *info, ucontext_t *context);

/* Around a handler. The frame is our handler's own. */
enum handler_state handler_begin(uintptr_t frame, ucontext_t *context);
void handler_end(enum handler_state state);

/* Lets the signals come that were put off. */
void handler_deliver(void);

/* This thread's heap, taken back if the handler it was set aside for has been left by a jump. NULL:
 * none is set aside, or its handler still runs. Inside. */
struct heap *handler_heap_back(void);

/* This thread's heap that is set aside, or NULL. */
struct heap *handler_heap(void);

/* This thread is in a handler, as far as we know of it: nothing of the program's is to be
 * called. */
bool handler_runs(void);

/* This thread ends: its heap is taken back in any case, if there is one. */
void handler_forget(void);

/* The heap that is set aside is not to be used any more: the handler returns to a thread without
 * one. */
void handler_lose(void);

#endif
