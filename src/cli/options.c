/* SPDX-License-Identifier: MIT */
/*
 * The library itself is asked for its options: they are those of the one that programs get.
 */
#include "cli/bytes.h"
#include "cli/commands.h"
#include "cli/library.h"
#include "cli/screen.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char text[] =
    "usage: poolalloc options [-l FILE] [KEY...]\n"
    "\n"
    "Lists the library's options, or those that are named: the value in effect (by\n"
    "POOLALLOC_CONF or by default), what it may be, and what it is for.\n"
    "\n"
    "  -l, --library FILE    ask this one\n"
    "  -h, --help            this\n";

static bool is_asked_for(const char *name, size_t n, char **wanted)
{
    if (*wanted == NULL)
        return true;
    for (; *wanted != NULL; wanted++) {
        if (strlen(*wanted) == n && memcmp(*wanted, name, n) == 0)
            return true;
    }
    return false;
}

/* "name  = value  (range): help" */
static void add_option(struct bytes *out, const struct screen *screen, const char *line,
                       char **wanted)
{
    const char *equals = strstr(line, "= ");
    const char *range = strstr(line, "  (");
    const char *help = strstr(line, "): ");
    size_t n = strcspn(line, " =");
    if (equals == NULL || range == NULL || help == NULL || range < equals || help < range ||
        !is_asked_for(line, n, wanted))
        return;
    bytes_printf(out, "%s%.*s%s=%.*s\n", screen->is_terminal ? "\033[1m" : "", (int)n, line,
                 screen->is_terminal ? "\033[0m" : "", (int)(range - equals - 2), equals + 2);
    bytes_printf(out, "    %s\n    %.*s\n", help + 3, (int)(help - range - 3), range + 3);
}

static bool is_option(const struct bytes *words, const char *name)
{
    struct bytes line = {0};
    bool is_there = false;
    bytes_printf(&line, "poolalloc: %s", name);
    for (const char *at = bytes_text(words); (at = strstr(at, line.at)) != NULL && !is_there;) {
        at += line.n;
        is_there = *at == ' ' || *at == '=';
    }
    bytes_free(&line);
    return is_there;
}

/* Those that are asked for and that there are not; how many. */
static int list_missing(const struct bytes *words, char **wanted)
{
    int n = 0;
    for (; *wanted != NULL; wanted++) {
        if (is_option(words, *wanted))
            continue;
        note("there is no option %s", *wanted);
        n++;
    }
    return n;
}

static void list(struct bytes *words, char **wanted)
{
    static const char prefix[] = "poolalloc: ";
    struct screen screen;
    struct bytes out = {0};
    screen_look(&screen);
    for (char *next, *line = words->at; line != NULL && *line != '\0'; line = next) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        if (strncmp(line, prefix, sizeof prefix - 1) == 0)
            add_option(&out, &screen, line + sizeof prefix - 1, wanted);
    }
    bytes_show(&out);
    bytes_free(&out);
}

int command_options(int argc, char **argv)
{
    static const struct option all[] = {
        {"help", no_argument, NULL, 'h'},
        {"library", required_argument, NULL, 'l'},
        {NULL, 0, NULL, 0},
    };
    const char *conf = getenv("POOLALLOC_CONF");
    struct bytes library = {0};
    struct bytes words = {0};
    struct bytes question = {0};
    const char *told = NULL;
    for (int c; (c = getopt_long(argc, argv, "hl:", all, NULL)) != -1;) {
        if (c != 'l')
            usage(text, c == 'h' ? 0 : STATUS_USAGE);
        told = optarg;
    }
    library_find(told, &library);
    bytes_printf(&question, "%s,help", conf != NULL ? conf : "");
    library_ask(library.at, told != NULL, question.at, &words);
    bytes_free(&question);
    if (strstr(bytes_text(&words), "poolalloc: ") == NULL)
        fail(STATUS_REFUSED, "%s does not answer", library.at);
    int n_missing = list_missing(&words, argv + optind);
    list(&words, argv + optind);
    bytes_free(&words);
    bytes_free(&library);
    return n_missing == 0 ? 0 : STATUS_REFUSED;
}
