/* SPDX-License-Identifier: MIT */
#include "cli/commands.h"
#include "cli/page.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char text[] =
    "usage: poolalloc report [-o PAGE] FILE...\n"
    "\n"
    "Makes one page of HTML with pictures, of dumps that a process has written with\n"
    "dump_format=json. Several dumps show how its memory went over time:\n"
    "\n"
    "  poolalloc run dump=app.%n.json dump_format=json dump_every_ms=1000 -- app\n"
    "  poolalloc report app.*.json -o app.html\n"
    "\n"
    "  -o, --output PAGE     where to; - is stdout; poolalloc.html if not said\n"
    "  -h, --help            this\n";

static int by_number(const void *a, const void *b)
{
    uint64_t left = ((const struct dump *)a)->number;
    uint64_t right = ((const struct dump *)b)->number;
    return (left > right) - (left < right);
}

static int by_time(const void *a, const void *b)
{
    int64_t left = ((const struct dump *)a)->written_ms;
    int64_t right = ((const struct dump *)b)->written_ms;
    return (left > right) - (left < right);
}

/* A process numbers its dumps; of several only the time tells. */
static void sort_dumps(struct dump *dumps, size_t n)
{
    bool is_one_process = true;
    for (size_t i = 1; i < n; i++)
        is_one_process = is_one_process && dumps[i].pid == dumps[0].pid;
    qsort(dumps, n, sizeof *dumps, is_one_process ? by_number : by_time);
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
    const char *file = "poolalloc.html";
    struct bytes page = {0};
    for (int c; (c = getopt_long(argc, argv, "ho:", all, NULL)) != -1;) {
        if (c != 'o')
            usage(text, c == 'h' ? 0 : STATUS_USAGE);
        file = optarg;
    }
    if (optind == argc)
        usage(text, STATUS_USAGE);
    size_t n = (size_t)(argc - optind);
    struct dump *dumps = need(calloc(n, sizeof *dumps));
    for (size_t i = 0; i < n; i++)
        dump_need(&dumps[i], argv[optind + (int)i]);
    sort_dumps(dumps, n);
    page_write(&page, dumps, n);
    write_page(&page, file);
    bytes_free(&page);
    for (size_t i = 0; i < n; i++)
        dump_free(&dumps[i]);
    free(dumps);
    return 0;
}
