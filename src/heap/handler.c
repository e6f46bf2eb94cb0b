/* SPDX-License-Identifier: MIT */
#include "heap/handler.h"

#include "heap/heap.h"
#include "os/sys.h"

THREAD_LOCAL volatile uint64_t signals_put_off;

/* Whose front front_own was before the handler. */
static THREAD_LOCAL struct heap *set_aside;

static uint64_t signal_bit(int signal)
{
    return UINT64_C(1) << (signal - 1);
}

/* Raised by what the thread does: it would be raised again at once. */
static bool is_fault(int signal)
{
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL ||
           signal == SIGTRAP || signal == SIGSYS || signal == SIGABRT;
}

bool handler_put_off(int signal, siginfo_t *info, ucontext_t *context)
{
    if (LIKELY(atomic_get_relaxed(&front_mine) != &front_inside) || is_fault(signal))
        return false;
    uint64_t bit = signal_bit(signal);
    /* Blocked before it is sent, for a handler may be open to its own signal. */
    if (sys_signals_block(bit) < 0 || sys_signal_self(signal, info) < 0)
        return false;
    /* And when this handler has returned. */
    sigaddset(&context->uc_sigmask, signal);
    signals_put_off |= bit;
    return true;
}

COLD void handler_deliver(void)
{
    uint64_t bits = signals_put_off;
    signals_put_off = 0;
    (void)sys_signals_unblock(bits);
}

static void note_alternate(struct handler_stacks *stacks, uintptr_t frame, const stack_t *stack)
{
    uintptr_t begin = (uintptr_t)stack->ss_sp;
    if (frame < begin || frame - begin >= stack->ss_size)
        return;
    stacks->alternate_begin = begin;
    stacks->alternate_end = begin + stack->ss_size;
}

bool handler_begin(uintptr_t frame, const ucontext_t *context)
{
    if (set_aside != NULL) { /* a handler within a handler */
        note_alternate(&set_aside->handler, frame, &context->uc_stack);
        return false;
    }
    if (front_own == &front_empty || atomic_get_relaxed(&front_mine) == &front_inside)
        return false;
    struct heap *heap = heap_of(front_own);
    heap->handler = (struct handler_stacks){.frame = frame};
    note_alternate(&heap->handler, frame, &context->uc_stack);
    set_aside = heap;
    front_own = (struct front *)&front_empty;
    atomic_put_relaxed(&front_mine, front_own);
    return true;
}

void handler_end(bool begun)
{
    if (!begun || set_aside == NULL)
        return;
    front_own = &set_aside->front;
    set_aside = NULL;
    atomic_signal_fence(memory_order_seq_cst);
    if (atomic_get_relaxed(&front_mine) != &front_inside)
        atomic_put_relaxed(&front_mine, front_own);
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
    struct heap *heap = set_aside;
    if (heap == NULL || is_in_handler(&heap->handler, here))
        return NULL;
    handler_forget();
    return heap;
}

struct heap *handler_heap(void)
{
    return set_aside;
}

void handler_forget(void)
{
    struct heap *heap = set_aside;
    if (heap == NULL)
        return;
    front_own = &heap->front;
    set_aside = NULL;
    heap_count_bins(heap);
}
