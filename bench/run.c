/* SPDX-License-Identifier: MIT */
/*
 * Runs one program under one allocator and says how it went.
 *
 * The child leads its own process group, so that a timeout can end its descendants too. The end of
 * a program is seen as the end of file on the report pipe, which all descendants hold open: a
 * program that leaves a daemon behind is waited for until the timeout.
 */
#include "child.h"
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PRELOAD_VARIABLE "LD_PRELOAD="

enum {
    REPORT_BYTES = 8192, /* all that a child may report */
    N_ARGUMENTS_MAX = 16,
};

static volatile sig_atomic_t running_group; /* 0: none */

static void end_with_child(int signal_number)
{
    if (running_group > 0) {
        (void)kill(-(pid_t)running_group, SIGKILL);
    }
    _exit(128 + signal_number);
}

void run_handle_signals(void)
{
    const struct sigaction action = {.sa_handler = end_with_child};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    (void)sigaction(SIGQUIT, &action, NULL);
}

/* What is spawned, besides its arguments. */
struct launch {
    char *const *argv;
    char *variable;     /* NAME=VALUE to add to the environment, or NULL */
    const char *output; /* the file that stdout goes to */
};

/*
 * Our environment with LD_PRELOAD gone and one variable added. Everything else is passed on, the
 * allocators' own option variables too. The caller frees the array, not the strings.
 */
static char **make_environment(char *variable)
{
    size_t n = 0;
    while (environ[n] != NULL) {
        n++;
    }
    char **environment = malloc((n + 2) * sizeof *environment);
    if (environment == NULL) {
        return NULL;
    }
    size_t n_kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (strncmp(environ[i], PRELOAD_VARIABLE, strlen(PRELOAD_VARIABLE)) != 0) {
            environment[n_kept++] = environ[i];
        }
    }
    if (variable != NULL) {
        environment[n_kept++] = variable;
    }
    environment[n_kept] = NULL;
    return environment;
}

static void init_file_actions(posix_spawn_file_actions_t *actions, const char *output,
                              int report_fd)
{
    (void)posix_spawn_file_actions_init(actions);
    (void)posix_spawn_file_actions_adddup2(actions, report_fd, CHILD_REPORT_FD);
    (void)posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, output,
                                           O_WRONLY | O_CREAT | O_TRUNC, 0600);
}

/* Returns the child's id, or -1 with errno. */
static pid_t spawn(const struct launch *launch, int report_fd)
{
    char **environment = make_environment(launch->variable);
    if (environment == NULL) {
        return -1;
    }
    posix_spawnattr_t attributes;
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawn_file_actions_t actions;
    init_file_actions(&actions, launch->output, report_fd);
    pid_t pid;
    errno = posix_spawn(&pid, launch->argv[0], &actions, &attributes, launch->argv, environment);
    int error = errno;
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    free(environment);
    errno = error;
    return error == 0 ? pid : -1;
}

/*
 * Reads until every holder of the other end is gone. False when that took too long. What exceeds
 * the room is lost, and shows as a missing figure.
 */
static bool read_report(int fd, double deadline_ns, char text[REPORT_BYTES])
{
    size_t n_bytes = 0;
    for (;;) {
        double left_ms = (deadline_ns - child_now_ns()) / 1e6;
        struct pollfd end = {.fd = fd, .events = POLLIN};
        if (left_ms <= 0) {
            return false;
        }
        if (poll(&end, 1, left_ms > 1e6 ? 1000000 : (int)left_ms + 1) <= 0) {
            continue; /* interrupted, or the deadline, which the next round sees */
        }
        char part[512];
        ssize_t n = read(fd, part, sizeof part);
        if (n <= 0) {
            text[n_bytes] = '\0';
            return true;
        }
        size_t room = REPORT_BYTES - 1 - n_bytes;
        size_t n_taken = (size_t)n < room ? (size_t)n : room;
        memcpy(text + n_bytes, part, n_taken);
        n_bytes += n_taken;
    }
}

static void parse_report(char *text, struct outcome *outcome)
{
    char *rest;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char *blank = strchr(line, ' ');
        if (blank == NULL || outcome->n_reported == N_FIGURES_MAX) {
            return;
        }
        *blank = '\0';
        struct reported *reported = &outcome->reported[outcome->n_reported++];
        (void)snprintf(reported->key, sizeof reported->key, "%s", line);
        reported->value = strtod(blank + 1, NULL);
    }
}

static void judge_status(int status, struct outcome *outcome)
{
    if (WIFSIGNALED(status)) {
        (void)snprintf(outcome->failure, sizeof outcome->failure, "killed by signal %d (%s)",
                       WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else if (WEXITSTATUS(status) == CHILD_EXIT_NOT_PRELOADED) {
        (void)snprintf(outcome->failure, sizeof outcome->failure,
                       "malloc does not come from the library preloaded");
    } else if (WEXITSTATUS(status) == CHILD_EXIT_WRONG) {
        (void)snprintf(outcome->failure, sizeof outcome->failure, "the child found a fault");
    } else if (status != 0) {
        (void)snprintf(outcome->failure, sizeof outcome->failure, "exit status %d",
                       WEXITSTATUS(status));
    }
}

static double microseconds(const struct timeval *time)
{
    return (double)time->tv_sec * 1e6 + (double)time->tv_usec;
}

static void wait_for(const struct bench *bench, pid_t pid, int report_fd, double start_ns,
                     struct outcome *outcome)
{
    char text[REPORT_BYTES];
    bool has_ended = read_report(report_fd, start_ns + (double)bench->timeout_s * 1e9, text);
    if (!has_ended) {
        (void)kill(-pid, SIGKILL);
    }
    int status;
    struct rusage usage;
    while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR) {
    }
    running_group = 0;
    outcome->wall_us = (child_now_ns() - start_ns) / 1e3;
    outcome->cpu_us = microseconds(&usage.ru_utime) + microseconds(&usage.ru_stime);
    outcome->peak_rss_kib = usage.ru_maxrss;
    outcome->n_faults = usage.ru_minflt + usage.ru_majflt;
    if (!has_ended) {
        (void)snprintf(outcome->failure, sizeof outcome->failure, "no end after %ld s",
                       bench->timeout_s);
        return;
    }
    judge_status(status, outcome);
    parse_report(text, outcome);
}

static void run_launch(const struct bench *bench, const struct launch *launch,
                       struct outcome *outcome)
{
    memset(outcome, 0, sizeof *outcome);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        (void)snprintf(outcome->failure, sizeof outcome->failure, "no pipe: %s", strerror(errno));
        return;
    }
    double start_ns = child_now_ns();
    pid_t pid = spawn(launch, ends[1]);
    int error = errno;
    (void)close(ends[1]);
    if (pid > 0) {
        running_group = pid;
        wait_for(bench, pid, ends[0], start_ns, outcome);
    } else {
        (void)snprintf(outcome->failure, sizeof outcome->failure, "cannot run %.40s: %.30s",
                       launch->argv[0], strerror(error));
    }
    (void)close(ends[0]);
}

void run_program(const struct bench *bench, const struct allocator *allocator, char *const argv[],
                 struct outcome *outcome)
{
    char preload[PATH_MAX + sizeof PRELOAD_VARIABLE];
    (void)snprintf(preload, sizeof preload, PRELOAD_VARIABLE "%s",
                   allocator->path == NULL ? "" : allocator->path);
    const struct launch launch = {
        .argv = argv,
        .variable = allocator->path == NULL ? NULL : preload,
        .output = "/dev/null",
    };
    run_launch(bench, &launch, outcome);
}

void run_script(const struct bench *bench, const struct allocator *allocator, const char *directory,
                const char *script, const char *output, struct outcome *outcome)
{
    char variable[PATH_MAX + 64];
    (void)snprintf(variable, sizeof variable, "PRELOADED=env %s%s",
                   allocator->path == NULL ? "" : PRELOAD_VARIABLE,
                   allocator->path == NULL ? "" : allocator->path);
    char shell[] = "/bin/sh";
    char option[] = "-c";
    char enter[] = "cd \"$0\" && eval \"$1\"";
    char *copies[2] = {strdup(directory), strdup(script)};
    char *argv[] = {shell, option, enter, copies[0], copies[1], NULL};
    const struct launch launch = {.argv = argv, .variable = variable, .output = output};
    run_launch(bench, &launch, outcome);
    free(copies[0]);
    free(copies[1]);
}

void run_self(const struct bench *bench, const struct allocator *allocator, char *const arguments[],
              struct outcome *outcome)
{
    char program[PATH_MAX];
    ssize_t n_bytes = readlink("/proc/self/exe", program, sizeof program - 1);
    program[n_bytes < 0 ? 0 : n_bytes] = '\0';
    char option[] = CHILD_OPTION;
    char library[PATH_MAX];
    (void)snprintf(library, sizeof library, "%s",
                   allocator->path == NULL ? CHILD_LIBC_LIBRARY : allocator->path);
    char *argv[N_ARGUMENTS_MAX] = {program, option, library};
    int n = 3;
    for (int i = 0; arguments != NULL && arguments[i] != NULL && n < N_ARGUMENTS_MAX - 1; i++) {
        argv[n++] = arguments[i];
    }
    run_program(bench, allocator, argv, outcome);
}
