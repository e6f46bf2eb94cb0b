/* SPDX-License-Identifier: MIT */
/*
 * With the option for it a thread of the library gives memory back while the program makes no
 * calls; in a child of fork as well. The thread takes no signals, and has the library's name.
 */
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { N_BLOCKS = 20000, BYTES = 2000, PATIENCE_MS = 60000 };

/* No call in here allocates. */
static size_t resident_bytes(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    CHECK(fd >= 0 && n > 0 && close(fd) == 0);
    text[n] = '\0';
    char *second = strchr(text, ' ');
    CHECK(second != NULL);
    return strtoul(second, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

static void wait_for_less_than(size_t bytes)
{
    struct timespec some_ms = {0, 20 * 1000000};
    for (int ms = 0; resident_bytes() >= bytes; ms += 20) {
        CHECK(ms < PATIENCE_MS);
        CHECK(nanosleep(&some_ms, NULL) == 0);
    }
}

static void take_and_wait(void)
{
    static void *blocks[N_BLOCKS];
    size_t before = resident_bytes();
    for (unsigned i = 0; i < N_BLOCKS; i++) {
        blocks[i] = malloc(BYTES);
        CHECK(blocks[i] != NULL);
        fill(blocks[i], BYTES, i);
    }
    CHECK(resident_bytes() >= before + (size_t)N_BLOCKS * BYTES / 2);
    for (unsigned i = 0; i < N_BLOCKS; i++) {
        CHECK(is_filled(blocks[i], BYTES, i));
        free(blocks[i]);
    }
    wait_for_less_than(before + (size_t)N_BLOCKS * BYTES / 10);
}

static volatile sig_atomic_t n_signals;
static pthread_t handled_by;

static void note_thread(int signal)
{
    (void)signal;
    handled_by = pthread_self();
    n_signals++;
}

/* This thread blocks it: the library's must not take it instead. */
static void send_signal_that_nobody_takes(void)
{
    struct timespec some_ms = {0, 50 * 1000000};
    sigset_t one;
    sigset_t pending;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    CHECK(signal(SIGUSR1, note_thread) != SIG_ERR);
    CHECK(sigprocmask(SIG_BLOCK, &one, NULL) == 0);
    CHECK(kill(getpid(), SIGUSR1) == 0);
    CHECK(nanosleep(&some_ms, NULL) == 0);
    CHECK(n_signals == 0);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
    CHECK(sigprocmask(SIG_UNBLOCK, &one, NULL) == 0);
    CHECK(n_signals == 1 && pthread_equal(handled_by, pthread_self()));
}

int main(void)
{
    int status = 0;
    CHECK(is_preloaded());
    take_and_wait();
    send_signal_that_nobody_takes();
    pid_t child = fork();
    if (child == 0) {
        take_and_wait();
        _exit(7);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    take_and_wait();
    return 0;
}
