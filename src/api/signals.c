/* SPDX-License-Identifier: MIT */
/*
 * The functions that install signal handlers: the kernel is given one of ours, which runs the
 * program's (heap/handler.h). What the program asks for, it gets told: its own handlers and flags.
 *
 * Ours are many small functions, one a slot. A slot says for ever what to do: which handler, with
 * which mask and flags. So what the kernel has is always of a piece, however many threads install
 * handlers at once; and an address of ours that another library got hold of, and calls or installs
 * later, still means what it meant. When all slots are taken, handlers are installed as they are.
 *
 * The kernel blocks everything while ours begins; the program's handler then gets the mask that it
 * would have had. SIG_DFL and SIG_IGN go to the kernel as they are, so that a child of vfork that
 * resets its signals changes nothing of its parent's. Not taken over: bare system calls.
 *
 * The one signal that the program does not get to see is one that asks for a dump (obs/dump.h).
 */
#include "base/atomic.h"
#include "conf/options.h"
#include "heap/guard.h"
#include "heap/handler.h"
#include "obs/dump.h"
#include "os/process.h"
#include "os/sys.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

enum { N_SIGNALS = 64, N_SLOTS = 128 };

typedef void action(int signal, siginfo_t *info, void *context);

struct slot {
    _Atomic bool is_ready; /* the rest does not change any more */
    action *action;
    int flags;
    sigset_t mask;
};

static struct slot slots[N_SLOTS];
static _Atomic uint32_t n_slots; /* taken */

static uint64_t low_bits(const sigset_t *set)
{
    uint64_t bits;
    memcpy(&bits, set, sizeof bits);
    return bits;
}

/* ---- running a handler ---- */

static const struct sigaction default_action = {.sa_handler = SIG_DFL};

static uint64_t mask_for(const struct slot *slot, int signal, const ucontext_t *context)
{
    uint64_t mask = low_bits(&context->uc_sigmask) | low_bits(&slot->mask);
    bool is_open = (slot->flags & SA_NODEFER) != 0;
    return is_open ? mask : mask | SIGNAL_BIT(signal);
}

/* Signals are blocked already, unless somebody else than the kernel calls. */
static void run(const struct slot *slot, int signal, siginfo_t *info, void *context)
{
    uint64_t before = 0;
    int saved_errno = errno;
    (void)sys_signals_block(UINT64_MAX, &before);
    bool is_by_kernel = (before | SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP)) == UINT64_MAX;
    if (is_by_kernel && handler_put_off(signal, info, context))
        return;
    enum handler_state state = handler_begin((uintptr_t)__builtin_frame_address(0), context);
    if (is_by_kernel && dump_is_asked_for(signal, info)) {
        dump_now(DUMP_CAUSE_SIGNAL);
        handler_end(state);
        errno = saved_errno;
        return;
    }
    if (signal == SIGSEGV)
        guard_report_fault(info);
    if ((slot->flags & (int)SA_RESETHAND) != 0)
        (void)sigaction(signal, &default_action, NULL);
    errno = saved_errno;
    (void)sys_signals_set(is_by_kernel ? mask_for(slot, signal, context) : before);
    slot->action(signal, info, context);
    (void)sys_signals_block(UINT64_MAX, &before);
    handler_end(state);
    if (!is_by_kernel)
        (void)sys_signals_set(before);
}

/* clang-format off */
#define RUN(n)   static void run_##n(int s, siginfo_t *i, void *c) { run(&slots[0x##n], s, i, c); }
#define RUNS(n)  RUN(n##0) RUN(n##1) RUN(n##2) RUN(n##3) RUN(n##4) RUN(n##5) RUN(n##6) RUN(n##7) \
                 RUN(n##8) RUN(n##9) RUN(n##a) RUN(n##b) RUN(n##c) RUN(n##d) RUN(n##e) RUN(n##f)
#define NAMES(n) run_##n##0, run_##n##1, run_##n##2, run_##n##3, run_##n##4, run_##n##5, \
                 run_##n##6, run_##n##7, run_##n##8, run_##n##9, run_##n##a, run_##n##b, \
                 run_##n##c, run_##n##d, run_##n##e, run_##n##f
RUNS(0) RUNS(1) RUNS(2) RUNS(3) RUNS(4) RUNS(5) RUNS(6) RUNS(7)
static action *const runs[] = {NAMES(0), NAMES(1), NAMES(2), NAMES(3),
                               NAMES(4), NAMES(5), NAMES(6), NAMES(7)};
/* clang-format on */
_Static_assert(ARRAY_LEN(runs) == N_SLOTS, "one a slot");

/* ---- slots ---- */

/* The slot that this is the function of, or NULL. */
static const struct slot *slot_of(action *function)
{
    for (size_t i = 0; i < N_SLOTS; i++) {
        if (runs[i] == function)
            return &slots[i];
    }
    return NULL;
}

static bool slot_says(const struct slot *slot, const struct sigaction *act)
{
    return atomic_get_acquire(&slot->is_ready) && slot->action == act->sa_sigaction &&
           slot->flags == act->sa_flags && low_bits(&slot->mask) == low_bits(&act->sa_mask);
}

/* Also in signal handlers, hence without a lock: at worst two slots say the same. */
static action *slot_make(const struct sigaction *act)
{
    for (size_t i = 0; i < N_SLOTS; i++) {
        if (slot_says(&slots[i], act))
            return runs[i];
    }
    if (atomic_get_relaxed(&n_slots) >= N_SLOTS)
        return NULL;
    uint32_t i = atomic_add_relaxed(&n_slots, 1);
    if (i >= N_SLOTS)
        return NULL;
    slots[i].action = act->sa_sigaction;
    slots[i].flags = act->sa_flags;
    slots[i].mask = act->sa_mask;
    atomic_put_release(&slots[i].is_ready, true);
    return runs[i];
}

/* ---- what programs call ---- */

static bool is_signal(int signal)
{
    return signal >= 1 && signal <= N_SIGNALS;
}

static bool is_handler(const struct sigaction *act)
{
    return act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN && act->sa_handler != SIG_ERR &&
           slot_of(act->sa_sigaction) == NULL;
}

static void reveal(struct sigaction *old)
{
    const struct slot *slot = slot_of(old->sa_sigaction);
    if (old->sa_sigaction == guard_on_fault)
        *old = (struct sigaction){.sa_handler = SIG_DFL};
    if (slot == NULL)
        return;
    old->sa_sigaction = slot->action;
    old->sa_flags = slot->flags;
    old->sa_mask = slot->mask;
}

/* Ours in place of the program's; NULL: none. */
static action *function_for(int signal, const struct sigaction *act)
{
    if (is_handler(act))
        return slot_make(act);
    return signal == SIGSEGV && act->sa_handler == SIG_DFL && guard_area_bytes > 0 ? guard_on_fault
                                                                                   : NULL;
}

EXPORT int sigaction(int signal, const struct sigaction *act, struct sigaction *old)
{
    if (!options.guard_handlers || !is_signal(signal) || os_is_bypassed())
        return os_next_sigaction(signal, act, old);
    struct sigaction ours;
    action *function = act != NULL ? function_for(signal, act) : NULL;
    if (function != NULL) {
        ours = *act;
        ours.sa_sigaction = function;
        ours.sa_flags = (act->sa_flags & ~(int)(SA_RESETHAND | SA_NODEFER)) | SA_SIGINFO;
        memset(&ours.sa_mask, 0xff, sizeof ours.sa_mask); /* libc's own as well */
        act = &ours;
    }
    int result = os_next_sigaction(signal, act, old);
    if (result == 0 && old != NULL)
        reveal(old);
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

/* Signals whose handlers shall interrupt system calls: siginterrupt(). */
static _Atomic uint64_t interrupting;

/* BSD's: it stays installed, and system calls go on. */
EXPORT sighandler_t signal(int signal, sighandler_t handler)
{
    bool interrupts =
        is_signal(signal) && (atomic_get_relaxed(&interrupting) & SIGNAL_BIT(signal)) != 0;
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
        (void)atomic_fetch_or_explicit(&interrupting, SIGNAL_BIT(signal), memory_order_relaxed);
        act.sa_flags &= ~SA_RESTART;
    } else {
        (void)atomic_fetch_and_explicit(&interrupting, ~SIGNAL_BIT(signal), memory_order_relaxed);
        act.sa_flags |= SA_RESTART;
    }
    return sigaction(signal, &act, NULL);
}

/* System V's second: it stays installed, and the signal is unblocked, or blocked for SIG_HOLD.
 * Answers SIG_HOLD when it was blocked, else what was installed. */
EXPORT sighandler_t sigset(int signal, sighandler_t handler)
{
    sigset_t one;
    sigset_t before;
    struct sigaction old;
    if (handler == SIG_ERR || !is_signal(signal)) {
        errno = EINVAL;
        return SIG_ERR;
    }
    sigemptyset(&one);
    sigaddset(&one, signal);
    if (sigaction(signal, NULL, &old) != 0)
        return SIG_ERR;
    if (handler != SIG_HOLD && install(signal, handler, 0, false) == SIG_ERR)
        return SIG_ERR;
    if (sigprocmask(handler == SIG_HOLD ? SIG_BLOCK : SIG_UNBLOCK, &one, &before) != 0)
        return SIG_ERR;
    return sigismember(&before, signal) ? SIG_HOLD : old.sa_handler;
}

#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmissing-attributes" /* aliases need no promises of their own */
#endif

/* Other names of the same. */
EXPORT __typeof__(signal) bsd_signal __attribute__((alias("signal")));
EXPORT __typeof__(signal) ssignal __attribute__((alias("signal")));
EXPORT __typeof__(signal) __sysv_signal __attribute__((alias("sysv_signal")));
