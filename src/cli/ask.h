/* SPDX-License-Identifier: MIT */
/*
 * Asks a running process for a dump, which works if it was started with the library, dump= a file,
 * dump_format=json and dump_signal=. All of that is read from /proc, and nothing is sent to a
 * process that would not know what to do with it: most signals end one that does not catch them. A
 * handler of the program's own does not run: the library knows by a value what the signal is for.
 */
#ifndef POOLALLOC_CLI_ASK_H
#define POOLALLOC_CLI_ASK_H

#include "cli/bytes.h"

#include <signal.h>
#include <sys/types.h>

struct asked {
    pid_t pid;
    int descriptor; /* of the process, so that no other gets its signal; -1: kernel without */
    int signal;
    uid_t owner;
    long own_pid; /* what it takes for its own number: in a container it is another */
    const volatile sig_atomic_t *is_over; /* to be set by who asks: the command is to end */
    struct bytes pattern;                 /* of the names of its dumps, for glob() */
};

/* Ends the command if the process can't be asked, with what is missing. */
void ask_prepare(struct asked *asked, pid_t pid);

/* Waits until the dump is there; `text` is what is in it. False: why_not says why. */
bool ask_for_dump(const struct asked *asked, struct bytes *text, struct bytes *why_not);

void ask_end(struct asked *asked);

#endif
