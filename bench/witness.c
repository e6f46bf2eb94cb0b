/* SPDX-License-Identifier: MIT */
/*
 * Preloaded before the allocator, in runs that are not measured: each process that starts appends a
 * line to the file WITNESS_FILE, its name and then "ok" or the file its malloc comes from. The
 * loader ignores a preload in silence in some programs, static and privileged ones, and wrappers
 * drop it; such a run would be one of libc's malloc under another name.
 */
#include "provider.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void write_line(const char *path, const char *found)
{
    char line[PATH_MAX + 64];
    int n = snprintf(line, sizeof line, "%s %s\n", program_invocation_short_name, found);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) {
        (void)!write(fd, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
        (void)close(fd);
    }
}

__attribute__((constructor)) static void bear_witness(void)
{
    char actual[PATH_MAX];
    const char *path = getenv("WITNESS_FILE");
    const char *library = getenv("WITNESS_LIBRARY");
    if (path != NULL && library != NULL) {
        write_line(path, provider_is(library, actual) ? "ok" : actual);
    }
}
