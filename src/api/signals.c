/* SPDX-License-Identifier: MIT */
/*
 * The functions that install signal handlers: the kernel is given ours, which runs the program's
 * (heap/handler.h). What the program asks for, it gets told: its own handlers and flags.
 *
 * Only handlers are noted here. SIG_DFL and SIG_IGN go to the kernel as they are, so that a child of
 * vfork that resets its signals changes nothing of its parent's.
 *
 * While a handler is being replaced, a signal may meet the new one already with the old one's mask
 * and flags. Not taken over: sigset() and bare system calls; see handler.h for what that means.
 */
#include "api/next.h"
#include "conf/options.h"
#include "heap/handler.h"

#include <errno.h>
#include <signal.h>

enum { N_SIGNALS = 64 };

typedef void action(int signal, siginfo_t *info, void *context);

/* What the program has installed. */
static struct {
    _Atomic(action *) action;
    _Atomic int flags;
} handlers[N_SIGNALS + 1];

/* Signals whose handlers shall interrupt system calls: siginterrupt(). */
static _Atomic uint64_t interrupting;

static void run(int signal, siginfo_t *info, void *context)
{
    bool is_once = (atomic_get_relaxed(&handlers[signal].flags) & (int)SA_RESETHAND) != 0;
    if (!is_once && handler_put_off(signal, info, context))
        return;
    bool begun = handler_begin((uintptr_t)__builtin_frame_address(0), context);
    atomic_get_relaxed (&handlers[signal].action)(signal, info, context);
    handler_end(begun);
}

static bool is_signal(int signal)
{
    return signal >= 1 && signal <= N_SIGNALS;
}

static bool is_handler(const struct sigaction *act)
{
    return act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN && act->sa_handler != SIG_ERR &&
           act->sa_sigaction != run;
}

static int next_sigaction(int signal, const struct sigaction *act, struct sigaction *old)
{
    static _Atomic(void *) known;
    __typeof__(sigaction) *next;
    *(void **)&next = next_known(&known, "sigaction");
    if (next != NULL)
        return next(signal, act, old);
    errno = ENOSYS;
    return -1;
}

/* What the program knows of what the kernel has. */
static void reveal(struct sigaction *old, action *noted, int flags)
{
    if (old->sa_sigaction != run)
        return;
    old->sa_sigaction = noted;
    old->sa_flags = (old->sa_flags & ~SA_SIGINFO) | (flags & SA_SIGINFO);
}

EXPORT int sigaction(int signal, const struct sigaction *act, struct sigaction *old)
{
    if (!options.guard_handlers || !is_signal(signal) || os_is_bypassed())
        return next_sigaction(signal, act, old);
    action *noted = atomic_get_relaxed(&handlers[signal].action);
    int noted_flags = atomic_get_relaxed(&handlers[signal].flags);
    struct sigaction ours;
    bool is_replaced = act != NULL && is_handler(act);
    if (is_replaced) {
        ours = *act;
        ours.sa_sigaction = run;
        ours.sa_flags |= SA_SIGINFO;
        atomic_put_relaxed(&handlers[signal].flags, act->sa_flags);
        atomic_put_relaxed(&handlers[signal].action, act->sa_sigaction);
        atomic_signal_fence(memory_order_seq_cst);
        act = &ours;
    }
    int result = next_sigaction(signal, act, old);
    if (result != 0 && is_replaced) {
        atomic_put_relaxed(&handlers[signal].flags, noted_flags);
        atomic_put_relaxed(&handlers[signal].action, noted);
    }
    if (result == 0 && old != NULL)
        reveal(old, noted, noted_flags);
    return result;
}

static sighandler_t install(int signal, sighandler_t handler, int flags, bool masks_itself)
{
    struct sigaction act = {.sa_handler = handler, .sa_flags = flags};
    struct sigaction old;
    sigemptyset(&act.sa_mask);
    if (handler == SIG_ERR || !is_signal(signal)) {
        errno = EINVAL;
        return SIG_ERR;
    }
    if (masks_itself)
        sigaddset(&act.sa_mask, signal);
    return sigaction(signal, &act, &old) == 0 ? old.sa_handler : SIG_ERR;
}

static uint64_t signal_bit(int signal)
{
    return UINT64_C(1) << (signal - 1);
}

/* BSD's: it stays installed, and system calls go on. */
EXPORT sighandler_t signal(int signal, sighandler_t handler)
{
    bool interrupts =
        is_signal(signal) && (atomic_get_relaxed(&interrupting) & signal_bit(signal)) != 0;
    return install(signal, handler, interrupts ? 0 : SA_RESTART, true);
}

/* System V's: for one signal only. */
EXPORT sighandler_t sysv_signal(int signal, sighandler_t handler)
{
    return install(signal, handler, (int)(SA_RESETHAND | SA_NODEFER), false);
}

EXPORT int siginterrupt(int signal, int interrupts)
{
    struct sigaction act;
    if (sigaction(signal, NULL, &act) != 0)
        return -1;
    if (interrupts) {
        (void)atomic_fetch_or_explicit(&interrupting, signal_bit(signal), memory_order_relaxed);
        act.sa_flags &= ~SA_RESTART;
    } else {
        (void)atomic_fetch_and_explicit(&interrupting, ~signal_bit(signal), memory_order_relaxed);
        act.sa_flags |= SA_RESTART;
    }
    return sigaction(signal, &act, NULL);
}

#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmissing-attributes" /* aliases need no promises of their own */
#endif

/* Other names of the same. */
EXPORT __typeof__(signal) bsd_signal __attribute__((alias("signal")));
EXPORT __typeof__(signal) ssignal __attribute__((alias("signal")));
EXPORT __typeof__(signal) __sysv_signal __attribute__((alias("sysv_signal")));
