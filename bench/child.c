/* SPDX-License-Identifier: MIT */
/*
 * The child's side of the protocol: is the right allocator in, and lines "key value" to the parent.
 */
#include "child.h"

#include "provider.h"

#include <dlfcn.h>
#include <fcntl.h>
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

void child_report_text(const char *key, const char *text)
{
    char line[FAILURE_BYTES + 64];
    int n = snprintf(line, sizeof line, "%s %s\n", key, text);
    if (n < 0 || (size_t)n >= sizeof line) {
        _exit(CHILD_EXIT_WRONG);
    }
    write_all(CHILD_REPORT_FD, line, (size_t)n);
}

void child_fail(const char *why)
{
    child_report_text(CHILD_FAILURE, why);
    _exit(CHILD_EXIT_WRONG);
}

/* ---- what the kernel tells of this process ---- */

static struct {
    int statm_fd;
    int status_fd;
} own = {-1, -1};

/* In advance, so that nothing is opened while something is timed. */
static void open_own_files(void)
{
    own.statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    own.status_fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
}

static void read_own_file(int fd, char *text, size_t n_bytes)
{
    ssize_t n = pread(fd, text, n_bytes - 1, 0);
    if (n <= 0) {
        child_fail("cannot read what /proc tells of this process");
    }
    text[n] = '\0';
}

double child_rss_mib(void)
{
    char text[128];
    read_own_file(own.statm_fd, text, sizeof text);
    char *resident;
    (void)strtol(text, &resident, 10); /* the first field is the size of the address space */
    return (double)strtol(resident, NULL, 10) * (double)sysconf(_SC_PAGESIZE) / (1024.0 * 1024.0);
}

double child_peak_mib(void)
{
    static const char label[] = "VmHWM:";
    char text[4096];
    read_own_file(own.status_fd, text, sizeof text);
    const char *at = strstr(text, label);
    if (at == NULL) {
        child_fail("no peak in /proc/self/status");
    }
    return (double)strtol(at + strlen(label), NULL, 10) / 1024;
}

bool child_requested(int argc, char **argv)
{
    return argc >= 3 && strcmp(argv[1], CHILD_OPTION) == 0;
}

/* ---- the library's own word on its version ---- */

/* mimalloc's 209 is 2.0.9; a number of more digits is left as it is. */
static void report_mimalloc_version(int version)
{
    char text[32];
    if (version >= 100 && version <= 999) {
        (void)snprintf(text, sizeof text, "%d.%d.%d", version / 100, version / 10 % 10,
                       version % 10);
    } else {
        (void)snprintf(text, sizeof text, "%d", version);
    }
    child_report_text(CHILD_VERSION, text);
}

/* POSIX has functions fit into what dlsym returns. */
static void report_version(const char *library)
{
    const char *(*plain)(void) = NULL;
    const char *(*tcmalloc)(int *, int *, const char **) = NULL;
    int (*mimalloc)(void) = NULL;
    int (*jemalloc)(const char *, void *, size_t *, void *, size_t) = NULL;
    const char *text = NULL;
    size_t n_bytes = sizeof text;
    bool is_libc = strcmp(library, PROVIDER_LIBC) == 0;
    *(void **)&plain = dlsym(RTLD_DEFAULT, is_libc ? "gnu_get_libc_version" : "poolalloc_version");
    *(void **)&tcmalloc = dlsym(RTLD_DEFAULT, "tc_version");
    *(void **)&mimalloc = dlsym(RTLD_DEFAULT, "mi_version");
    *(void **)&jemalloc = dlsym(RTLD_DEFAULT, "mallctl");
    if (plain != NULL) {
        child_report_text(CHILD_VERSION, plain());
    } else if (tcmalloc != NULL) {
        child_report_text(CHILD_VERSION, tcmalloc(NULL, NULL, NULL));
    } else if (mimalloc != NULL) {
        report_mimalloc_version(mimalloc());
    } else if (jemalloc != NULL && jemalloc("version", &text, &n_bytes, NULL, 0) == 0) {
        char version[32]; /* without the commit it was built from */
        (void)snprintf(version, sizeof version, "%.*s", (int)strcspn(text, "-"), text);
        child_report_text(CHILD_VERSION, version);
    }
}

/* ---- the protocol ---- */

char **child_start(char **argv)
{
    char actual[PATH_MAX];
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!provider_is(argv[2], actual)) {
        char why[FAILURE_BYTES];
        (void)snprintf(why, sizeof why,
                       "malloc does not come from the library preloaded, but %.80s", actual);
        child_fail(why);
    }
    if (argv[3] != NULL && strcmp(argv[3], CHILD_PROBE) == 0) {
        report_version(argv[2]);
        _exit(0);
    }
    open_own_files();
    return argv + 3;
}

void child_report(const char *key, double value)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%.9g", value);
    child_report_text(key, text);
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

long child_number(const char *text)
{
    long value = text == NULL ? 0 : strtol(text, NULL, 10);
    if (value < 1) {
        child_fail("child argument is not a number");
    }
    return value;
}
