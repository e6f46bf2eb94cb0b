/* SPDX-License-Identifier: MIT */
#include "cli/commands.h"
#include "cli/page.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_PAGE "poolalloc.html"

static const char text[] =
    "usage: poolalloc report [-o PAGE] FILE...\n"
    "\n"
    "Makes one page of HTML with pictures, of dumps that a process has written with\n"
    "dump_format=json. Several dumps show how its memory went over time:\n"
    "\n"
    "  poolalloc run dump=app.%p.%n.json dump_format=json dump_every_ms=1000 -- app\n"
    "  poolalloc report app.*.json -o app.html\n"
    "\n"
    "Of dumps of several processes, or runs, those of the last one with more than one\n"
    "dump make the page.\n"
    "\n"
    "  -o, --output PAGE     where to; - is stdout; " DEFAULT_PAGE " if not said\n"
    "  -h, --help            this\n";

/* Those of a process are together then, in the order of their numbers. */
static int by_process(const void *a, const void *b)
{
    const struct dump *left = a;
    const struct dump *right = b;
    if (left->pid != right->pid)
        return left->pid > right->pid ? 1 : -1;
    return (left->number > right->number) - (left->number < right->number);
}

/* Dumps of a process. */
struct series {
    const struct dump *dumps;
    size_t n;
    int64_t latest_ms;
};

static struct series next_series(const struct dump *dumps, size_t n)
{
    struct series series = {dumps, 0, 0};
    while (series.n < n && dumps[series.n].pid == dumps[0].pid) {
        int64_t time_ms = dumps[series.n++].written_ms;
        series.latest_ms = time_ms > series.latest_ms ? time_ms : series.latest_ms;
    }
    return series;
}

/* The last process that has more than one dump: others are children that came and went, or an
 * earlier run. */
static bool is_better(const struct series *a, const struct series *b)
{
    if ((a->n > 1) != (b->n > 1))
        return a->n > 1;
    return a->latest_ms > b->latest_ms;
}

/* A page is of one process. Sorts them. */
static struct series choose_series(struct dump *dumps, size_t n)
{
    struct series best = {0};
    struct series each;
    size_t n_series = 0;
    qsort(dumps, n, sizeof *dumps, by_process);
    for (size_t i = 0; i < n; i += each.n) {
        each = next_series(dumps + i, n - i);
        if (n_series++ == 0 || is_better(&each, &best))
            best = each;
    }
    if (n_series > 1)
        note("these are of %zu processes; the page is of %s, process %llu, %zu dump%s; for another "
             "give its files alone",
             n_series, best.dumps[best.n - 1].program, (unsigned long long)best.dumps->pid, best.n,
             best.n == 1 ? "" : "s");
    return best;
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat of_a;
    struct stat of_b;
    return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
           of_a.st_ino == of_b.st_ino;
}

static void write_page(const struct bytes *page, const char *file)
{
    if (strcmp(file, "-") == 0) {
        bytes_show(page);
        return;
    }
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0 || !bytes_write(page, fd) || close(fd) != 0)
        fail(STATUS_REFUSED, "%s: %s", file, strerror(errno));
}

int command_report(int argc, char **argv)
{
    static const struct option all[] = {
        {"help", no_argument, NULL, 'h'},
        {"output", required_argument, NULL, 'o'},
        {NULL, 0, NULL, 0},
    };
    const char *file = DEFAULT_PAGE;
    bool is_told = false;
    struct bytes page = {0};
    for (int c; (c = getopt_long(argc, argv, "ho:", all, NULL)) != -1;) {
        if (c != 'o')
            usage(text, c == 'h' ? 0 : STATUS_USAGE);
        file = optarg;
        is_told = true;
    }
    if (optind == argc)
        usage(text, STATUS_USAGE);
    size_t n = (size_t)(argc - optind);
    struct dump *dumps = need(calloc(n, sizeof *dumps));
    for (size_t i = 0; i < n; i++) {
        dump_need(&dumps[i], argv[optind + (int)i]);
        if (strcmp(file, "-") != 0 && is_same_file(file, argv[optind + (int)i]))
            fail(STATUS_USAGE, "%s: is one of the dumps", file);
    }
    struct series series = choose_series(dumps, n);
    page_write(&page, series.dumps, series.n);
    write_page(&page, file);
    bytes_clear(&page);
    if (!is_told)
        bytes_add_text(&page, "the page is " DEFAULT_PAGE "\n");
    bytes_show(&page);
    bytes_free(&page);
    for (size_t i = 0; i < n; i++)
        dump_free(&dumps[i]);
    free(dumps);
    return 0;
}
