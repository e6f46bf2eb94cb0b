/* SPDX-License-Identifier: MIT */
/*
 * Runs a program with the library preloaded and checks how it ended.
 *
 *     death_run -l LIBRARY [-c CONF] -f PROGRAM [ARGUMENT]...
 *
 *         It must die by SIGABRT, and all that there is on stderr is "poolalloc: fatal: " and the
 *         one line that the program had written to stdout before it did wrong.
 *
 *     death_run -l LIBRARY [-c CONF] [-w LINE]... PROGRAM [ARGUMENT]...
 *
 *         It must end with status 0, and all that there is on stderr are these lines.
 *
 * A program that itself finds something wrong says so on stdout and ends with another status; with
 * 77 it says that what it needs cannot be had here.
 */
#include "child.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SKIPPED = 77 };

static const char prefix[] = "poolalloc: fatal: ";

struct order {
    const char *library;
    const char *conf; /* NULL: none */
    bool fatal;
    char expected[CHILD_TEXT_MAX]; /* on stderr */
};

static void line_append(char text[CHILD_TEXT_MAX], const char *line)
{
    size_t n = strlen(text);
    (void)snprintf(text + n, CHILD_TEXT_MAX - n, "%s\n", line);
}

static void usage(void)
{
    (void)fputs("usage: death_run -l LIBRARY [-c CONF] [-f] [-w LINE]... PROGRAM [ARGUMENT]...\n",
                stderr);
    exit(EXIT_FAILURE);
}

static void order_read(struct order *order, int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "+l:c:fw:")) != -1) {
        if (option == 'l')
            order->library = optarg;
        else if (option == 'c')
            order->conf = optarg;
        else if (option == 'f')
            order->fatal = true;
        else if (option == 'w')
            line_append(order->expected, optarg);
        else
            usage();
    }
    if (order->library == NULL || optind == argc)
        usage();
}

static bool ended_well(const struct order *order, int status)
{
    if (order->fatal)
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void print_end(int status)
{
    if (WIFSIGNALED(status))
        printf("ended by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        printf("ended with status %d\n", WEXITSTATUS(status));
}

static bool is_one_line(const char *text)
{
    const char *end = strchr(text, '\n');
    return end != NULL && end[1] == '\0';
}

static int judge(struct order *order, const struct child *child)
{
    if (WIFEXITED(child->status) && WEXITSTATUS(child->status) == SKIPPED) {
        printf("skipped: %s", child->out);
        return SKIPPED;
    }
    if (order->fatal)
        (void)snprintf(order->expected, sizeof order->expected, "%s%s", prefix, child->out);
    bool well = ended_well(order, child->status) && strcmp(child->err, order->expected) == 0 &&
                (!order->fatal || is_one_line(child->out));
    if (well)
        return EXIT_SUCCESS;
    print_end(child->status);
    printf("expected: %s\nstderr:\n%s\nexpected on stderr:\n%s\nstdout:\n%s\n",
           order->fatal ? "SIGABRT" : "status 0", child->err, order->expected, child->out);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    static struct order order;
    static struct child child;
    order_read(&order, argc, argv);
    child_run(&child, order.library, order.conf, (const char *const *)argv + optind);
    return judge(&order, &child);
}
