/* SPDX-License-Identifier: MIT */
/*
 * The functions that install signal handlers, which the library takes over: a program must not see
 * that. Run without the library it passes as well.
 */
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* siginterrupt */

static volatile sig_atomic_t n_plain;
static volatile sig_atomic_t n_informed;
static volatile sig_atomic_t was_blocked;
static siginfo_t information;
static void *interrupted;

static void plain(int signal)
{
    sigset_t blocked;
    CHECK(sigprocmask(SIG_BLOCK, NULL, &blocked) == 0);
    was_blocked = sigismember(&blocked, signal);
    n_plain++;
}

static void other(int signal)
{
    (void)signal;
}

static void informed(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    information = *info;
    interrupted = context;
    n_informed++;
}

static void old_actions_are_the_programs_own(void)
{
    struct sigaction act = {.sa_handler = plain, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
    struct sigaction old;
    sigaddset(&act.sa_mask, SIGUSR2);
    CHECK(sigaction(SIGUSR1, &act, &old) == 0);
    CHECK(old.sa_handler == SIG_DFL);
    CHECK(sigaction(SIGUSR1, NULL, &old) == 0);
    CHECK(old.sa_handler == plain);
    CHECK((old.sa_flags & (SA_RESTART | SA_NOCLDSTOP | SA_SIGINFO)) == act.sa_flags);
    CHECK(sigismember(&old.sa_mask, SIGUSR2) && !sigismember(&old.sa_mask, SIGHUP));

    act = (struct sigaction){.sa_sigaction = informed, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGUSR1, &act, &old) == 0);
    CHECK(old.sa_handler == plain && (old.sa_flags & SA_SIGINFO) == 0);
    CHECK(sigaction(SIGUSR1, &old, &act) == 0); /* back again */
    CHECK(act.sa_sigaction == informed && (act.sa_flags & SA_SIGINFO) != 0);
    CHECK(raise(SIGUSR1) == 0 && n_plain == 1 && n_informed == 0);

    /* In and out by the same struct. */
    act = (struct sigaction){.sa_handler = other};
    struct sigaction *volatile same = &act;
    CHECK(sigaction(SIGUSR1, &act, same) == 0 && act.sa_handler == plain);

    CHECK(signal(SIGUSR1, SIG_IGN) == other);
    CHECK(raise(SIGUSR1) == 0);
    CHECK(signal(SIGUSR1, SIG_DFL) == SIG_IGN);
    CHECK(signal(SIGUSR1, plain) == SIG_DFL);
    CHECK(signal(SIGUSR1, plain) == plain);
}

static void handlers_get_what_the_kernel_sends(void)
{
    struct sigaction act = {.sa_sigaction = informed, .sa_flags = SA_SIGINFO};
    union sigval value = {.sival_int = 4711};
    CHECK(sigaction(SIGRTMIN + 3, &act, NULL) == 0);
    CHECK(sigqueue(getpid(), SIGRTMIN + 3, value) == 0);
    CHECK(n_informed == 1 && information.si_value.sival_int == 4711);
    CHECK(information.si_signo == SIGRTMIN + 3 && information.si_pid == getpid());
    CHECK(interrupted != NULL);
}

static void flags_and_masks_hold(void)
{
    struct sigaction act = {.sa_handler = plain};
    struct sigaction now;
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    CHECK(raise(SIGUSR1) == 0 && was_blocked);
    act.sa_flags = SA_NODEFER;
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    CHECK(raise(SIGUSR1) == 0 && !was_blocked);
    act.sa_flags = (int)SA_RESETHAND;
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    CHECK(raise(SIGUSR1) == 0);
    CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_handler == SIG_DFL);

    CHECK(sysv_signal(SIGUSR1, plain) == SIG_DFL);
    CHECK(raise(SIGUSR1) == 0);
    CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_handler == SIG_DFL);

    CHECK(signal(SIGUSR1, plain) == SIG_DFL);
    CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && (now.sa_flags & SA_RESTART) != 0);
    CHECK(siginterrupt(SIGUSR1, 1) == 0);
    CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && (now.sa_flags & SA_RESTART) == 0);
    CHECK(now.sa_handler == plain);
    CHECK(signal(SIGUSR1, plain) == plain);
    CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && (now.sa_flags & SA_RESTART) == 0);
    CHECK(siginterrupt(SIGUSR1, 0) == 0);
    CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && (now.sa_flags & SA_RESTART) != 0);
}

static void sigset_unblocks_and_tells_what_was_there(void)
{
    CHECK(signal(SIGUSR1, plain) != SIG_ERR);
    CHECK(sigset(SIGUSR1, other) == plain);
    CHECK(sigset(SIGUSR1, SIG_HOLD) == other);
    CHECK(sigset(SIGUSR1, plain) == SIG_HOLD);
    sig_atomic_t before = n_plain;
    CHECK(raise(SIGUSR1) == 0 && n_plain == before + 1);
    CHECK(sigset(SIGUSR1, SIG_DFL) == plain);
}

static void bad_arguments_are_refused(void)
{
    struct sigaction act = {.sa_handler = plain};
    struct sigaction old;
    static const int bad[] = {0, -1, 65, 1000, SIGKILL, SIGSTOP};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        errno = 0;
        CHECK(sigaction(bad[i], &act, NULL) == -1 && errno == EINVAL);
        errno = 0;
        CHECK(signal(bad[i], plain) == SIG_ERR && errno == EINVAL);
    }
    CHECK(sigaction(SIGKILL, NULL, &old) == 0 && old.sa_handler == SIG_DFL);
    errno = 0;
    CHECK(signal(SIGUSR1, SIG_ERR) == SIG_ERR && errno == EINVAL);
    errno = 0;
    CHECK(sigset(SIGKILL, plain) == SIG_ERR && errno == EINVAL);
    errno = 0;
    CHECK(siginterrupt(0, 1) == -1 && errno == EINVAL);
}

/* It shares the memory of its parent, but not what the kernel knows of signals. */
static void a_child_of_vfork_resets_only_its_own(void)
{
    struct sigaction now;
    CHECK(signal(SIGUSR1, plain) != SIG_ERR);
    pid_t child = vfork();
    if (child == 0) {
        (void)signal(SIGUSR1, SIG_DFL);
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, NULL, 0) == child);
    CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_handler == plain);
    sig_atomic_t before = n_plain;
    CHECK(raise(SIGUSR1) == 0 && n_plain == before + 1);
}

/* libc itself gets and restores handlers there, around its own. */
static void system_leaves_handlers_alone(void)
{
    struct sigaction now;
    CHECK(signal(SIGINT, plain) != SIG_ERR && signal(SIGQUIT, plain) != SIG_ERR);
    CHECK(system("exit 3") == 3 << 8);
    CHECK(sigaction(SIGINT, NULL, &now) == 0 && now.sa_handler == plain);
    sig_atomic_t before = n_plain;
    CHECK(raise(SIGINT) == 0 && raise(SIGQUIT) == 0 && n_plain == before + 2);
}

/* More than can be told apart at once, by their masks. */
static void there_is_no_end_of_handlers(void)
{
    enum { N = 300 };
    for (int i = 0; i < N; i++) {
        struct sigaction act = {.sa_handler = plain};
        struct sigaction now;
        for (int bit = 0; bit < 9; bit++) {
            if ((i >> bit & 1) != 0)
                sigaddset(&act.sa_mask, SIGRTMIN + bit);
        }
        CHECK(sigaction(SIGUSR1, &act, NULL) == 0 && sigaction(SIGUSR1, NULL, &now) == 0);
        CHECK(now.sa_handler == plain && sigismember(&now.sa_mask, SIGRTMIN + 3) == (i >> 3 & 1));
        sig_atomic_t before = n_plain;
        CHECK(raise(SIGUSR1) == 0 && n_plain == before + 1 && was_blocked == 1);
    }
}

int main(void)
{
    old_actions_are_the_programs_own();
    handlers_get_what_the_kernel_sends();
    flags_and_masks_hold();
    sigset_unblocks_and_tells_what_was_there();
    bad_arguments_are_refused();
    a_child_of_vfork_resets_only_its_own();
    system_leaves_handlers_alone();
    there_is_no_end_of_handlers();
    return 0;
}
