/* SPDX-License-Identifier: MIT */
/*
 * Forked children, of which one input has few, for they take their time.
 *
 * In some nothing is wrong: the child goes on with the rest of the input and must end well. In
 * others a block is used as it must not be, and the child goes on until the end of the input: it
 * must end by the allocator's line and SIGABRT, or end well with every check of the model held.
 * What may not happen: another signal, a block handed out twice, a pattern lost.
 */
#include "fuzz.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN_MAX = 2, SECONDS_MAX = 30, TEXT_MAX = 4096 };

static size_t n_children;
static bool is_child;

void misuse_begin(void)
{
    n_children = 0;
}

/* Children have none of their own, nor do they leave core files. */
static pid_t child_start(int *fd)
{
    int ends[2];
    if (is_child || n_children++ == CHILDREN_MAX || pipe(ends) != 0)
        return -1;
    pid_t pid = fork();
    check(pid >= 0);
    if (pid == 0) {
        is_child = true;
        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        (void)alarm(SECONDS_MAX);
        (void)dup2(ends[1], STDERR_FILENO);
        (void)signal(SIGABRT, SIG_DFL); /* the fuzzer's */
        (void)signal(SIGSEGV, SIG_DFL);
        (void)signal(SIGBUS, SIG_DFL);
    }
    (void)close(ends[1]);
    *fd = ends[0];
    return pid;
}

static void read_all(int fd, char text[TEXT_MAX])
{
    size_t n = 0;
    for (;;) {
        ssize_t got = read(fd, text + n, TEXT_MAX - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    text[n] = '\0';
    (void)close(fd);
}

/* How it ended, and what it wrote to fd 2. */
static int child_wait(pid_t pid, int fd, char text[TEXT_MAX])
{
    int status;
    read_all(fd, text);
    check(waitpid(pid, &status, 0) == pid);
    return status;
}

NORETURN static void child_end(void)
{
    operations_rest();
    operations_end();
    _exit(EXIT_SUCCESS);
}

static bool ended_well(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

static bool ended_by_us(int status, const char *text)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
           strstr(text, "poolalloc: fatal: ") != NULL;
}

static void report(int status, const char *text)
{
    (void)fprintf(stderr, "a child ended with status 0x%x; its last words:\n%s\n", (unsigned)status,
                  text);
}

void fork_and_go_on(void)
{
    static char text[TEXT_MAX];
    int fd;
    pid_t pid = child_start(&fd);
    if (pid < 0)
        return;
    if (pid == 0)
        child_end();
    int status = child_wait(pid, fd, text);
    if (!ended_well(status))
        report(status, text);
    check(ended_well(status));
}

/* ---- misuse ---- */

static char not_a_block[4096];

static void free_twice(char *p, size_t bytes)
{
    (void)bytes;
    fuzz_free(p);
    fuzz_free(p);
}

static void free_later_again(char *p, size_t bytes)
{
    fuzz_free(p);
    fuzz_free(fuzz_malloc(bytes));
    fuzz_free(p);
}

/* That of a live block is no misuse that anybody could tell from an ordinary free. */
static void free_no_block(char *p)
{
    if (!extent_is(p))
        fuzz_free(p);
}

static void free_inside(char *p, size_t bytes)
{
    (void)bytes;
    free_no_block(p + 1 + input_byte());
}

static void free_elsewhere(char *p, size_t bytes)
{
    (void)bytes;
    (void)p;
    fuzz_free(not_a_block + input_byte() * 16 % sizeof not_a_block);
}

static void free_anywhere(char *p, size_t bytes)
{
    (void)bytes;
    uintptr_t other = (uintptr_t)(1 + input_byte()) << input_below(48);
    free_no_block((char *)((uintptr_t)p ^ other));
}

static void resize_freed(char *p, size_t bytes)
{
    fuzz_free(p);
    fuzz_free(fuzz_realloc(p, bytes * 4));
}

static void write_freed(char *p, size_t bytes)
{
    size_t at = input_below(16);
    fuzz_free(p);
    if (bytes > 0 && bytes <= 32768) /* of a large one the pages may be gone */
        p[at] = (char)(p[at] ^ (1 + input_byte() % 255));
}

typedef void misuse(char *p, size_t bytes);

static misuse *const misuses[] = {free_twice,    free_later_again, free_inside, free_elsewhere,
                                  free_anywhere, resize_freed,     write_freed};

/* p may not be freed any more, nor looked at. */
void fork_and_misuse(void)
{
    static char text[TEXT_MAX];
    size_t bytes;
    size_t which = input_below(ARRAY_LEN(misuses));
    char *p = blocks_any(&bytes);
    int fd;
    pid_t pid = p != NULL ? child_start(&fd) : -1;
    if (pid < 0)
        return;
    if (pid == 0) {
        blocks_forget(p);
        misuses[which](p, bytes);
        child_end();
    }
    int status = child_wait(pid, fd, text);
    bool well = ended_well(status) || ended_by_us(status, text);
    if (!well)
        report(status, text);
    check(well);
}
