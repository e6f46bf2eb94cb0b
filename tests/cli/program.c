/* SPDX-License-Identifier: MIT */
/*
 * Says "ready", then takes a block of 1,000 bytes for each byte that it reads. With an argument it
 * first does what that says of USR2: "ignore" it, as if nobody had asked for dumps; "handle" it, by
 * ending with status 9; "block" it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void end(int signal)
{
    (void)signal;
    _exit(9);
}

static void block(void)
{
    sigset_t one;
    (void)sigemptyset(&one);
    (void)sigaddset(&one, SIGUSR2);
    (void)sigprocmask(SIG_BLOCK, &one, NULL);
}

int main(int argc, char **argv)
{
    char c;
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "ignore") == 0)
        (void)signal(SIGUSR2, SIG_DFL);
    else if (strcmp(what, "handle") == 0)
        (void)signal(SIGUSR2, end);
    else if (strcmp(what, "block") == 0)
        block();
    (void)puts("ready");
    (void)fflush(stdout);
    while (read(STDIN_FILENO, &c, 1) == 1) {
        char *block = malloc(1000);
        if (block == NULL)
            return 1;
        block[0] = c;
    }
    return 0;
}
