/* SPDX-License-Identifier: MIT */
#include "obs/dump.h"

#include "heap/heap.h"
#include "mem/arena.h"
#include "obs/profile.h"
#include "obs/report.h"
#include "os/clock.h"
#include "os/log.h"
#include "os/maps.h"
#include "os/pages.h"
#include "os/panic.h"
#include "os/path.h"
#include "os/process.h"
#include "os/sys.h"
#include "pressure/pressure.h"

#include <errno.h>
#include <string.h>

enum { PEAK_SHARE = 32 };

/* A copy of fd 2: many programs close that on their way out. Neither is written to unless it is
 * still the file of the start: a program may have opened another in its place. */
static int stderr_copy;

struct desk {
    _Atomic uint32_t process; /* that a dump is being written in, or 0 */
    _Atomic bool is_asked;    /* for a dump that nobody has begun yet */
    struct report report;
};
static struct desk desks[N_DUMP_CAUSES];

/* This process and how many dumps it has begun, in one word: a child of fork starts anew. */
static _Atomic uint64_t sequence;

static uint32_t process_id(void)
{
    return (uint32_t)sys_getpid();
}

/* ---- whose memory it is ---- */

/* Which process's. A fork wipes it, a vfork does not: until its exec that child runs in what is its
 * parent's. NULL: such pages cannot be had. [const] after dump_init */
static _Atomic uint32_t *home;

static void home_make(void)
{
    size_t bytes = os_page_bytes();
    _Atomic uint32_t *page = os_pages_map(NULL, bytes);
    if (page == NULL)
        return;
    atomic_put_relaxed(page, process_id());
    if (sys_wipe_on_fork(page, bytes) == 0)
        home = page;
    else
        os_pages_unmap(page, bytes);
}

/* Else its dumps would be its parent's, and come between them. */
static bool is_at_home(void)
{
    uint32_t process = process_id();
    uint32_t owner = 0;
    return home == NULL || atomic_try_acquire(home, &owner, process) || owner == process;
}

/* ---- desks ---- */

static bool desk_take(struct desk *desk)
{
    uint32_t process = process_id();
    uint32_t at_work = atomic_get_in_order(&desk->process);
    return at_work != process && atomic_try_acquire(&desk->process, &at_work, process);
}

static void desk_leave(struct desk *desk)
{
    atomic_put_in_order(&desk->process, 0);
}

static uint64_t next_number(void)
{
    uint64_t mine = (uint64_t)process_id() << 32;
    uint64_t last = atomic_get_relaxed(&sequence);
    uint64_t next;
    do {
        next = last >> 32 == mine >> 32 ? last + 1 : mine + 1;
    } while (!atomic_try_release(&sequence, &last, next));
    return (uint32_t)next;
}

/* ---- writing ---- */

/* What the kernel takes its time to find out. */
static void ask_of_process(struct report *report)
{
    report->process_is_known =
        report->what >= DUMP_ALL && os_huge_bytes(&report->process[PROCESS_huge_bytes]);
}

static bool write_report(struct report *report, int fd, uint64_t format)
{
    static void (*const formats[])(struct report *) = {report_text, report_json, report_prom};
    out_init(&report->out, fd);
    ask_of_process(report);
    report->is_terminal = sys_is_terminal(fd);
    formats[format](report);
    return out_flush(&report->out);
}

static bool write_figures(struct report *report, int fd)
{
    return write_report(report, fd, options.dump_format);
}

static bool write_profile(struct report *report, int fd)
{
    out_init(&report->out, fd);
    profile_write(&report->out);
    return out_flush(&report->out);
}

/* Or -1: it is not there any more. */
static int stderr_now(void)
{
    if (log_is_stderr_of_start(stderr_copy))
        return stderr_copy;
    return log_is_stderr_of_start(2) ? 2 : -1;
}

static void write_to_stderr(struct report *report)
{
    int fd = stderr_now();
    if (fd >= 0)
        (void)write_report(report, fd, options.dump_format);
}

/* ---- files ---- */

/* Beside the file, and nobody else's. */
static bool path_aside(struct path *aside, const struct path *path, uint64_t number)
{
    struct text text;
    text_init(&text, aside->name, sizeof aside->name - 1);
    text_add(&text, path->name);
    text_add(&text, ".");
    text_add_number(&text, process_id());
    text_add(&text, ".");
    text_add_number(&text, number);
    text_add(&text, ".part");
    *text.at = '\0';
    return text.at < text.end;
}

typedef bool write_call(struct report *report, int fd);

/* Whether it begins as one of our files does. */
static bool is_dump(const char *name)
{
    static const char *const heads[] = {"poolalloc: dump ", "{\n  \"schema\": \"poolalloc\"",
                                        "# HELP poolalloc_"};
    static const char profile[] = "heap profile: ";
    char head[128] = "";
    long fd = sys_open_here(name);
    if (fd < 0)
        return false;
    if (sys_file_kind((int)fd) == SYS_FILE_REGULAR)
        (void)sys_read((int)fd, head, sizeof head - 1);
    (void)sys_close((int)fd);
    bool is_ours =
        strncmp(head, profile, strlen(profile)) == 0 && strstr(head, "@ heap_v2/") != NULL;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        is_ours |= strncmp(head, heads[i], strlen(heads[i])) == 0;
    return is_ours;
}

/* Whether nothing has this name, or a file that a dump may take the place of. */
static bool may_take(const char *name)
{
    size_t bytes;
    enum sys_file_kind kind = sys_path_kind(name, &bytes);
    if (kind != SYS_FILE_REGULAR || options.dump_replace == DUMP_REPLACE_NONE)
        return kind == SYS_FILE_NONE;
    return options.dump_replace == DUMP_REPLACE_ANY || bytes == 0 || is_dump(name);
}

/* 0 or a negative errno. */
static long write_aside(struct report *report, const struct path *aside, write_call *write)
{
    long fd = sys_open_new(aside->name);
    if (fd < 0)
        return fd;
    bool done = write(report, (int)fd);
    return sys_close((int)fd) == 0 && done ? 0 : -EIO;
}

static long publish(const struct path *aside, const struct path *path)
{
    long code = sys_rename_new(aside->name, path->name);
    if (code != 0 && may_take(path->name)) /* or the file system can't tell whether it is new */
        code = sys_rename_over(aside->name, path->name);
    return code;
}

static long write_and_publish(struct report *report, write_call *write, const struct path *path)
{
    struct path aside;
    if (!path_aside(&aside, path, report->number))
        return -ENAMETOOLONG;
    long code = write_aside(report, &aside, write);
    if (code == 0)
        code = publish(&aside, path);
    if (code != 0)
        (void)sys_unlink(aside.name);
    return code;
}

/* Once is enough: of dumps at an interval all others fail for the same reason. */
static void say_why_not(const char *name, long code)
{
    static _Atomic bool is_said;
    if (!options.verbose || atomic_swap_acquire(&is_said, true))
        return;
    if (code == -EEXIST)
        log_warn("no dump: what is there stays (see dump_replace): ", name, NULL);
    else
        log_warn("cannot write a dump to ", name, NULL);
}

static void write_to_file(struct report *report, write_call *write, const char *pattern)
{
    struct path path;
    long code = -ENAMETOOLONG;
    if (path_expand(&path, pattern, report->number))
        code = write_and_publish(report, write, &path);
    if (code != 0)
        say_why_not(path.name, code);
}

/* ---- when ---- */

static bool is_to_stderr(void)
{
    return strcmp(options.dump, "stderr") == 0;
}

static bool is_process_to_dump(void)
{
    return options.dump_pid == 0 || options.dump_pid == process_id();
}

/* Of what has been read. */
static void write_dump(struct report *report, enum dump_cause cause)
{
#define DUMP_CAUSE_WORDS(cause, words) words,
    static const char *const why[] = {DUMP_CAUSES(DUMP_CAUSE_WORDS)};
    if (!is_process_to_dump())
        return;
    report->why = why[cause];
    report->what = options.dump_what;
    report->number = next_number();
    if (is_to_stderr())
        write_to_stderr(report);
    else if (options.dump[0] != '\0')
        write_to_file(report, write_figures, options.dump);
    if (options.profile[0] != '\0' && profile_is_on())
        write_to_file(report, write_profile, options.profile);
}

/* Occasions whose dump could not be made for want of a lock, a bit each: the next slow path of any
 * thread makes it. */
static _Atomic uint32_t put_off;

static void make_dump(struct report *report, enum dump_cause cause)
{
    if (stats_read_soon(&report->stats))
        write_dump(report, cause);
    else
        (void)atomic_or_relaxed(&put_off, 1u << cause);
}

/* Who asks and finds the desk taken has asked before it was left, and is seen by who leaves it. */
void dump_now(enum dump_cause cause)
{
    struct desk *desk = &desks[cause];
    if (!is_at_home())
        return;
    atomic_put_in_order(&desk->is_asked, true);
    while (atomic_get_in_order(&desk->is_asked) && desk_take(desk)) {
        atomic_put_in_order(&desk->is_asked, false);
        make_dump(&desk->report, cause);
        desk_leave(desk);
    }
}

bool dump_profile_to(int fd)
{
    struct out out;
    if (!profile_is_on())
        return false;
    out_init(&out, fd);
    profile_write(&out);
    return out_flush(&out);
}

bool dump_to(int fd, enum dump_format format)
{
    struct report report;
    if (!stats_read(&report.stats))
        return false;
    report.why = "asked for";
    report.what = DUMP_ALL;
    report.number = next_number();
    return write_report(&report, fd, format);
}

static void at_exit(void)
{
    dump_now(DUMP_CAUSE_EXIT);
}

/* Where blocks are tracked and no dump says so: that alone. */
static void at_exit_of_tracked(void)
{
    struct report *report = &desks[DUMP_CAUSE_EXIT].report;
    int fd = stderr_now();
    if (fd < 0 || !desk_take(&desks[DUMP_CAUSE_EXIT]))
        return;
    out_init(&report->out, fd);
    report_sites_text(report);
    (void)out_flush(&report->out);
    desk_leave(&desks[DUMP_CAUSE_EXIT]);
}

static void at_pressure(void)
{
    dump_now(DUMP_CAUSE_PRESSURE);
}

static void at_fault(void)
{
    dump_now(DUMP_CAUSE_FATAL);
}

/* By dump_signal and sigqueue(), as `poolalloc stat` does. */
bool dump_is_asked_for(int signal, const siginfo_t *info)
{
    return (uint64_t)signal == options.dump_signal && info->si_code == SI_QUEUE &&
           info->si_value.sival_int == DUMP_ASKED_VALUE;
}

/* In the middle of a slow path it is put off until the thread leaves that, as the program's own
 * handlers are: what it holds would be missing. */
static void on_signal(int signal, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    if (!handler_put_off(signal, info, context)) {
        enum handler_state state = handler_begin((uintptr_t)__builtin_frame_address(0), context);
        dump_now(DUMP_CAUSE_SIGNAL);
        handler_end(state);
    }
    errno = saved_errno;
}

/* ---- now and then ---- */

/* Slow paths of all threads look here: who changes a word first has its work to do. */
static struct {
    _Atomic uint64_t due_ms;      /* when the next dump at an interval is due */
    _Atomic uint64_t due_look_ms; /* when to look how much is live, while that is waited for */
    _Atomic uint64_t due_used;    /* and at how many arena_used_bytes in any case */
    _Atomic bool is_live_done;
} watch;

/* True for one caller only, when *due has come; it is put off by `after` then. */
static bool is_turn(_Atomic uint64_t *due, uint64_t now, uint64_t after)
{
    uint64_t at = atomic_get_relaxed(due);
    return now >= at && atomic_try_acquire(due, &at, now + after);
}

/* Whether so many bytes, if they were live, would be the first to reach the size. */
static bool is_waiting_for_live(uint64_t bytes)
{
    return options.dump_live_bytes > 0 && bytes >= options.dump_live_bytes &&
           !atomic_get_relaxed(&watch.is_live_done);
}

/* A reading notes peaks by itself. */
static void read_live(void)
{
    struct desk *desk = &desks[DUMP_CAUSE_LIVE];
    if (!desk_take(desk))
        return;
    bool is_read = stats_read_soon(&desk->report.stats);
    if (is_read && is_waiting_for_live(desk->report.stats.live_bytes)) {
        atomic_put_relaxed(&watch.is_live_done, true);
        write_dump(&desk->report, DUMP_CAUSE_LIVE);
    }
    desk_leave(desk);
}

/* Live memory is summed up when what is in use has grown, and where it may pass the size that is
 * waited for within slabs that are there already, at each tick of the clock. */
static void observe_live(void)
{
    enum { TICK_MS = 4 };
    uint64_t used = atomic_get_relaxed(&arena_used_bytes);
    if (is_turn(&watch.due_used, used, used / PEAK_SHARE) ||
        (is_waiting_for_live(used) && is_turn(&watch.due_look_ms, os_clock_ms(), TICK_MS)))
        read_live();
}

COLD static void dump_put_off(void)
{
    uint32_t causes = atomic_swap_acquire(&put_off, 0);
    for (int cause = 0; cause < N_DUMP_CAUSES; cause++) {
        if ((causes >> cause & 1) != 0)
            dump_now(cause);
    }
}

static void observe(void)
{
    int saved_errno = errno;
    if (UNLIKELY(atomic_get_relaxed(&put_off) != 0))
        dump_put_off();
    if (options.dump_every_ms > 0 && is_turn(&watch.due_ms, os_clock_ms(), options.dump_every_ms))
        dump_now(DUMP_CAUSE_INTERVAL);
    observe_live();
    errno = saved_errno;
}

/* ---- start ---- */

static void stderr_keep(void)
{
    stderr_copy = -1;
    if (is_to_stderr() || options.dump[0] == '\0')
        stderr_copy = (int)sys_duplicate_high(2);
}

void dump_init(void)
{
    bool has_dumps = options.dump[0] != '\0' || options.profile[0] != '\0';
    if (!has_dumps && !options.track)
        return;
    stderr_keep();
    if (options.dump[0] == '\0' && options.track)
        (void)os_at_exit(at_exit_of_tracked);
    if (!has_dumps)
        return;
    home_make();
    if (options.dump_exit != DUMP_EXIT_OFF)
        (void)os_at_exit(at_exit);
    if (options.dump_exit == DUMP_EXIT_QUICK)
        (void)os_at_quick_exit(at_exit);
    if (options.dump_signal > 0)
        (void)os_signal_catch((int)options.dump_signal, on_signal);
    if (options.dump_fatal)
        atomic_put_relaxed(&panic_observer, at_fault);
    if (options.dump_pressure)
        pressure_observer = at_pressure;
    atomic_put_relaxed(&watch.due_ms, os_clock_ms() + options.dump_every_ms);
    atomic_put_relaxed(&heap_observer, observe);
}
