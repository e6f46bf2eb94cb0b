/* SPDX-License-Identifier: MIT */
/*
 * Runs a program in a control group of its own with a limit on memory, as root, where the machine
 * lets it: version 2 with the memory controller at the top, or version 1's.
 *
 *     grouped MIB CONF PROGRAM ARGUMENTS...
 *
 * GROUPED_PRELOAD is the program's LD_PRELOAD, CONF its POOLALLOC_CONF. The status is the
 * program's; 9 if it was killed.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct version {
    const char *top;
    const char *limit;
    const char *no_swap; /* what keeps memory from being swapped out instead; may not be there */
    const char *no_swap_value;
};

static const struct version versions[] = {
    {"/sys/fs/cgroup", "memory.max", "memory.swap.max", "0"},
    {"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.swappiness", "0"},
};

static char group[128];

static bool group_write(const char *name, const char *value)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", group, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? write(fd, value, strlen(value)) : -1;
    if (fd >= 0)
        (void)close(fd);
    return n == (ssize_t)strlen(value);
}

static bool group_make(const struct version *version, const char *limit)
{
    (void)snprintf(group, sizeof group, "%s/poolalloc_test.%d", version->top, (int)getpid());
    if (mkdir(group, 0755) != 0)
        return false;
    if (group_write(version->limit, limit)) {
        (void)group_write(version->no_swap, version->no_swap_value);
        return true;
    }
    (void)rmdir(group);
    return false;
}

static void group_enter(void)
{
    char number[32];
    (void)snprintf(number, sizeof number, "%d", (int)getpid());
    check(group_write("cgroup.procs", number));
}

/* The kernel lets go of a process's memory some time after the process. */
static void group_remove(void)
{
    for (int i = 0; i < 100 && rmdir(group) != 0 && errno == EBUSY; i++)
        sleep_ms(20);
}

int main(int argc, char **argv)
{
    char limit[32];
    bool is_made = false;
    int status = 0;
    check(argc >= 4);
    (void)snprintf(limit, sizeof limit, "%zu", argument(argc, argv, 1, 0) * MIB);
    for (size_t i = 0; !is_made && i < sizeof versions / sizeof versions[0]; i++)
        is_made = group_make(&versions[i], limit);
    if (!is_made)
        skip("no control group with a limit can be made");
    int child = fork();
    if (child == 0) {
        const char *preload = getenv("GROUPED_PRELOAD");
        group_enter();
        check(setenv("POOLALLOC_CONF", argv[2], 1) == 0);
        if (preload != NULL)
            check(setenv("LD_PRELOAD", preload, 1) == 0);
        (void)execv(argv[3], argv + 3);
        fail("cannot run %s: %s", argv[3], strerror(errno));
    }
    bool is_over = child > 0 && waitpid(child, &status, 0) == child;
    group_remove();
    check(is_over);
    return WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
}
