/* SPDX-License-Identifier: MIT */
/*
 * malloc in signal handlers, under signals at a high rate:
 *
 *     signals storm    threads that malloc and free, small and large, and whose handlers do, too
 *     signals nested   two signals: handlers interrupt handlers
 *     signals raw      the same with a handler that the library was not told of, while the threads
 *                      take large blocks only: always in a slow path
 *     signals jump     handlers that never return, but jump out of whatever they interrupted
 *     signals forks    handlers that fork; the child goes on where its parent was interrupted
 *     signals fatal    a handler for the abort that ends a process whose free went wrong
 *     signals stack    handlers on a stack of their own that jump
 *     signals installed  threads that install handlers for the same signal
 *     signals watchdog a handler for the abort that waits for another signal
 */
#include "check.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

enum { N_THREADS = 3, N_SIGNALS = 1500, PERIOD_NS = 40000, N_BLOCKS = 64 };

struct held {
    unsigned char *block;
    size_t bytes;
    unsigned number;
};

static _Thread_local struct held held_by_handler[N_BLOCKS];
static _Thread_local struct held held_by_program[N_BLOCKS];
static _Thread_local uint64_t random_state;
static _Thread_local uint64_t handler_random_state;
static _Thread_local volatile unsigned n_handled;
static int least_shift; /* sizes are at least 1 << this */

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return *state >> 33;
}

static size_t some_size(uint64_t *state)
{
    unsigned shift = (unsigned)(next_random(state) % 18);
    if ((int)shift < least_shift)
        shift = (unsigned)least_shift;
    return ((size_t)1 << shift) + next_random(state) % ((size_t)1 << shift);
}

/* The two ends are enough, and quick. */
static void mark(struct held *held)
{
    size_t n = held->bytes < 64 ? held->bytes : 64;
    fill(held->block, n, held->number);
    fill(held->block + held->bytes - n, n, held->number);
}

static int is_marked(const struct held *held)
{
    size_t n = held->bytes < 64 ? held->bytes : 64;
    return is_filled(held->block + held->bytes - n, n, held->number) &&
           (held->bytes < 128 || is_filled(held->block, n, held->number));
}

/* Frees, takes or resizes the block in some slot. In a handler memory may be short: it has a small
 * area only, should it have interrupted malloc itself. */
static void step(struct held *slots, uint64_t *state, int may_fail)
{
    struct held *held = &slots[next_random(state) % N_BLOCKS];
    if (held->block != NULL)
        CHECK(is_marked(held));
    size_t bytes = some_size(state);
    if (held->block == NULL) {
        unsigned char *block = next_random(state) % 2 ? malloc(bytes) : calloc(1, bytes);
        CHECK(block != NULL || may_fail);
        if (block == NULL)
            return;
        *held = (struct held){block, bytes, (unsigned)next_random(state)};
        mark(held);
    } else if (next_random(state) % 4 == 0) {
        unsigned char *block = realloc(held->block, bytes);
        CHECK(block != NULL || may_fail);
        if (block == NULL)
            return;
        held->block = block;
        held->bytes = bytes;
        mark(held);
    } else {
        free(held->block);
        held->block = NULL;
    }
}

static void free_all(struct held *slots)
{
    for (int i = 0; i < N_BLOCKS; i++) {
        if (slots[i].block != NULL)
            CHECK(is_marked(&slots[i]));
        free(slots[i].block);
        slots[i].block = NULL;
    }
}

static void handle(int signal)
{
    (void)signal;
    for (int i = 0; i < 8; i++)
        step(held_by_handler, &handler_random_state, 1);
    n_handled++;
}

/* Signals for this thread until timer_delete. */
static timer_t start_timer(int signal, long period_ns)
{
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = signal};
    struct itimerspec period = {{0, period_ns}, {0, period_ns}};
#ifdef sigev_notify_thread_id
    event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
#else
    event._sigev_un._tid = (int)syscall(SYS_gettid);
#endif
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    CHECK(timer_settime(timer, 0, &period, NULL) == 0);
    return timer;
}

static timer_t start_signals(void)
{
    return start_timer(SIGUSR1, PERIOD_NS);
}

static void *work_under_signals(void *argument)
{
    random_state = (uintptr_t)argument;
    handler_random_state = random_state + 99;
    timer_t timer = start_signals();
    while (n_handled < N_SIGNALS)
        step(held_by_program, &random_state, 0);
    timer_delete(timer);
    free_all(held_by_program);
    free_all(held_by_handler);
    return NULL;
}

static void run_threads(void *(*work)(void *))
{
    pthread_t threads[N_THREADS];
    for (uintptr_t i = 0; i < N_THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0);
    for (int i = 0; i < N_THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    use_malloc(100);
}

static void storm(void)
{
    struct sigaction act = {.sa_handler = handle, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    run_threads(work_under_signals);
}

/* Handlers within handlers: another signal, another rhythm. Whoever is blocked for good would wait
 * here for ever. */
static void *work_under_two_signals(void *argument)
{
    timer_t timer = start_timer(SIGUSR2, PERIOD_NS * 3 / 4);
    (void)work_under_signals(argument);
    n_handled = 0;
    while (n_handled < N_SIGNALS / 10)
        step(held_by_program, &random_state, 0);
    timer_delete(timer);
    free_all(held_by_program);
    free_all(held_by_handler);
    return NULL;
}

/* Each handler has slots of its own: one may come while the other is at work on them. */
static void handle_plainly(int signal)
{
    (void)signal;
    for (unsigned i = 0; i < 4; i++) {
        char *block = malloc(200 + i);
        CHECK(block != NULL);
        fill(block, 200 + i, i);
        CHECK(is_filled(block, 200 + i, i));
        free(block);
    }
    n_handled++;
}

static void nested(void)
{
    struct sigaction act = {.sa_handler = handle, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    act.sa_handler = handle_plainly;
    CHECK(sigaction(SIGUSR2, &act, NULL) == 0);
    run_threads(work_under_two_signals);
}

/* What the kernel takes; libc gives it a way back from the handler, which is borrowed here. */
struct kernel_action {
    void *handler;
    unsigned long flags;
    void *restorer;
    uint64_t mask;
};

static void raw(void)
{
    struct sigaction act = {.sa_handler = handle, .sa_flags = SA_RESTART};
    struct kernel_action action;
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    CHECK(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &action, sizeof action.mask) == 0);
    action.handler = (void *)handle;
    CHECK(syscall(SYS_rt_sigaction, SIGUSR1, &action, NULL, sizeof action.mask) == 0);
    least_shift = 19;
    run_threads(work_under_signals);
}

/* ---- jumps ---- */

static _Thread_local sigjmp_buf before;
static _Thread_local volatile int may_jump;

/* On its way the jump lets signals in again, still on the handler's stack: they do not jump, or
 * there would be more and more of them there where handlers are slower than signals. */
static void jump(int signal)
{
    if (n_handled < N_SIGNALS)
        handle(signal);
    if (may_jump) {
        may_jump = 0;
        siglongjmp(before, 1);
    }
}

/* Of what was in hand when a jump cut it short nothing is known: these blocks are not looked at. */
static void *jump_under_signals(void *argument)
{
    random_state = (uintptr_t)argument;
    handler_random_state = random_state + 99;
    timer_t timer = start_signals();
    for (volatile unsigned i = 0; n_handled < N_SIGNALS; i++) {
        if (sigsetjmp(before, 1) == 0) {
            may_jump = 1;
            for (;;) {
                void *blocks[4];
                for (int k = 0; k < 4; k++)
                    blocks[k] = malloc(some_size(&random_state));
                for (int k = 0; k < 4; k++)
                    free(blocks[k]);
            }
        }
        may_jump = 0;
        step(held_by_program, &random_state, 0);
    }
    timer_delete(timer);
    use_malloc(200);
    free_all(held_by_program);
    free_all(held_by_handler);
    return NULL;
}

static void *jump_from_a_stack(void *argument)
{
    stack_t stack = {.ss_size = 1 << 16};
    stack.ss_sp = malloc(stack.ss_size);
    CHECK(stack.ss_sp != NULL && sigaltstack(&stack, NULL) == 0);
    (void)jump_under_signals(argument);
    stack.ss_flags = SS_DISABLE;
    CHECK(sigaltstack(&stack, NULL) == 0);
    free(stack.ss_sp);
    return NULL;
}

static void jumps(void *(*work)(void *), int flags)
{
    struct sigaction act = {.sa_handler = jump, .sa_flags = SA_RESTART | flags};
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    run_threads(work);
}

/* ---- forks ---- */

static void fork_now(int signal)
{
    (void)signal;
    if (++n_handled % 20 != 0)
        return;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        use_malloc(2);
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void forks(void)
{
    struct sigaction act = {.sa_handler = fork_now, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    run_threads(work_under_signals);
}

/* ---- installing ---- */

static volatile sig_atomic_t is_mixed_up;

/* One must find SIGHUP blocked, the other must not. */
static int hup_is_blocked(void)
{
    sigset_t blocked;
    CHECK(sigprocmask(SIG_BLOCK, NULL, &blocked) == 0);
    return sigismember(&blocked, SIGHUP);
}

static void with_mask(int signal)
{
    (void)signal;
    is_mixed_up |= !hup_is_blocked();
}

static void without_mask(int signal)
{
    (void)signal;
    is_mixed_up |= hup_is_blocked();
}

static void *install_again_and_again(void *argument)
{
    struct sigaction act = {.sa_handler = argument == NULL ? with_mask : without_mask};
    if (argument == NULL)
        sigaddset(&act.sa_mask, SIGHUP);
    for (int i = 0; i < 20000; i++) {
        CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
        CHECK(raise(SIGUSR1) == 0);
    }
    return NULL;
}

static void installed(void)
{
    pthread_t threads[2];
    for (uintptr_t i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, install_again_and_again, (void *)i) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(!is_mixed_up);
}

/* ---- the end ---- */

static void wake_up(int signal)
{
    (void)signal;
    free(malloc(100));
    _exit(0);
}

/* A crash reporter that does not trust itself. */
static void wait_for_the_watchdog(int signal)
{
    (void)signal;
    CHECK(alarm(1) == 0);
    for (;;)
        (void)pause();
}

static void watchdog(void)
{
    char *volatile block = malloc(100);
    CHECK(signal(SIGABRT, wait_for_the_watchdog) == SIG_DFL);
    CHECK(signal(SIGALRM, wake_up) == SIG_DFL);
    free(block + 16);
    CHECK(!"free of a pointer into a block went unnoticed");
}

static void say_goodbye(int signal)
{
    char *line = NULL;
    (void)signal;
    for (unsigned i = 0; i < 50; i++) {
        char *block = malloc(i * 20 + 1);
        CHECK(block != NULL);
        fill(block, i * 20 + 1, i);
        line = realloc(line, i * 100 + 10);
        CHECK(line != NULL);
        CHECK(is_filled(block, i * 20 + 1, i));
        free(block);
    }
    snprintf(line, 100, "goodbye\n");
    CHECK(write(1, line, strlen(line)) == 8);
    _exit(0);
}

static void fatal(void)
{
    char on_stack[64];
    char *volatile bad = on_stack + 16;
    free(malloc(10));
    CHECK(signal(SIGABRT, say_goodbye) == SIG_DFL);
    free(bad);
    CHECK(!"free of a pointer into the stack went unnoticed");
}

int main(int argc, char **argv)
{
    CHECK(argc == 2 && is_preloaded());
    if (strcmp(argv[1], "storm") == 0)
        storm();
    else if (strcmp(argv[1], "raw") == 0)
        raw();
    else if (strcmp(argv[1], "jump") == 0)
        jumps(jump_under_signals, 0);
    else if (strcmp(argv[1], "forks") == 0)
        forks();
    else if (strcmp(argv[1], "fatal") == 0)
        fatal();
    else if (strcmp(argv[1], "nested") == 0)
        nested();
    else if (strcmp(argv[1], "installed") == 0)
        installed();
    else if (strcmp(argv[1], "watchdog") == 0)
        watchdog();
    else if (strcmp(argv[1], "stack") == 0)
        jumps(jump_from_a_stack, SA_ONSTACK);
    else
        CHECK(!"no such part");
    return 0;
}
