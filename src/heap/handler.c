/* SPDX-License-Identifier: MIT */
#include "heap/handler.h"

#include "heap/heap.h"
#include "os/sys.h"

enum { BEHIND_MAX = 8 /* queued signals of one number that are kept in order */ };

/* A handler runs that interrupted this thread inside: nothing leaves until it is over. */
static THREAD_LOCAL bool is_handled_inside;

THREAD_LOCAL volatile uint64_t signals_put_off;

/* While a handler runs: the heap whose front front_own was before; or, of a thread that had none,
 * one more than the handler's frame, which makes it odd. Else 0. */
static THREAD_LOCAL uintptr_t handling;

/* Raised by what the thread does, so that it would be raised again at once; or job control. */
static bool cannot_wait(int signal)
{
    switch (signal) {
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case SIGSYS:
    case SIGABRT:
    case SIGCONT:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
        return true;
    default:
        return false;
    }
}

/* Or NULL. */
static struct heap *set_aside(void)
{
    return (handling & 1) == 0 ? (struct heap *)handling : NULL;
}

/* To the front of those of the same number that are queued for this thread: these are taken out and
 * sent again behind it. */
static bool send_again(int signal, const siginfo_t *info)
{
    siginfo_t behind[BEHIND_MAX];
    int n = 0;
    if (signal >= __SIGRTMIN) {
        while (n < BEHIND_MAX && sys_signal_take(SIGNAL_BIT(signal), &behind[n]) == signal)
            n++;
    }
    bool sent = sys_signal_self(signal, info) == 0;
    for (int i = 0; i < n; i++)
        (void)sys_signal_self(signal, &behind[i]);
    return sent;
}

bool handler_put_off(int signal, const siginfo_t *info, ucontext_t *context)
{
    if (LIKELY(!heap_is_inside()) || is_handled_inside || cannot_wait(signal) ||
        !send_again(signal, info))
        return false;
    sigaddset(&context->uc_sigmask, signal);
    signals_put_off |= SIGNAL_BIT(signal);
    return true;
}

/* First they may come, then the note of them goes: a handler that finds it meanwhile takes them out
 * of a mask that they are not in. */
COLD void handler_deliver(void)
{
    (void)sys_signals_unblock(signals_put_off);
    signals_put_off = 0;
}

/* Those that wait come when this handler returns. */
static void take_put_off(ucontext_t *context)
{
    uint64_t bits = signals_put_off;
    signals_put_off = 0;
    for (int signal = 1; bits != 0; signal++, bits >>= 1) {
        if ((bits & 1) != 0)
            sigdelset(&context->uc_sigmask, signal);
    }
}

static void note_alternate(struct handler_stacks *stacks, uintptr_t frame, const stack_t *stack)
{
    uintptr_t begin = (uintptr_t)stack->ss_sp;
    if (frame < begin || frame - begin >= stack->ss_size)
        return;
    stacks->alternate_begin = begin;
    stacks->alternate_end = begin + stack->ss_size;
}

/* One that was left by a jump may still be noted: then this one counts as within it. */
static enum handler_state begin_of_guest(uintptr_t frame)
{
    if (handling != 0)
        return HANDLER_NESTED;
    handling = frame | 1;
    return HANDLER_OF_GUEST;
}

enum handler_state handler_begin(uintptr_t frame, ucontext_t *context)
{
    if (heap_is_inside()) {
        if (is_handled_inside)
            return HANDLER_NESTED;
        is_handled_inside = true;
        return HANDLER_INSIDE;
    }
    if (signals_put_off != 0)
        take_put_off(context);
    struct heap *outer = set_aside();
    if (outer != NULL) { /* a handler within a handler */
        note_alternate(&outer->handler, frame, &context->uc_stack);
        return HANDLER_NESTED;
    }
    if (front_own == &front_empty)
        return begin_of_guest(frame);
    struct heap *heap = heap_of(front_own);
    heap->handler = (struct handler_stacks){.frame = frame};
    note_alternate(&heap->handler, frame, &context->uc_stack);
    handling = (uintptr_t)heap;
    front_own = (struct front *)&front_empty;
    atomic_put_relaxed(&front_mine, front_own);
    return HANDLER_OUTERMOST;
}

void handler_end(enum handler_state state)
{
    if (state == HANDLER_INSIDE)
        is_handled_inside = false;
    struct heap *heap = set_aside();
    if (heap == NULL && (state == HANDLER_OF_GUEST || state == HANDLER_OUTERMOST))
        handling = 0;
    if (heap == NULL || state != HANDLER_OUTERMOST)
        return;
    front_own = &heap->front;
    handling = 0;
    if (!heap_is_inside())
        atomic_put_relaxed(&front_mine, front_outside());
}

static bool is_alternate(const struct handler_stacks *stacks, uintptr_t address)
{
    return address >= stacks->alternate_begin && address < stacks->alternate_end;
}

/* Whether code whose frame is `here` belongs to a handler. Where the two stacks do not tell, it
 * does: being a guest for too long costs nothing but time. */
static bool is_in_handler(const struct handler_stacks *stacks, uintptr_t here)
{
    if (is_alternate(stacks, here) == is_alternate(stacks, stacks->frame))
        return here <= stacks->frame;
    return is_alternate(stacks, here);
}

NOINLINE struct heap *handler_heap_back(void)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    struct heap *heap = set_aside();
    if (heap == NULL || is_in_handler(&heap->handler, here))
        return NULL;
    handler_forget();
    return heap;
}

struct heap *handler_heap(void)
{
    return set_aside();
}

/* A guest's handler that was left by a jump from another stack may pass for one that runs, until
 * the thread has a heap: then nobody is asked to make room for this thread. */
bool handler_runs(void)
{
    if (set_aside() != NULL || handling == 0)
        return handling != 0;
    if ((uintptr_t)__builtin_frame_address(0) < handling)
        return true;
    handling = 0; /* it was left by a jump */
    return false;
}

void handler_forget(void)
{
    struct heap *heap = set_aside();
    if (heap == NULL)
        return;
    front_own = &heap->front;
    handling = 0;
    heap_count_bins(heap);
}

void handler_lose(void)
{
    handling = set_aside()->handler.frame | 1;
}
