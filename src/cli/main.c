/* SPDX-License-Identifier: MIT */
/*
 * The command `poolalloc`. It knows nothing of the library's insides: it preloads the library as
 * anybody would, and reads the dumps that the library writes.
 */
#include "cli/bytes.h"
#include "cli/commands.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct command {
    const char *name;
    int (*function)(int argc, char **argv);
    const char *words;
};

#define COMMAND_ROW(name, words) {#name, command_##name, words},

static const struct command commands[] = {COMMANDS(COMMAND_ROW)};

enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

void usage(const char *text, int status)
{
    bool is_shown = fputs(text, status == 0 ? stdout : stderr) >= 0;
    if (status == 0 && (!is_shown || fflush(stdout) != 0))
        fail(STATUS_REFUSED, "can't write: %s", strerror(errno));
    exit(status);
}

_Noreturn static void usage_of_all(int status)
{
    struct bytes text = {0};
    bytes_add_text(&text, "usage: poolalloc COMMAND [ARGUMENTS...]\n\n");
    for (int i = 0; i < N_COMMANDS; i++)
        bytes_printf(&text, "  %-8s %s\n", commands[i].name, commands[i].words);
    bytes_add_text(&text,
                   "\npoolalloc COMMAND --help tells more; poolalloc --version which it is.\n");
    usage(text.at, status);
}

static const struct command *find(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    }
    return NULL;
}

/* Leaves by _exit: `poolalloc options` has the library preloaded here, and wants no dump of it. */
_Noreturn static void show_version(void)
{
    (void)puts("poolalloc " POOLALLOC_VERSION_TEXT);
    _exit(fflush(stdout) == 0 ? 0 : STATUS_REFUSED);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        usage_of_all(STATUS_USAGE);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        usage_of_all(0);
    if (strcmp(argv[1], "--version") == 0)
        show_version();
    const struct command *command = find(argv[1]);
    if (command == NULL) {
        note("there is no command %s", argv[1]);
        usage_of_all(STATUS_USAGE);
    }
    return command->function(argc - 1, argv + 1);
}
