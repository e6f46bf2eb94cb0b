/* SPDX-License-Identifier: MIT */
#include "cli/ask.h"

#include "cli/program.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    PROC_BYTES_MAX = 16 * 1024 * 1024,
    DUMP_BYTES_MAX = 16 * 1024 * 1024,
    PATIENCE_MS = 5000,
    LOOK_MS = 10
};

/* LD_PRELOAD.md, "Dumps": with it the signal is for the library, not for a handler of the
 * program's. */
enum { ASKED_VALUE = 0x706f6f6c };

/* ---- /proc ---- */

static bool read_proc(pid_t pid, const char *what, struct bytes *bytes)
{
    struct bytes name = {0};
    bytes_printf(&name, "/proc/%d/%s", (int)pid, what);
    bool is_read = bytes_read_file(bytes, name.at, PROC_BYTES_MAX);
    int error = errno;
    bytes_free(&name);
    errno = error;
    return is_read;
}

/* The value of POOLALLOC_CONF that the process was started with; "" if it has none. */
static void find_conf(pid_t pid, struct bytes *conf)
{
    static const char name[] = "POOLALLOC_CONF=";
    struct bytes all = {0};
    if (!read_proc(pid, "environ", &all))
        fail(STATUS_REFUSED, "process %d: can't read its environment: %s", (int)pid,
             strerror(errno));
    for (size_t at = 0; at < all.n; at += strlen(all.at + at) + 1) {
        if (strncmp(all.at + at, name, sizeof name - 1) == 0) {
            bytes_clear(conf);
            bytes_add_text(conf, all.at + at + sizeof name - 1);
        }
    }
    bytes_free(&all);
}

/* The last one counts, as the library has it. */
static void find_option(const struct bytes *conf, const char *key, struct bytes *value)
{
    size_t n_key = strlen(key);
    for (const char *at = bytes_text(conf); *at != '\0';) {
        size_t n = strcspn(at, ",");
        if (n > n_key && at[n_key] == '=' && memcmp(at, key, n_key) == 0) {
            bytes_clear(value);
            bytes_add(value, at + n_key + 1, n - n_key - 1);
        }
        at += n + (at[n] == ',');
    }
}

static bool has_library(pid_t pid)
{
    struct bytes maps = {0};
    struct bytes program = {0};
    bool has = read_proc(pid, "maps", &maps) && strstr(maps.at, "/libpoolalloc.so") != NULL;
    bytes_printf(&program, "/proc/%d/exe", (int)pid);
    if (!has)
        has = program_has_library(program.at);
    bytes_free(&maps);
    bytes_free(&program);
    return has;
}

/* A line of /proc/PID/status, "name:\tvalue"; false: it isn't there. */
static bool find_status(pid_t pid, const char *name, struct bytes *value)
{
    struct bytes status = {0};
    const char *found = NULL;
    if (read_proc(pid, "status", &status))
        found = strstr(status.at, name);
    if (found != NULL) {
        found += strlen(name);
        found += strspn(found, ":\t ");
        bytes_add(value, found, strcspn(found, "\n"));
    }
    bytes_free(&status);
    return found != NULL;
}

static bool is_in_mask(pid_t pid, const char *name, int signal)
{
    struct bytes mask = {0};
    bool is_there = find_status(pid, name, &mask);
    unsigned long long bits = is_there ? strtoull(mask.at, NULL, 16) : 0;
    bytes_free(&mask);
    return (bits >> (signal - 1) & 1) != 0;
}

static bool catches(pid_t pid, int signal)
{
    return is_in_mask(pid, "\nSigCgt", signal);
}

/* In all its threads: then it may well take it by sigwait or signalfd. A thread's number will do
 * for a process's in /proc. */
static bool blocks(pid_t pid, int signal)
{
    glob_t threads;
    struct bytes pattern = {0};
    bytes_printf(&pattern, "/proc/%d/task/*", (int)pid);
    bool is_blocked = glob(pattern.at, GLOB_NOSORT, NULL, &threads) == 0;
    for (size_t i = 0; is_blocked && i < threads.gl_pathc; i++) {
        const char *number = strrchr(threads.gl_pathv[i], '/') + 1;
        is_blocked = is_in_mask((pid_t)strtol(number, NULL, 10), "\nSigBlk", signal);
    }
    globfree(&threads);
    bytes_free(&pattern);
    return is_blocked;
}

/* 'R', 'S', 'T' and so on, as ps(1) has it; 0: it isn't there. */
static char state_of(pid_t pid)
{
    struct bytes state = {0};
    char c = find_status(pid, "\nState", &state) && state.n > 0 ? state.at[0] : '\0';
    bytes_free(&state);
    return c;
}

static bool has_ended(pid_t pid)
{
    char state = state_of(pid);
    return state == '\0' || state == 'Z' || state == 'X';
}

/* What the process takes for its own number: in a container it is another. */
static long own_pid(pid_t pid)
{
    struct bytes line = {0};
    long own = pid;
    if (find_status(pid, "\nNSpid", &line)) {
        const char *last = strrchr(line.at, '\t');
        own = strtol(last != NULL ? last + 1 : line.at, NULL, 10);
    }
    bytes_free(&line);
    return own;
}

/* ---- what is needed ---- */

static int signal_number(const char *value)
{
    static const struct {
        const char *name;
        int number;
    } names[] = {
        {"HUP", SIGHUP},   {"QUIT", SIGQUIT}, {"USR1", SIGUSR1},   {"USR2", SIGUSR2},
        {"TERM", SIGTERM}, {"URG", SIGURG},   {"WINCH", SIGWINCH}, {"PWR", SIGPWR},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(value, names[i].name) == 0)
            return names[i].number;
    }
    long number = strtol(value, NULL, 10);
    return number > 0 && number <= 64 ? (int)number : 0;
}

static void add_literally(struct bytes *pattern, char c)
{
    if (strchr("*?[\\", c) != NULL)
        bytes_add_text(pattern, "\\");
    bytes_add(pattern, &c, 1);
}

/* The file as seen from here, whatever the process has for its root and directory. */
static void make_pattern(struct asked *asked, const char *dump)
{
    struct bytes *pattern = &asked->pattern;
    bytes_printf(pattern, "/proc/%d/%s", (int)asked->pid, dump[0] == '/' ? "root" : "cwd/");
    for (const char *at = dump; *at != '\0'; at++) {
        if (at[0] != '%' || at[1] == '\0')
            add_literally(pattern, *at);
        else if (*++at == 'p')
            bytes_printf(pattern, "%ld", asked->own_pid);
        else if (*at == 'e')
            bytes_add_text(pattern, "*");
        else if (*at == 'n')
            bytes_add_text(pattern, "[0-9]*");
        else
            bytes_printf(pattern, "%%%c", *at);
    }
}

_Noreturn static void lacks(pid_t pid, const char *what)
{
    note("process %d %s", (int)pid, what);
    fail(STATUS_REFUSED, "it can be asked if it was started so: poolalloc run --stat PROGRAM...");
}

static void open_process(struct asked *asked)
{
    struct stat status;
    struct bytes name = {0};
    bytes_printf(&name, "/proc/%d", (int)asked->pid);
#ifdef SYS_pidfd_open
    asked->descriptor = (int)syscall(SYS_pidfd_open, asked->pid, 0);
#else
    asked->descriptor = -1;
#endif
    if (stat(name.at, &status) == 0 && has_ended(asked->pid))
        fail(STATUS_REFUSED, "process %d has ended", (int)asked->pid);
    if (stat(name.at, &status) != 0)
        fail(STATUS_REFUSED, "there is no process %d", (int)asked->pid);
    asked->owner = status.st_uid;
    bytes_free(&name);
}

static void check_options(struct asked *asked, const struct bytes *conf)
{
    struct bytes dump = {0};
    struct bytes format = {0};
    struct bytes signal = {0};
    find_option(conf, "dump", &dump);
    find_option(conf, "dump_format", &format);
    find_option(conf, "dump_signal", &signal);
    if (dump.n == 0)
        lacks(asked->pid, "has no dump=FILE in its POOLALLOC_CONF");
    if (strcmp(dump.at, "stderr") == 0)
        lacks(asked->pid, "writes its dumps to stderr: it has dump=stderr, not dump=FILE");
    if (strcmp(bytes_text(&format), "json") != 0)
        lacks(asked->pid, "does not have dump_format=json");
    asked->signal = signal_number(bytes_text(&signal));
    if (asked->signal == 0)
        lacks(asked->pid, "has no dump_signal=");
    make_pattern(asked, dump.at);
    bytes_free(&dump);
    bytes_free(&format);
    bytes_free(&signal);
}

void ask_prepare(struct asked *asked, pid_t pid)
{
    struct bytes conf = {0};
    *asked = (struct asked){.pid = pid};
    open_process(asked);
    asked->own_pid = own_pid(pid);
    find_conf(pid, &conf);
    if (!has_library(pid))
        lacks(pid, "does not run under the library");
    check_options(asked, &conf);
    if (!catches(pid, asked->signal))
        lacks(pid, "does not catch its dump_signal, which would end it");
    if (blocks(pid, asked->signal))
        lacks(pid, "blocks its dump_signal, and may take it for something else");
    bytes_free(&conf);
}

/* ---- asking ---- */

/* What tells a dump from the one before it that had the same name. */
struct mark {
    dev_t device;
    ino_t inode;
    struct timespec written;
};

static bool is_of_dump(const struct asked *asked, const char *name, struct mark *mark)
{
    struct stat status;
    size_t n = strlen(name);
    if (n > 5 && strcmp(name + n - 5, ".part") == 0)
        return false;
    if (lstat(name, &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != asked->owner)
        return false;
    *mark = (struct mark){status.st_dev, status.st_ino, status.st_mtim};
    return true;
}

static bool is_later(const struct mark *a, const struct mark *b)
{
    if (a->written.tv_sec != b->written.tv_sec)
        return a->written.tv_sec > b->written.tv_sec;
    return a->written.tv_nsec > b->written.tv_nsec;
}

/* The newest there is; false: none. */
static bool newest(const struct asked *asked, struct mark *newest, struct bytes *file)
{
    glob_t found;
    bool is_there = false;
    if (glob(asked->pattern.at, GLOB_NOSORT, NULL, &found) != 0)
        return false;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct mark mark;
        if (!is_of_dump(asked, found.gl_pathv[i], &mark) || (is_there && !is_later(&mark, newest)))
            continue;
        *newest = mark;
        is_there = true;
        bytes_clear(file);
        bytes_add_text(file, found.gl_pathv[i]);
    }
    globfree(&found);
    return is_there;
}

static bool is_same(const struct mark *a, const struct mark *b)
{
    return a->device == b->device && a->inode == b->inode && !is_later(a, b) && !is_later(b, a);
}

static bool send_signal(const struct asked *asked)
{
    siginfo_t info = {.si_signo = asked->signal, .si_code = SI_QUEUE};
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = ASKED_VALUE;
#ifdef SYS_pidfd_send_signal
    if (asked->descriptor >= 0)
        return syscall(SYS_pidfd_send_signal, asked->descriptor, asked->signal, &info, 0) == 0;
#endif
    return syscall(SYS_rt_sigqueueinfo, asked->pid, asked->signal, &info) == 0;
}

static int64_t now_ms(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* True: the process has ended. */
static bool pause_or_end(const struct asked *asked)
{
    struct pollfd process = {.fd = asked->descriptor, .events = POLLIN};
    int n = poll(&process, 1, LOOK_MS);
    return asked->descriptor >= 0 ? n > 0 : has_ended(asked->pid);
}

/* The owner of the process may have put anything there, also since it was looked at. */
static bool read_dump(const struct asked *asked, const char *name, struct bytes *text)
{
    struct stat status;
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    bytes_clear(text);
    bool is_read = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
                   status.st_uid == asked->owner && bytes_read(text, fd, DUMP_BYTES_MAX);
    (void)close(fd);
    return is_read;
}

static void say_why_none_came(const struct asked *asked, struct bytes *why_not)
{
    char state = state_of(asked->pid);
    const char *why = state == 'T' || state == 't'
                          ? "it is stopped"
                          : "it can't write there, or what is there stays (see dump_replace)";
    bytes_printf(why_not, "process %d: no dump came within %d s: %s", (int)asked->pid,
                 PATIENCE_MS / 1000, why);
}

/* 1: the dump is there; 0: not within the time; -1: the process has ended; it is so, too, when the
 * command is to end. */
static int wait_for_dump(const struct asked *asked, const struct mark *before, struct bytes *text)
{
    struct mark after;
    struct bytes file = {0};
    int64_t end = now_ms() + PATIENCE_MS;
    int outcome = 0;
    while (outcome == 0 && now_ms() < end) {
        if (newest(asked, &after, &file) && !is_same(before, &after) &&
            read_dump(asked, file.at, text))
            outcome = 1;
        else if (*asked->is_over != 0 || pause_or_end(asked))
            outcome = -1;
    }
    bytes_free(&file);
    return outcome;
}

bool ask_for_dump(const struct asked *asked, struct bytes *text, struct bytes *why_not)
{
    struct mark before = {0};
    struct bytes file = {0};
    (void)newest(asked, &before, &file);
    bytes_free(&file);
    if (!send_signal(asked)) {
        bytes_printf(why_not, "process %d: %s", (int)asked->pid,
                     errno == ESRCH ? "has ended" : strerror(errno));
        return false;
    }
    int outcome = wait_for_dump(asked, &before, text);
    if (outcome < 0)
        bytes_printf(why_not, "process %d has ended", (int)asked->pid);
    else if (outcome == 0)
        say_why_none_came(asked, why_not);
    return outcome > 0;
}

void ask_end(struct asked *asked)
{
    if (asked->descriptor >= 0)
        (void)close(asked->descriptor);
    bytes_free(&asked->pattern);
}
