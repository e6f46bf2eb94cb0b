/* SPDX-License-Identifier: MIT */
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/show.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char text[] =
    "usage: poolalloc stat [OPTION...] FILE|PID\n"
    "\n"
    "Shows a dump that was written with dump_format=json; - is stdin. A number is a\n"
    "process, which is asked for a dump: it must run under the library with dump= a\n"
    "file, dump_format=json and dump_signal=, as `poolalloc run --stat` starts it.\n"
    "\n"
    "  -a, --all             all classes and objects, not only the largest\n"
    "  -n, --count N         with --watch: end after so many\n"
    "  -w, --watch[=SECONDS] show it again and again, as top does; 2 if not said\n"
    "  -h, --help            this\n";

enum { ROWS_MAX = 12, SECONDS_MAX = 86400 };

struct stat_command {
    const char *source;
    bool is_process;
    struct asked asked;
    bool shows_all;
    double seconds; /* between looks; 0: one */
    long n_looks;   /* 0: until it is ended */
};

/* Set by a signal that ends the command. */
static volatile sig_atomic_t is_over;

static void on_signal(int signal)
{
    is_over = signal;
}

static void read_seconds(struct stat_command *command, const char *argument)
{
    char *end = NULL;
    command->seconds = argument != NULL ? strtod(argument, &end) : 2;
    if ((argument != NULL && (end == argument || *end != '\0')) ||
        !(command->seconds >= 0.1 && command->seconds <= SECONDS_MAX))
        fail(STATUS_USAGE, "--watch: 0.1 to %d seconds, not %s", SECONDS_MAX, argument);
}

static void read_count(struct stat_command *command, const char *argument)
{
    char *end = NULL;
    errno = 0;
    command->n_looks = strtol(argument, &end, 10);
    if (errno != 0 || end == argument || *end != '\0' || command->n_looks < 1)
        fail(STATUS_USAGE, "--count: 1 or more, not %s", argument);
}

static void read_options(struct stat_command *command, int argc, char **argv)
{
    static const struct option all[] = {
        {"all", no_argument, NULL, 'a'},
        {"count", required_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {"watch", optional_argument, NULL, 'w'},
        {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "ahn:w::", all, NULL)) != -1;) {
        switch (c) {
        case 'a':
            command->shows_all = true;
            break;
        case 'n':
            read_count(command, optarg);
            break;
        case 'w':
            read_seconds(command, optarg);
            break;
        default:
            usage(text, c == 'h' ? 0 : STATUS_USAGE);
        }
    }
    if (optind != argc - 1)
        usage(text, STATUS_USAGE);
    if (command->n_looks > 0 && command->seconds == 0)
        fail(STATUS_USAGE, "--count: for --watch only");
    command->source = argv[optind];
}

/* A file whose name is a number is meant by ./123. */
static void find_source(struct stat_command *command)
{
    const char *source = command->source;
    command->is_process = *source != '\0' && source[strspn(source, "0123456789")] == '\0';
    if (!command->is_process)
        return;
    errno = 0;
    long pid = strtol(source, NULL, 10);
    if (errno != 0 || pid <= 0 || pid > 0x7fffffff)
        fail(STATUS_REFUSED, "there is no process %s", source);
    ask_prepare(&command->asked, (pid_t)pid);
    command->asked.is_over = &is_over;
}

static bool read_process(struct stat_command *command, struct dump *dump, struct bytes *why_not)
{
    struct asked *asked = &command->asked;
    struct bytes name = {0};
    bytes_printf(&name, "the dump of process %d", (int)asked->pid);
    bool is_read = ask_for_dump(asked, &dump->text, why_not) && dump_parse(dump, name.at, why_not);
    bytes_free(&name);
    if (!is_read || dump->pid == (uint64_t)asked->own_pid)
        return is_read;
    bytes_printf(
        why_not,
        "process %d: another one, %llu, writes dumps of such names; with %%p in dump= they "
        "are told apart",
        (int)asked->pid, (unsigned long long)dump->pid);
    return false;
}

static bool read_source(struct stat_command *command, struct dump *dump, struct bytes *why_not)
{
    *dump = (struct dump){0};
    return command->is_process ? read_process(command, dump, why_not)
                               : dump_read(dump, command->source, why_not);
}

static void show_once(struct stat_command *command)
{
    struct dump dump;
    struct bytes out = {0};
    struct bytes why_not = {0};
    struct showing how = {.rows_max = command->shows_all ? 0 : ROWS_MAX};
    screen_look(&how.screen);
    if (!read_source(command, &dump, &why_not))
        fail(STATUS_REFUSED, "%s", why_not.at);
    show_dump(&out, &dump, &how);
    bytes_show(&out);
    bytes_free(&out);
    dump_free(&dump);
}

/* ---- watching ---- */

static double now(void)
{
    struct timespec time = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void pause_for(double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds};
    time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
    /* A signal ends the pause. */
    (void)nanosleep(&time, NULL);
}

/* The first rows of it, on a cleared screen. */
static void show_frame(const struct bytes *out, const struct screen *screen)
{
    struct bytes frame = {0};
    if (screen->is_terminal)
        bytes_add_text(&frame, "\033[H\033[2J");
    add_cut(&frame, screen, bytes_text(out));
    if (!screen->is_terminal)
        bytes_add_text(&frame, "\n");
    bytes_show(&frame);
    bytes_free(&frame);
}

/* The last dump and when it was read. */
struct look {
    struct dump dump;
    double time;
    bool is_there;
};

static bool look_again(struct stat_command *command, struct look *last)
{
    struct look look = {0};
    struct bytes out = {0};
    struct bytes why_not = {0};
    struct showing how = {0};
    screen_look(&how.screen);
    how.rows_max = command->shows_all ? 0 : ROWS_MAX;
    how.rows = command->shows_all || how.screen.rows == 0 ? 0 : how.screen.rows - 1;
    look.is_there = read_source(command, &look.dump, &why_not);
    look.time = now();
    if (look.is_there) {
        how.before = last->is_there ? &last->dump : NULL;
        how.seconds = look.time - last->time;
        show_dump(&out, &look.dump, &how);
        show_frame(&out, &how.screen);
        dump_free(&last->dump);
        *last = look;
    } else {
        dump_free(&look.dump);
        if (is_over == 0)
            note("%s", why_not.at);
    }
    bytes_free(&out);
    bytes_free(&why_not);
    return look.is_there;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
}

/* What is on the screen last stays there. */
static int watch(struct stat_command *command)
{
    struct look last = {0};
    bool is_fine = true;
    catch_signals();
    for (long n = 1; is_over == 0 && is_fine; n++) {
        is_fine = look_again(command, &last);
        if (n == command->n_looks)
            break;
        if (is_fine && is_over == 0)
            pause_for(command->seconds);
    }
    dump_free(&last.dump);
    return is_fine || is_over != 0 ? 0 : STATUS_REFUSED;
}

int command_stat(int argc, char **argv)
{
    struct stat_command command = {.asked = {.descriptor = -1}};
    int status = 0;
    read_options(&command, argc, argv);
    find_source(&command);
    if (command.seconds > 0)
        status = watch(&command);
    else
        show_once(&command);
    ask_end(&command.asked);
    return status;
}
