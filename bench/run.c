/* SPDX-License-Identifier: MIT */
/*
 * Runs one program under one allocator and says how it went.
 *
 * A run is over when nothing of it is left. The child leads its own process group, and whatever it
 * starts and leaves behind, in the group or not, becomes ours to wait for, as we are a subreaper. A
 * run that takes too long, or that a signal to us ends, is asked to end; what has not ended after a
 * grace time is killed. A signal then ends us too, once the scratch directory is gone.
 *
 * Nothing here runs in a signal handler: the signals are blocked, and read from a descriptor.
 */
#include "child.h"
#include "harness.h"
#include "provider.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define PRELOAD_VARIABLE "LD_PRELOAD="

enum {
    REPORT_BYTES = 8192, /* all that a child may report */
    N_ARGUMENTS_MAX = 16,
    GRACE_S = 10, /* from the request to end to the kill; servers write their data */
    KILL_AGAIN_MS = 50,
    LONGEST_POLL_MS = 1000000,
};

static struct {
    int signal_fd;
    int null_fd;
    sigset_t inherited_mask;
} io = {.signal_fd = -1, .null_fd = -1};

/* ---- beginning and end ---- */

void run_open(const struct bench *bench)
{
    static const int signals[] = {SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGQUIT};
    sigset_t mask;
    (void)sigemptyset(&mask);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        (void)sigaddset(&mask, signals[i]);
    }
    io.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    io.signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (io.null_fd < 0 || io.signal_fd < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 ||
        sigprocmask(SIG_BLOCK, &mask, &io.inherited_mask) != 0) {
        (void)fprintf(stderr, "%s: cannot watch over children: %s\n", bench->name, strerror(errno));
        exit(1);
    }
}

static _Noreturn void end_by_signal(int signal_number)
{
    sigset_t mask;
    scratch_remove();
    (void)signal(signal_number, SIG_DFL);
    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, signal_number);
    (void)sigprocmask(SIG_UNBLOCK, &mask, NULL);
    (void)raise(signal_number);
    _exit(128 + signal_number);
}

/* ---- starting ---- */

/* What is spawned, besides its arguments. */
struct launch {
    char *const *argv;
    char *variable;     /* NAME=VALUE to add to the environment, or NULL */
    const char *output; /* the file that stdout goes to; NULL: nowhere */
    const char *errors; /* the file that stderr goes to; NULL: our own stderr */
};

/* All that is made for a spawn before the clock starts. */
struct spawning {
    char **environment;
    int output_fd;
    int errors_fd;
    int report_ends[2];
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

static int open_file(const char *path, int otherwise)
{
    return path == NULL ? otherwise
                        : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
}

static bool spawning_open(struct spawning *spawning, const struct launch *launch)
{
    spawning->environment = make_environment(launch->variable);
    spawning->output_fd = open_file(launch->output, io.null_fd);
    spawning->errors_fd = open_file(launch->errors, STDERR_FILENO);
    if (pipe2(spawning->report_ends, O_CLOEXEC) != 0) {
        spawning->report_ends[0] = -1;
        spawning->report_ends[1] = -1;
    }
    return spawning->environment != NULL && spawning->output_fd >= 0 && spawning->errors_fd >= 0 &&
           spawning->report_ends[0] >= 0;
}

static void spawning_close(struct spawning *spawning)
{
    free(spawning->environment);
    if (spawning->output_fd != io.null_fd) {
        (void)close(spawning->output_fd);
    }
    if (spawning->errors_fd != STDERR_FILENO) {
        (void)close(spawning->errors_fd);
    }
    (void)close(spawning->report_ends[1]);
}

/* Returns the child's id, or -1 with errno. */
static pid_t spawn(const struct launch *launch, const struct spawning *spawning)
{
    posix_spawnattr_t attributes;
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawnattr_setsigmask(&attributes, &io.inherited_mask);
    posix_spawn_file_actions_t actions;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, io.null_fd, STDIN_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, spawning->output_fd, STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, spawning->errors_fd, STDERR_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, spawning->report_ends[1], CHILD_REPORT_FD);
    pid_t pid;
    errno = posix_spawn(&pid, launch->argv[0], &actions, &attributes, launch->argv,
                        spawning->environment);
    int error = errno;
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    errno = error;
    return error == 0 ? pid : -1;
}

/* ---- watching ---- */

enum phase { RUNNING, ASKED_TO_END, KILLED };

struct run {
    pid_t pid;
    struct outcome *outcome;
    enum phase phase;
    double deadline_ns; /* of the phase */
    bool is_child_left; /* the first process, not what it started, is still there */
    int stop_signal;    /* that we got meanwhile, or 0 */
    int report_fd;      /* -1 once all who could write to it are gone, or closed it */
    size_t n_report_bytes;
    char report[REPORT_BYTES];
};

static double seconds_from_now(double seconds)
{
    return child_now_ns() + seconds * 1e9;
}

static void fail(struct outcome *outcome, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The first reason counts. */
static void fail(struct outcome *outcome, const char *format, ...)
{
    va_list arguments;
    if (outcome->failure[0] == '\0') {
        va_start(arguments, format);
        (void)vsnprintf(outcome->failure, sizeof outcome->failure, format, arguments);
        va_end(arguments);
    }
}

/* What exceeds the room is lost, and shows as a missing figure. */
static void read_report(struct run *run)
{
    char part[512];
    ssize_t n = read(run->report_fd, part, sizeof part);
    if (n <= 0) {
        (void)close(run->report_fd);
        run->report_fd = -1;
        return;
    }
    size_t room = REPORT_BYTES - 1 - run->n_report_bytes;
    size_t n_taken = (size_t)n < room ? (size_t)n : room;
    memcpy(run->report + run->n_report_bytes, part, n_taken);
    run->n_report_bytes += n_taken;
}

static void judge_status(int status, struct outcome *outcome)
{
    if (WIFSIGNALED(status)) {
        fail(outcome, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else if (WEXITSTATUS(status) == CHILD_EXIT_WRONG) {
        fail(outcome, "the child found a fault");
    } else if (WEXITSTATUS(status) != 0) {
        fail(outcome, "exit status %d", WEXITSTATUS(status));
    }
}

static double microseconds(const struct timeval *time)
{
    return (double)time->tv_sec * 1e6 + (double)time->tv_usec;
}

static void count_usage(const struct rusage *usage, struct outcome *outcome)
{
    outcome->cpu_us += microseconds(&usage->ru_utime) + microseconds(&usage->ru_stime);
    outcome->n_faults += usage->ru_minflt + usage->ru_majflt;
    if (usage->ru_maxrss > outcome->peak_rss_kib) {
        outcome->peak_rss_kib = usage->ru_maxrss;
    }
}

/* False: nothing of the run is left. What the first process left behind must not crash either. */
static bool reap(struct run *run)
{
    for (;;) {
        int status;
        struct rusage usage;
        pid_t pid = wait4(-1, &status, WNOHANG, &usage);
        if (pid <= 0) {
            return pid == 0;
        }
        count_usage(&usage, run->outcome);
        if (pid == run->pid) {
            run->is_child_left = false;
        }
        if (pid == run->pid || WIFSIGNALED(status)) {
            judge_status(status, run->outcome);
        }
    }
}

static pid_t parent_of(const char *pid)
{
    char path[300];
    char text[512];
    (void)snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *file = fopen(path, "re");
    size_t n = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);
    if (file != NULL) {
        (void)fclose(file);
    }
    text[n] = '\0';
    const char *after_name = strrchr(text, ')'); /* the name may hold anything; then the state */
    return after_name == NULL ? -1 : (pid_t)strtol(after_name + strlen(") S"), NULL, 10);
}

/* To the group, and to our children outside of it. An id stays theirs until we have waited. */
static void signal_all(const struct run *run, int signal_number)
{
    (void)kill(-run->pid, signal_number);
    DIR *directory = opendir("/proc");
    const struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && getpgid(pid) != run->pid && parent_of(entry->d_name) == getpid()) {
            (void)kill(pid, signal_number);
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
}

static void ask_to_end(struct run *run)
{
    signal_all(run, SIGTERM);
    signal_all(run, SIGCONT);
    run->phase = ASKED_TO_END;
    run->deadline_ns = seconds_from_now(GRACE_S);
}

/* Once more after a while: what the killed leave behind becomes ours. */
static void kill_all(struct run *run)
{
    signal_all(run, SIGKILL);
    run->phase = KILLED;
    run->deadline_ns = seconds_from_now(KILL_AGAIN_MS / 1e3);
}

static void pass_deadline(const struct bench *bench, struct run *run)
{
    if (run->phase == RUNNING) {
        fail(run->outcome,
             run->is_child_left ? "no end after %ld s" : "a process it left has no end after %ld s",
             bench->timeout_s);
        ask_to_end(run);
    } else {
        kill_all(run);
    }
}

static void take_signals(struct run *run)
{
    struct signalfd_siginfo info;
    while (read(io.signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD) {
            continue; /* reap() looks for itself */
        }
        run->stop_signal = (int)info.ssi_signo;
        if (run->phase == RUNNING) {
            ask_to_end(run);
        }
    }
}

static int poll_ms(const struct run *run)
{
    double left_ms = (run->deadline_ns - child_now_ns()) / 1e6;
    return left_ms <= 0 ? 0 : left_ms > LONGEST_POLL_MS ? LONGEST_POLL_MS : (int)left_ms + 1;
}

/* Until nothing of the run is left. */
static void watch(const struct bench *bench, struct run *run)
{
    while (reap(run)) {
        struct pollfd ends[] = {
            {.fd = io.signal_fd, .events = POLLIN},
            {.fd = run->report_fd, .events = POLLIN}, /* -1 is passed over */
        };
        (void)poll(ends, 2, poll_ms(run));
        if (ends[1].revents != 0) {
            read_report(run);
        }
        if (ends[0].revents != 0) {
            take_signals(run);
        }
        if (child_now_ns() >= run->deadline_ns) {
            pass_deadline(bench, run);
        }
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
        (void)snprintf(reported->text, sizeof reported->text, "%s", blank + 1);
    }
}

const struct reported *outcome_find(const struct outcome *outcome, const char *key)
{
    for (int i = 0; i < outcome->n_reported; i++) {
        if (strcmp(outcome->reported[i].key, key) == 0) {
            return &outcome->reported[i];
        }
    }
    return NULL;
}

double outcome_figure(const struct outcome *outcome, const char *key)
{
    const struct reported *reported = outcome_find(outcome, key);
    return reported == NULL ? FAILED : strtod(reported->text, NULL);
}

/* The child's own word on why it failed says more than its status. */
static void take_report(struct run *run)
{
    while (run->report_fd >= 0) {
        read_report(run);
    }
    run->report[run->n_report_bytes] = '\0';
    parse_report(run->report, run->outcome);
    const struct reported *why = outcome_find(run->outcome, CHILD_FAILURE);
    if (why != NULL) {
        (void)snprintf(run->outcome->failure, sizeof run->outcome->failure, "%s", why->text);
    }
}

static void run_launch(const struct bench *bench, const struct launch *launch,
                       struct outcome *outcome)
{
    static struct run run;
    struct spawning spawning;
    run = (struct run){.outcome = outcome, .is_child_left = true};
    memset(outcome, 0, sizeof *outcome);
    if (!spawning_open(&spawning, launch)) {
        fail(outcome, "cannot make what a run needs: %s", strerror(errno));
        spawning_close(&spawning);
        (void)close(spawning.report_ends[0]);
        return;
    }
    run.report_fd = spawning.report_ends[0];
    double start_ns = child_now_ns();
    run.pid = spawn(launch, &spawning);
    if (run.pid < 0) {
        fail(outcome, "cannot run %.80s: %s", launch->argv[0], strerror(errno));
    }
    (void)close(spawning.report_ends[1]);
    spawning.report_ends[1] = -1;
    if (run.pid > 0) {
        run.deadline_ns = start_ns + (double)bench->timeout_s * 1e9;
        watch(bench, &run);
        outcome->wall_us = (child_now_ns() - start_ns) / 1e3;
    }
    take_report(&run);
    spawning_close(&spawning);
    if (run.stop_signal != 0) {
        end_by_signal(run.stop_signal);
    }
}

/* ---- what is run ---- */

void run_program(const struct bench *bench, const struct allocator *allocator, char *const argv[],
                 struct outcome *outcome)
{
    char preload[PATH_MAX + sizeof PRELOAD_VARIABLE];
    (void)snprintf(preload, sizeof preload, PRELOAD_VARIABLE "%s",
                   allocator->preload == NULL ? "" : allocator->preload);
    const struct launch launch = {
        .argv = argv,
        .variable = allocator->preload == NULL ? NULL : preload,
    };
    run_launch(bench, &launch, outcome);
}

/* PRELOADED=env [LD_PRELOAD=[WITNESS:]ALLOCATOR] [what the witness wants to know] */
static char *preloaded_variable(const struct allocator *allocator, const struct script *script)
{
    char *variable = NULL;
    const char *library = allocator->preload == NULL ? "" : allocator->preload;
    if (script->witness == NULL) {
        (void)!asprintf(&variable, "PRELOADED=env %s%s",
                        allocator->preload == NULL ? "" : PRELOAD_VARIABLE, library);
    } else {
        (void)!asprintf(
            &variable, "PRELOADED=env " PRELOAD_VARIABLE "%s:%s WITNESS_LIBRARY=%s WITNESS_FILE=%s",
            script->witness, library, allocator->path == NULL ? PROVIDER_LIBC : allocator->preload,
            script->witnessed);
    }
    return variable;
}

void run_script(const struct bench *bench, const struct allocator *allocator,
                const struct script *script, struct outcome *outcome)
{
    char shell[] = "/bin/sh";
    char option[] = "-c";
    char enter[] = "cd \"$0\" && eval \"$1\"";
    char *variable = preloaded_variable(allocator, script);
    char *copies[2] = {strdup(script->directory), strdup(script->text)};
    char *argv[] = {shell, option, enter, copies[0], copies[1], NULL};
    const struct launch launch = {
        .argv = argv, .variable = variable, .output = script->output, .errors = script->errors};
    run_launch(bench, &launch, outcome);
    free(copies[0]);
    free(copies[1]);
    free(variable);
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
                   allocator->path == NULL ? PROVIDER_LIBC : allocator->path);
    char *argv[N_ARGUMENTS_MAX] = {program, option, library};
    int n = 3;
    for (int i = 0; arguments != NULL && arguments[i] != NULL && n < N_ARGUMENTS_MAX - 1; i++) {
        argv[n++] = arguments[i];
    }
    run_program(bench, allocator, argv, outcome);
}
