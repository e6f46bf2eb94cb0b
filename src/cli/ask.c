/* SPDX-License-Identifier: MIT */
#include "cli/ask.h"

#include "cli/program.h"

#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PROC_BYTES_MAX = 16 * 1024 * 1024, PATIENCE_MS = 5000, LOOK_MS = 10 };

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

static bool catches(pid_t pid, int signal)
{
    struct bytes mask = {0};
    bool is_there = find_status(pid, "\nSigCgt", &mask);
    unsigned long long bits = is_there ? strtoull(mask.at, NULL, 16) : 0;
    bytes_free(&mask);
    return (bits >> (signal - 1) & 1) != 0;
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
        {"HUP", SIGHUP}, {"QUIT", SIGQUIT},   {"USR1", SIGUSR1}, {"USR2", SIGUSR2},
        {"URG", SIGURG}, {"WINCH", SIGWINCH}, {"PWR", SIGPWR},
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
static void make_pattern(struct bytes *pattern, pid_t pid, const char *dump)
{
    bytes_printf(pattern, "/proc/%d/%s", (int)pid, dump[0] == '/' ? "root" : "cwd/");
    for (const char *at = dump; *at != '\0'; at++) {
        if (at[0] != '%' || at[1] == '\0')
            add_literally(pattern, *at);
        else if (*++at == 'p')
            bytes_printf(pattern, "%ld", own_pid(pid));
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
    make_pattern(&asked->pattern, asked->pid, dump.at);
    bytes_free(&dump);
    bytes_free(&format);
    bytes_free(&signal);
}

void ask_prepare(struct asked *asked, pid_t pid)
{
    struct bytes conf = {0};
    *asked = (struct asked){.pid = pid};
    open_process(asked);
    find_conf(pid, &conf);
    if (!has_library(pid))
        lacks(pid, "does not run under the library");
    check_options(asked, &conf);
    if (!catches(pid, asked->signal))
        lacks(pid, "does not catch its dump_signal, which would end it");
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
#ifdef SYS_pidfd_send_signal
    if (asked->descriptor >= 0)
        return syscall(SYS_pidfd_send_signal, asked->descriptor, asked->signal, NULL, 0) == 0;
#endif
    return kill(asked->pid, asked->signal) == 0;
}

bool ask_for_dump(struct asked *asked, struct bytes *file, struct bytes *why_not)
{
    struct mark before;
    struct mark after;
    bool was_there = newest(asked, &before, file);
    if (!send_signal(asked)) {
        bytes_printf(why_not, "process %d: %s", (int)asked->pid,
                     errno == ESRCH ? "has ended" : strerror(errno));
        return false;
    }
    for (int ms = 0; ms < PATIENCE_MS; ms += LOOK_MS) {
        if (newest(asked, &after, file) && !(was_there && is_same(&before, &after)))
            return true;
        struct timespec moment = {.tv_nsec = LOOK_MS * 1000000L};
        (void)nanosleep(&moment, NULL);
    }
    bytes_printf(why_not, "process %d: no dump came within %d s: ", (int)asked->pid,
                 PATIENCE_MS / 1000);
    bytes_add_text(why_not, was_there ? "without dump_replace=on a file stays that was there before"
                                      : "it can't write there, or is stopped");
    return false;
}

void ask_end(struct asked *asked)
{
    if (asked->descriptor >= 0)
        (void)close(asked->descriptor);
    bytes_free(&asked->pattern);
}
