/* SPDX-License-Identifier: MIT */
/* While the loader runs this constructor it holds its lock, and another thread asks for a
 * handler. */
#include "check.h"

#include <pthread.h>
#include <signal.h>

static void *ignore_pipes(void *unused)
{
    CHECK(signal(SIGPIPE, SIG_IGN) == SIG_DFL);
    return unused;
}

__attribute__((constructor)) static void start(void)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, ignore_pipes, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}
