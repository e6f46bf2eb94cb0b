/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "base/bits.h"
#include "mem/map.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the process and its children ---- */

static pthread_t test_thread;
static pid_t test_process;

/* In a child the handlers of cmocka and of sanitizers would make something else of a signal. */
static void die_plainly(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGABRT};
    static const struct rlimit no_core = {0, 0};
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        (void)signal(signals[i], SIG_DFL);
    (void)setrlimit(RLIMIT_CORE, &no_core);
}

__attribute__((constructor)) static void remember_who_tests(void)
{
    test_thread = pthread_self();
    test_process = getpid();
    (void)pthread_atfork(NULL, NULL, die_plainly); /* before what other handlers do */
}

/* ---- checks ---- */

NORETURN static void check_over(const char *file, int line, const char *text)
{
    if (pthread_equal(test_thread, pthread_self()) && test_process == getpid()) {
        print_error("%s\n", text);
        _fail(file, line);
    }
    (void)fprintf(stderr, "%s:%d: %s\n", file, line, text);
    abort();
}

void check_failed(const char *file, int line, const char *what)
{
    char text[512];
    (void)snprintf(text, sizeof text, "does not hold: %s", what);
    check_over(file, line, text);
}

void check_equal_at(const char *file, int line, const char *what, uint64_t a, uint64_t b)
{
    char text[512];
    if (a == b)
        return;
    (void)snprintf(text, sizeof text, "%llu != %llu: %s", (unsigned long long)a,
                   (unsigned long long)b, what);
    check_over(file, line, text);
}

/* ---- children ---- */

struct child_end {
    int status; /* as of waitpid */
    char text[2048];
};

static void read_all(int fd, char *text, size_t bytes)
{
    size_t n = 0;
    ssize_t got;
    while ((got = read(fd, text + n, bytes - 1 - n)) > 0)
        n += (size_t)got;
    text[n] = '\0';
}

/* An emulator that runs the tests for another machine has a last word of its own. */
static void cut_emulators_line(char *text)
{
    char *line = strstr(text, "qemu: uncaught target signal");
    if (line != NULL)
        *line = '\0';
}

NORETURN static void be_the_child(const int *pipe_fds, void (*body)(void *), void *argument)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* if it hangs, it ends with the test */
    (void)dup2(pipe_fds[1], 2);
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
    body(argument);
    exit(EXIT_SUCCESS);
}

struct child child_start(void (*body)(void *), void *argument)
{
    int pipe_fds[2];
    (void)fflush(NULL);
    check(pipe(pipe_fds) == 0);
    pid_t process = fork();
    check(process >= 0);
    if (process == 0)
        be_the_child(pipe_fds, body, argument);
    (void)close(pipe_fds[1]);
    return (struct child){process, pipe_fds[0]};
}

static struct child_end child_end(struct child child)
{
    struct child_end end = {0};
    read_all(child.fd, end.text, sizeof end.text);
    cut_emulators_line(end.text);
    (void)close(child.fd);
    check(waitpid(child.process, &end.status, 0) == child.process);
    return end;
}

static void show(const struct child_end *end)
{
    print_error("the child's status: %#x; it wrote:\n%s\n", (unsigned)end->status, end->text);
}

void child_join(struct child child)
{
    struct child_end end = child_end(child);
    bool passed = WIFEXITED(end.status) && WEXITSTATUS(end.status) == EXIT_SUCCESS;
    if (!passed)
        show(&end);
    check(passed);
}

void child_passes(void (*body)(void *), void *argument)
{
    child_join(child_start(body, argument));
}

void child_aborts(void (*body)(void *), void *argument, const char *expected)
{
    struct child_end end = child_end(child_start(body, argument));
    bool aborted = WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGABRT;
    if (!aborted || strcmp(end.text, expected) != 0) {
        show(&end);
        print_error("expected was an abort after:\n%s\n", expected);
    }
    check(aborted);
    check(strcmp(end.text, expected) == 0);
}

void child_dies(void (*body)(void *), void *argument, int signal, int or_signal)
{
    struct child_end end = child_end(child_start(body, argument));
    bool died = WIFSIGNALED(end.status) &&
                (WTERMSIG(end.status) == signal || WTERMSIG(end.status) == or_signal);
    if (!died)
        show(&end);
    check(died);
}

/* ---- threads ---- */

pthread_t thread_start(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    check(pthread_create(&thread, NULL, body, argument) == 0);
    return thread;
}

void thread_join(pthread_t thread)
{
    check(pthread_join(thread, NULL) == 0);
}

void thread_run(void *(*body)(void *), void *argument)
{
    thread_join(thread_start(body, argument));
}

/* ---- addresses, numbers and patterns ---- */

uintptr_t unused_border(void)
{
    size_t bytes = 3 * (size_t)1 << LEAF_SHIFT;
    void *space = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(space != MAP_FAILED);
    check(munmap(space, bytes) == 0);
    return round_up((uintptr_t)space + GIB, (size_t)1 << LEAF_SHIFT);
}

uint64_t random_next(struct random *random)
{
    return mix_bits(random->state += UINT64_C(0x9e3779b97f4a7c15));
}

size_t random_below(struct random *random, size_t limit)
{
    return random_next(random) % limit;
}

size_t random_bytes(struct random *random, size_t limit)
{
    size_t below = (size_t)1 << random_below(random, log2_floor(limit) + 1);
    return random_below(random, below) + 1;
}

static uint64_t pattern_word(uint64_t seed, size_t at)
{
    return mix_bits(seed + at) | UINT64_C(0x0101010101010101);
}

void pattern_fill(void *p, size_t bytes, uint64_t seed)
{
    for (size_t at = 0; at < bytes; at += sizeof(uint64_t)) {
        uint64_t word = pattern_word(seed, at);
        memcpy((char *)p + at, &word, min_size(sizeof word, bytes - at));
    }
}

bool pattern_holds(const void *p, size_t bytes, uint64_t seed)
{
    for (size_t at = 0; at < bytes; at += sizeof(uint64_t)) {
        uint64_t word = pattern_word(seed, at);
        if (memcmp((const char *)p + at, &word, min_size(sizeof word, bytes - at)) != 0)
            return false;
    }
    return true;
}

bool is_zero(const void *p, size_t bytes)
{
    const unsigned char *at = p;
    return bytes == 0 || (at[0] == 0 && memcmp(at, at + 1, bytes - 1) == 0);
}
