/* SPDX-License-Identifier: MIT */
/*
 * libc's malloc in a process that closes whatever its parent could see its end by, and then has
 * none; nor do requests to end reach it. It also leaves a child outside of its process group.
 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

extern void *__libc_malloc(size_t n_bytes);

enum { N_BLOCKS = 3000, N_DESCRIPTORS = 64 };

static void hang(void)
{
    (void)signal(SIGTERM, SIG_IGN);
    if (fork() == 0) {
        (void)setsid();
    }
    for (int fd = 0; fd < N_DESCRIPTORS; fd++) {
        (void)close(fd);
    }
    for (;;) {
        (void)pause();
    }
}

void *malloc(size_t n_bytes)
{
    static int n;
    if (++n > N_BLOCKS) {
        hang();
    }
    return __libc_malloc(n_bytes);
}
