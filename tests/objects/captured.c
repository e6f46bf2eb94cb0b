/* SPDX-License-Identifier: MIT */
#include "captured.h"

#include <unistd.h>

static int pipe_fds[2];
static int fd_2;
static char text[4096];

void capture_begin(void)
{
    assert_int_equal(pipe(pipe_fds), 0);
    fd_2 = dup(2);
    assert_int_equal(dup2(pipe_fds[1], 2), 2);
    (void)close(pipe_fds[1]);
}

const char *capture_end(void)
{
    assert_int_equal(dup2(fd_2, 2), 2);
    (void)close(fd_2);
    ssize_t n = read(pipe_fds[0], text, sizeof text - 1);
    (void)close(pipe_fds[0]);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}
