/* SPDX-License-Identifier: MIT */
/*
 * The commands, each a function that gets its arguments as main does, its own name first, and
 * returns what the command exits with.
 */
#ifndef POOLALLOC_CLI_COMMANDS_H
#define POOLALLOC_CLI_COMMANDS_H

/* Name, and what it does in a few words. */
#define COMMANDS(X)                                                                                \
    X(run, "run a program under the library")                                                      \
    X(stat, "show a dump, or ask a running process for one")                                       \
    X(diff, "show what has grown from one dump to another")                                        \
    X(report, "make a page with pictures of one dump or many")                                     \
    X(options, "list the library's options")

#define COMMAND_FUNCTION(name, words) int command_##name(int argc, char **argv);
COMMANDS(COMMAND_FUNCTION)

/* Prints how a command is used, and ends: with 0 if it was asked for, else as after a mistake. */
_Noreturn void usage(const char *text, int status);

#endif
