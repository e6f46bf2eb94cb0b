/* SPDX-License-Identifier: MIT */
#include "heap/handler.h"

#include "model.h"

#include <unistd.h>

/* Stacks are made up: what counts is where a frame lies. */
static const ucontext_t no_alternate;

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
    bool begun = handler_begin(frame, &no_alternate);
    check(begun);
    check_is_guest(heap);
    bool begun_within = handler_begin(frame - 1000, &no_alternate);
    check(!begun_within);
    check_is_guest(heap);
    handler_end(begun_within);
    check_is_guest(heap);
    handler_end(begun);
    check_heap_is_back(heap);
    heap_check(heap);
}

static void test_the_heap_is_set_aside_while_a_handler_runs(void **state)
{
    (void)state;
    child_passes(body_returns, NULL);
}

/* Whoever calls from above the handler's frame is not in the handler. */
static void body_jumps(void *argument)
{
    (void)argument;
    attach();
    struct heap *heap = my_heap();
    uintptr_t far_below = (uintptr_t)__builtin_frame_address(0) - 100000;
    check(handler_begin(far_below, &no_alternate));
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
    check(handler_begin((uintptr_t)stack + 2000, &context));
    heap_free(heap_alloc(64));
    check_heap_is_back(heap);

    /* On our stack, within it one on the other stack: still in the first. */
    check(handler_begin((uintptr_t)__builtin_frame_address(0), &context));
    check(!handler_begin((uintptr_t)stack + 2000, &context));
    check_is_guest(heap);
    handler_end(true);
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
    check(handler_begin((uintptr_t)__builtin_frame_address(0) - 100000, &no_alternate));
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
    check(handler_begin((uintptr_t)__builtin_frame_address(0), &no_alternate));
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

static volatile int n_arrived;
static volatile int value_arrived;

static void arrive(int signal, siginfo_t *info, void *context)
{
    if (handler_put_off(signal, info, context))
        return;
    value_arrived = info->si_value.sival_int;
    n_arrived++;
}

static void send_one(int signal, int number)
{
    union sigval value = {.sival_int = number};
    check(sigqueue(getpid(), signal, value) == 0);
}

static void body_put_off(void *argument)
{
    (void)argument;
    struct sigaction act = {.sa_sigaction = arrive, .sa_flags = SA_SIGINFO | SA_NODEFER};
    check(sigaction(SIGUSR1, &act, NULL) == 0 && sigaction(SIGSEGV, &act, NULL) == 0);
    check(sigaction(SIGRTMIN, &act, NULL) == 0);
    send_one(SIGUSR1, 1);
    check(n_arrived == 1 && value_arrived == 1);

    check(heap_enter());
    send_one(SIGUSR1, 2);
    send_one(SIGRTMIN, 3);
    send_one(SIGRTMIN, 4);
    check(n_arrived == 1);
    send_one(SIGSEGV, 5); /* a fault does not wait */
    check(n_arrived == 2 && value_arrived == 5);
    heap_leave();
    check(n_arrived == 5 && value_arrived != 5);

    sigset_t blocked;
    check(sigprocmask(SIG_BLOCK, NULL, &blocked) == 0);
    check(!sigismember(&blocked, SIGUSR1) && !sigismember(&blocked, SIGRTMIN));
    send_one(SIGUSR1, 6);
    check(n_arrived == 6 && value_arrived == 6);
}

static void test_signals_wait_until_the_thread_leaves(void **state)
{
    (void)state;
    child_passes(body_put_off, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_heap_is_set_aside_while_a_handler_runs),
        cmocka_unit_test(test_a_jump_out_of_a_handler_is_noticed),
        cmocka_unit_test(test_stacks_of_handlers_are_told_apart),
        cmocka_unit_test(test_bins_are_counted_after_a_jump),
        cmocka_unit_test(test_a_thread_may_end_in_a_handler),
        cmocka_unit_test(test_signals_wait_until_the_thread_leaves),
    };
    return cmocka_run_group_tests_name("handler", tests, NULL, NULL);
}
