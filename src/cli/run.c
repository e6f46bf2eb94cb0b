/* SPDX-License-Identifier: MIT */
#include "cli/bytes.h"
#include "cli/commands.h"
#include "cli/library.h"
#include "cli/program.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char text[] =
    "usage: poolalloc run [OPTION...] [KEY=VALUE...] [--] PROGRAM [ARGUMENT...]\n"
    "\n"
    "Runs a program with the library preloaded. KEY=VALUE are the library's options\n"
    "(poolalloc options); they come after those of POOLALLOC_CONF. With no options at\n"
    "all the program, but none of its children, ends with a short dump on stderr; not\n"
    "if it leaves by _exit, as some shells do.\n"
    "\n"
    "  -c, --check           only say whether it can work\n"
    "  -f, --force           run the program even if it can't\n"
    "  -l, --library FILE    preload this one\n"
    "  -q, --quiet           no dump where there are no options\n"
    "  -s, --stat            write dumps for `poolalloc stat PID`, on signal 62, to\n"
    "                        /tmp/poolalloc.NAME.PID.json, which stays\n"
    "  -h, --help            this\n"
    "\n"
    "Status: the program's; 2 after a mistake in OPTION or KEY=VALUE, 125 if it can't\n"
    "work, 126 if the program can't be run, 127 if there is none of this name.\n";

/* Where `stat` finds them; %p is the process. A realtime signal that next to nobody uses, while
 * many servers begin anew on USR2. */
#define STAT_CONF                                                                                  \
    "dump=/tmp/"                                                                                   \
    "poolalloc.%e.%p.json,dump_format=json,dump_signal=62,dump_replace=on,dump_exit=off"
#define SHORT_CONF "dump=stderr,dump_what=summary,dump_pid="

struct run {
    const char *library;
    bool checks_only;
    bool is_forced;
    bool is_quiet;
    struct bytes conf;
};

static void conf_add(struct run *run, const char *conf)
{
    if (run->conf.n > 0)
        bytes_add_text(&run->conf, ",");
    bytes_add_text(&run->conf, conf);
}

static void read_options(struct run *run, int argc, char **argv)
{
    static const struct option all[] = {
        {"check", no_argument, NULL, 'c'},
        {"force", no_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {"library", required_argument, NULL, 'l'},
        {"quiet", no_argument, NULL, 'q'},
        {"stat", no_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "+cfhl:qs", all, NULL)) != -1;) {
        switch (c) {
        case 'c':
            run->checks_only = true;
            break;
        case 'f':
            run->is_forced = true;
            break;
        case 'h':
            usage(text, 0);
        case 'l':
            run->library = optarg;
            break;
        case 'q':
            run->is_quiet = true;
            break;
        case 's':
            conf_add(run, STAT_CONF);
            break;
        default:
            usage(text, STATUS_USAGE);
        }
    }
}

/* One line of what the library says; true if it is about a mistake. */
static bool say_mistake(const char *line)
{
    static const char prefix[] = "poolalloc: POOLALLOC_CONF: ";
    static const char ignored[] = ", ignored: ";
    if (strncmp(line, prefix, sizeof prefix - 1) != 0)
        return false;
    line += sizeof prefix - 1;
    const char *item = strstr(line, ignored);
    if (item != NULL)
        note("%.*s: %s", (int)(item - line), line, item + sizeof ignored - 1);
    else
        note("%s", line);
    return true;
}

/* The library warns of mistakes in its options and goes on: so it does with those of
 * POOLALLOC_CONF, which may be for many programs. Those that are given here end the command. */
static void check_conf(const struct run *run, const char *library)
{
    struct bytes words = {0};
    bool is_wrong = false;
    library_ask(library, run->library != NULL, bytes_text(&run->conf), &words);
    for (char *next, *line = words.at; line != NULL && *line != '\0'; line = next) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        is_wrong = say_mistake(line) || is_wrong;
    }
    bytes_free(&words);
    if (is_wrong)
        exit(STATUS_USAGE);
}

/* The library's options, up to the program. */
static char **read_conf(struct run *run, char **argv)
{
    if (strcmp(argv[-1], "--") == 0)
        return argv;
    for (; *argv != NULL && strcmp(*argv, "--") != 0; argv++) {
        if (strchr(*argv, '=') == NULL)
            return argv;
        conf_add(run, *argv);
    }
    return *argv != NULL ? argv + 1 : argv;
}

static void say_fine(const char *file)
{
    struct bytes words = {0};
    bytes_add_shown(&words, file);
    bytes_add_text(&words, ": can run under the library, as far as its file tells\n");
    bytes_show(&words);
    bytes_free(&words);
}

static void judge(const struct run *run, const char *file)
{
    struct bytes words = {0};
    enum verdict verdict = program_judge(file, &words);
    if (verdict == VERDICT_FINE && run->checks_only)
        say_fine(file);
    if (verdict != VERDICT_FINE)
        note("%s", words.at);
    if (verdict == VERDICT_USELESS && (run->checks_only || !run->is_forced))
        fail(STATUS_REFUSED, "it would not run under the library; --force runs it all the same");
    bytes_free(&words);
}

static bool has_conf(const struct run *run)
{
    const char *conf = getenv("POOLALLOC_CONF");
    return run->conf.n > 0 || (conf != NULL && *conf != '\0');
}

int command_run(int argc, char **argv)
{
    struct run run = {0};
    struct bytes library = {0};
    struct bytes file = {0};
    read_options(&run, argc, argv);
    char **program = read_conf(&run, argv + optind);
    if (*program == NULL)
        usage(text, STATUS_USAGE);
    library_find(run.library, &library);
    if (run.library != NULL && !program_has_library(library.at))
        fail(STATUS_REFUSED, "%s: is not the library poolalloc", run.library);
    if (run.conf.n > 0)
        check_conf(&run, library.at);
    if (!program_find(*program, &file))
        fail(errno == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_RUN, "%s: %s", *program,
             strerror(errno));
    judge(&run, file.at);
    if (run.checks_only)
        return 0;
    if (!has_conf(&run) && !run.is_quiet)
        bytes_printf(&run.conf, SHORT_CONF "%d", (int)getpid());
    library_preload(library.at, run.library != NULL, bytes_text(&run.conf));
    (void)execvp(*program, program);
    fail(STATUS_NOT_RUN, "%s: %s", *program, strerror(errno));
}
