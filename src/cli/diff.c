/* SPDX-License-Identifier: MIT */
#include "cli/commands.h"
#include "cli/show.h"

#include <getopt.h>
#include <stddef.h>

static const char text[] =
    "usage: poolalloc diff [OPTION...] BEFORE AFTER\n"
    "\n"
    "Shows what has grown from one dump to another, most growth first, and then what\n"
    "has shrunk. Both are files that were written with dump_format=json. Who\n"
    "allocated what (track=on) is not compared: poolalloc stat shows it of each.\n"
    "\n"
    "  -a, --all             all classes and objects, not only the largest changes\n"
    "  -h, --help            this\n";

enum { ROWS_MAX = 20 };

int command_diff(int argc, char **argv)
{
    static const struct option all[] = {
        {"all", no_argument, NULL, 'a'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct showing how = {.rows_max = ROWS_MAX};
    struct bytes out = {0};
    struct dump before;
    struct dump after;
    for (int c; (c = getopt_long(argc, argv, "ah", all, NULL)) != -1;) {
        if (c != 'a')
            usage(text, c == 'h' ? 0 : STATUS_USAGE);
        how.rows_max = 0;
    }
    if (optind != argc - 2)
        usage(text, STATUS_USAGE);
    dump_need(&before, argv[optind]);
    dump_need(&after, argv[optind + 1]);
    screen_look(&how.screen);
    show_differences(&out, &before, &after, &how);
    bytes_show(&out);
    bytes_free(&out);
    dump_free(&before);
    dump_free(&after);
    return 0;
}
