/* SPDX-License-Identifier: MIT */
/*
 * The child's side of the protocol: is the right allocator in, and lines "key value" to the parent.
 */
#include "child.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static void write_all(int fd, const char *text, size_t n_bytes)
{
    while (n_bytes > 0) {
        ssize_t n = write(fd, text, n_bytes);
        if (n <= 0) {
            _exit(CHILD_EXIT_WRONG);
        }
        text += n;
        n_bytes -= (size_t)n;
    }
}

void child_fail(const char *why)
{
    write_all(STDERR_FILENO, why, strlen(why));
    write_all(STDERR_FILENO, "\n", 1);
    _exit(CHILD_EXIT_WRONG);
}

bool child_requested(int argc, char **argv)
{
    return argc >= 3 && strcmp(argv[1], CHILD_OPTION) == 0;
}

/*
 * The file that the dynamic linker takes a function from. RTLD_NEXT begins after the program
 * itself, whose own symbol may be a stub in an executable linked at a fixed address.
 */
static void provider_of(const char *function, char path[PATH_MAX])
{
    Dl_info info;
    void *address = dlsym(RTLD_NEXT, function);
    if (address == NULL || dladdr(address, &info) == 0 || realpath(info.dli_fname, path) == NULL) {
        path[0] = '\0';
    }
}

static bool malloc_is_from(const char *library)
{
    char expected[PATH_MAX];
    char actual[PATH_MAX];
    if (strcmp(library, CHILD_LIBC_LIBRARY) == 0) {
        provider_of("strerror", expected);
    } else if (realpath(library, expected) == NULL) {
        return false;
    }
    provider_of("malloc", actual);
    return actual[0] != '\0' && strcmp(expected, actual) == 0;
}

char **child_start(char **argv)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!malloc_is_from(argv[2])) {
        _exit(CHILD_EXIT_NOT_PRELOADED);
    }
    return argv + 3;
}

void child_report(const char *key, double value)
{
    char line[128];
    int n = snprintf(line, sizeof line, "%s %.9g\n", key, value);
    if (n < 0 || (size_t)n >= sizeof line) {
        child_fail("report line too long");
    }
    write_all(CHILD_REPORT_FD, line, (size_t)n);
}

static double read_clock_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

double child_now_ns(void)
{
    return read_clock_ns(CLOCK_MONOTONIC);
}

double child_cpu_ns(void)
{
    return read_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

double child_rss_mib(void)
{
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (n <= 0) {
        child_fail("cannot read /proc/self/statm");
    }
    text[n] = '\0';
    char *resident;
    (void)strtol(text, &resident, 10); /* the first field is the size of the address space */
    return (double)strtol(resident, NULL, 10) * (double)sysconf(_SC_PAGESIZE) / (1024.0 * 1024.0);
}

/* Of this program alone: what rusage tells begins with what its parent had. */
double child_peak_mib(void)
{
    static const char label[] = "VmHWM:";
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *at = strstr(text, label);
    if (at == NULL) {
        child_fail("cannot read the peak in /proc/self/status");
    }
    return (double)strtol(at + strlen(label), NULL, 10) / 1024;
}

long child_number(const char *text)
{
    long value = text == NULL ? 0 : strtol(text, NULL, 10);
    if (value < 1) {
        child_fail("child argument is not a number");
    }
    return value;
}
