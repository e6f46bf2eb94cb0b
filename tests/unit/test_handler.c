/* SPDX-License-Identifier: MIT */
#include "heap/handler.h"

#include "model.h"

#include <string.h>
#include <unistd.h>

/* Stacks are made up: what counts is where a frame lies. */
static ucontext_t no_alternate;

static void check_heap_is_back(const struct heap *heap)
{
    check(front_own == &heap->front && handler_heap() == NULL);
    void *p = heap_alloc(64);
    check_equal(owner_of(p), heap->number);
    heap_free(p);
}

static void check_is_guest(const struct heap *heap)
{
    check(front_own == &front_empty && handler_heap() == heap);
    void *p = heap_alloc(64);
    check(p != NULL && owner_of(p) != heap->number);
    heap_free(p);
}

static void body_returns(void *argument)
{
    (void)argument;
    attach();
    struct heap *heap = my_heap();
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    check(handler_begin(frame, &no_alternate) == HANDLER_OUTERMOST);
    check_is_guest(heap);
    check(handler_begin(frame - 1000, &no_alternate) == HANDLER_NESTED);
    check_is_guest(heap);
    handler_end(HANDLER_NESTED);
    check_is_guest(heap);
    handler_end(HANDLER_OUTERMOST);
    check_heap_is_back(heap);
    heap_check(heap);
}

static void test_the_heap_is_set_aside_while_a_handler_runs(void **state)
{
    (void)state;
    child_passes(body_returns, NULL);
}

/* It is known of, though there is no heap to set aside. */
static void body_guest(void *argument)
{
    (void)argument;
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    check(front_own == &front_empty && !handler_runs());
    check(handler_begin(frame, &no_alternate) == HANDLER_OF_GUEST);
    check(handler_runs());
    check(handler_begin(frame - 1000, &no_alternate) == HANDLER_NESTED);
    handler_end(HANDLER_NESTED);
    check(handler_runs());
    handler_end(HANDLER_OF_GUEST);
    check(!handler_runs());
    check(handler_begin(frame - 100000, &no_alternate) == HANDLER_OF_GUEST);
    check(!handler_runs()); /* it was left by a jump */
    check(handler_begin(frame - 100000, &no_alternate) == HANDLER_OF_GUEST);
    attach();
    check(handler_begin(frame, &no_alternate) == HANDLER_OUTERMOST);
    check_is_guest(handler_heap());
    handler_end(HANDLER_OUTERMOST);
}

static void test_handlers_of_guests_are_known_of(void **state)
{
    (void)state;
    child_passes(body_guest, NULL);
}

/* Whoever calls from above the handler's frame is not in the handler. */
static void body_jumps(void *argument)
{
    (void)argument;
    attach();
    struct heap *heap = my_heap();
    uintptr_t far_below = (uintptr_t)__builtin_frame_address(0) - 100000;
    check(handler_begin(far_below, &no_alternate) == HANDLER_OUTERMOST);
    check(handler_heap() == heap);
    heap_free(heap_alloc(64));
    check_heap_is_back(heap);
    heap_check(heap);
}

static void test_a_jump_out_of_a_handler_is_noticed(void **state)
{
    (void)state;
    child_passes(body_jumps, NULL);
}

static void body_alternate(void *argument)
{
    (void)argument;
    static char stack[4096];
    ucontext_t context = {.uc_stack = {.ss_sp = stack, .ss_size = sizeof stack}};
    attach();
    struct heap *heap = my_heap();
    /* On a stack that we are not on: the handler has been left. */
    check(handler_begin((uintptr_t)stack + 2000, &context) == HANDLER_OUTERMOST);
    heap_free(heap_alloc(64));
    check_heap_is_back(heap);

    /* On our stack, within it one on the other stack: still in the first. */
    check(handler_begin((uintptr_t)__builtin_frame_address(0), &context) == HANDLER_OUTERMOST);
    check(handler_begin((uintptr_t)stack + 2000, &context) == HANDLER_NESTED);
    check_is_guest(heap);
    handler_end(HANDLER_OUTERMOST);
    check_heap_is_back(heap);
}

static void test_stacks_of_handlers_are_told_apart(void **state)
{
    (void)state;
    child_passes(body_alternate, NULL);
}

/* A malloc that was cut short after it took the block. */
static void body_lost(void *argument)
{
    (void)argument;
    attach();
    struct heap *heap = my_heap();
    unsigned class = class_of(64);
    heap_free(heap_alloc(64));
    struct bin *bin = &heap->front.bins[class];
    size_t n = bin_count(heap, class);
    bin->head = bin->head->next;
    check_equal(bin_count(heap, class), n);
    check(handler_begin((uintptr_t)__builtin_frame_address(0) - 100000, &no_alternate) ==
          HANDLER_OUTERMOST);
    heap_free(heap_alloc(64));
    check_equal(bin_count(heap, class), n - 1);
    heap_check(heap);
    (void)heap_enter();
    heap_flush(heap);
    heap_leave();
    heap_check(heap);
}

static void test_bins_are_counted_after_a_jump(void **state)
{
    (void)state;
    child_passes(body_lost, NULL);
}

static void *end_in_handler(void *argument)
{
    for (int i = 0; i < 1000; i++)
        heap_free(heap_alloc(64));
    check(front_own != &front_empty);
    *(uint32_t *)argument = my_heap()->number;
    check(handler_begin((uintptr_t)__builtin_frame_address(0), &no_alternate) == HANDLER_OUTERMOST);
    return NULL;
}

static void body_thread_end(void *argument)
{
    (void)argument;
    uint32_t number = 0;
    attach();
    thread_run(end_in_handler, &number);
    check_parked(number);
}

static void test_a_thread_may_end_in_a_handler(void **state)
{
    (void)state;
    child_passes(body_thread_end, NULL);
}

/* ---- signals that come while the thread is inside ---- */

/* The thread sanitizer, and emulators, hold signals back until it suits them. */
#if defined(BASE_THREAD_SANITIZER) || !defined(__x86_64__)
enum { SIGNALS_COME_AT_ONCE = 0 };
#else
enum { SIGNALS_COME_AT_ONCE = 1 };
#endif

enum { ARRIVALS_MAX = 16 };

static volatile int n_arrived;
static volatile int arrived[ARRIVALS_MAX];

static void arrive(int signal, siginfo_t *info, void *context)
{
    if (handler_put_off(signal, info, context))
        return;
    enum handler_state state = handler_begin((uintptr_t)__builtin_frame_address(0), context);
    arrived[n_arrived++] = info->si_value.sival_int;
    handler_end(state);
}

static void send_one(int signal, int number)
{
    union sigval value = {.sival_int = number};
    check(pthread_sigqueue(pthread_self(), signal, value) == 0);
}

static void install(int signal)
{
    struct sigaction act = {.sa_sigaction = arrive, .sa_flags = SA_SIGINFO};
    sigfillset(&act.sa_mask);
    check(sigaction(signal, &act, NULL) == 0);
}

static bool is_blocked(int signal)
{
    sigset_t blocked;
    check(sigprocmask(SIG_BLOCK, NULL, &blocked) == 0);
    return sigismember(&blocked, signal);
}

static void body_put_off(void *argument)
{
    (void)argument;
    install(SIGUSR1);
    install(SIGSEGV);
    install(SIGCONT);
    send_one(SIGUSR1, 1);
    check(n_arrived == 1 && arrived[0] == 1);

    check(heap_enter());
    send_one(SIGUSR1, 2);
    check(n_arrived == 1 && is_blocked(SIGUSR1));
    send_one(SIGSEGV, 3); /* a fault does not wait, and neither does job control */
    send_one(SIGCONT, 4);
    check(n_arrived == 3 && arrived[1] == 3 && arrived[2] == 4);
    heap_leave();
    check(n_arrived == 4 && arrived[3] == 2 && !is_blocked(SIGUSR1));
    send_one(SIGUSR1, 5);
    check(n_arrived == 5 && arrived[4] == 5);
}

static void test_signals_wait_until_the_thread_leaves(void **state)
{
    (void)state;
    if (!SIGNALS_COME_AT_ONCE)
        skip();
    child_passes(body_put_off, NULL);
}

/* Several of one number are queued before the first is put off. */
static void body_order(void *argument)
{
    (void)argument;
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGRTMIN);
    install(SIGRTMIN);
    check(sigprocmask(SIG_BLOCK, &one, NULL) == 0);
    for (int i = 0; i < 6; i++)
        send_one(SIGRTMIN, i);
    check(heap_enter());
    check(sigprocmask(SIG_UNBLOCK, &one, NULL) == 0);
    check_equal((unsigned)n_arrived, 0);
    heap_leave();
    check_equal((unsigned)n_arrived, 6);
    for (int i = 0; i < 6; i++)
        check(arrived[i] == i);
}

static void test_queued_signals_stay_in_order(void **state)
{
    (void)state;
    if (!SIGNALS_COME_AT_ONCE)
        skip();
    child_passes(body_order, NULL);
}

/* A handler that comes before the thread has got to it lets what was put off come after itself. */
static void body_taken(void *argument)
{
    (void)argument;
    ucontext_t context;
    attach();
    memset(&context, 0, sizeof context);
    install(SIGUSR1);
    check(heap_enter());
    send_one(SIGUSR1, 1);
    sigaddset(&context.uc_sigmask, SIGUSR1);
    atomic_put_relaxed(&front_mine, front_own); /* half of heap_leave() */
    check(handler_begin((uintptr_t)__builtin_frame_address(0), &context) == HANDLER_OUTERMOST);
    check(!sigismember(&context.uc_sigmask, SIGUSR1));
    check(signals_put_off == 0 && n_arrived == 0);
    handler_end(HANDLER_OUTERMOST);
}

static void test_the_next_handler_takes_what_was_put_off(void **state)
{
    (void)state;
    if (!SIGNALS_COME_AT_ONCE)
        skip();
    child_passes(body_taken, NULL);
}

/* What interrupted the thread inside may wait for another signal, which must not be put off
 * then. */
static void body_watchdog(void *argument)
{
    (void)argument;
    ucontext_t context;
    memset(&context, 0, sizeof context);
    install(SIGUSR1);
    check(heap_enter());
    check(handler_begin((uintptr_t)__builtin_frame_address(0), &context) == HANDLER_INSIDE);
    send_one(SIGUSR1, 1);
    check_equal((unsigned)n_arrived, 1);
    handler_end(HANDLER_INSIDE);
    send_one(SIGUSR1, 2);
    check_equal((unsigned)n_arrived, 1);
    heap_leave();
    check_equal((unsigned)n_arrived, 2);
}

static void test_a_handler_that_runs_inside_may_be_interrupted(void **state)
{
    (void)state;
    if (!SIGNALS_COME_AT_ONCE)
        skip();
    child_passes(body_watchdog, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_heap_is_set_aside_while_a_handler_runs),
        cmocka_unit_test(test_handlers_of_guests_are_known_of),
        cmocka_unit_test(test_a_jump_out_of_a_handler_is_noticed),
        cmocka_unit_test(test_stacks_of_handlers_are_told_apart),
        cmocka_unit_test(test_bins_are_counted_after_a_jump),
        cmocka_unit_test(test_a_thread_may_end_in_a_handler),
        cmocka_unit_test(test_signals_wait_until_the_thread_leaves),
        cmocka_unit_test(test_queued_signals_stay_in_order),
        cmocka_unit_test(test_the_next_handler_takes_what_was_put_off),
        cmocka_unit_test(test_a_handler_that_runs_inside_may_be_interrupted),
    };
    return cmocka_run_group_tests_name("handler", tests, NULL, NULL);
}
