/* SPDX-License-Identifier: MIT */
/*
 * Says "ready", then takes a block of 1,000 bytes for each byte that it reads. With an argument it
 * first does what that says of USR2: "ignore" it, as if nobody had asked for dumps.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char c;
    if (argc > 1 && strcmp(argv[1], "ignore") == 0)
        (void)signal(SIGUSR2, SIG_DFL);
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
