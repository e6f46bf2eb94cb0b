/* SPDX-License-Identifier: MIT */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* The reading end of a pipe, and the text that came through it so far. */
struct catcher {
    int fd;
    char *text;
    size_t n;
};

static void or_die(int result, const char *what)
{
    if (result == -1) {
        perror(what);
        exit(EXIT_FAILURE);
    }
}

/* Between fork and exec: the library is not in this process yet. */
static void become(const char *library, const char *conf, const char *const argv[], int out,
                   int err)
{
    const struct rlimit no_core = {0, 0};
    or_die(setrlimit(RLIMIT_CORE, &no_core), "setrlimit");
    or_die(dup2(out, STDOUT_FILENO), "dup2");
    or_die(dup2(err, STDERR_FILENO), "dup2");
    or_die(conf != NULL ? setenv("POOLALLOC_CONF", conf, 1) : unsetenv("POOLALLOC_CONF"), "setenv");
    or_die(setenv("LD_PRELOAD", library, 1), "setenv");
    or_die(execv(argv[0], (char *const *)(uintptr_t)argv), argv[0]);
}

static void catch_some(struct catcher *catcher, struct pollfd *poll_fd)
{
    char lost[1024];
    size_t room = CHILD_TEXT_MAX - 1 - catcher->n;
    ssize_t n = room > 0 ? read(catcher->fd, catcher->text + catcher->n, room)
                         : read(catcher->fd, lost, sizeof lost);
    if (n == -1 && errno == EINTR)
        return;
    or_die((int)n, "read");
    if (n == 0)
        poll_fd->fd = -1;
    else if (room > 0)
        catcher->n += (size_t)n;
}

static void catch_all(struct catcher catchers[2])
{
    struct pollfd fds[2] = {{catchers[0].fd, POLLIN, 0}, {catchers[1].fd, POLLIN, 0}};
    while (fds[0].fd != -1 || fds[1].fd != -1) {
        if (poll(fds, 2, -1) == -1) {
            or_die(errno == EINTR ? 0 : -1, "poll");
            continue;
        }
        for (size_t i = 0; i < 2; i++) {
            if (fds[i].fd != -1 && fds[i].revents != 0)
                catch_some(&catchers[i], &fds[i]);
        }
    }
    for (size_t i = 0; i < 2; i++)
        catchers[i].text[catchers[i].n] = '\0';
}

void child_run(struct child *child, const char *library, const char *conf, const char *const argv[])
{
    int out[2];
    int err[2];
    or_die(pipe2(out, O_CLOEXEC), "pipe2");
    or_die(pipe2(err, O_CLOEXEC), "pipe2");
    child->pid = fork();
    or_die(child->pid, "fork");
    if (child->pid == 0)
        become(library, conf, argv, out[1], err[1]);
    (void)close(out[1]);
    (void)close(err[1]);
    struct catcher catchers[2] = {{out[0], child->out, 0}, {err[0], child->err, 0}};
    catch_all(catchers);
    (void)close(out[0]);
    (void)close(err[0]);
    while (waitpid(child->pid, &child->status, 0) == -1)
        or_die(errno == EINTR ? 0 : -1, "waitpid");
}
