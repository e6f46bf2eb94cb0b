/* SPDX-License-Identifier: MIT */
/*
 * A program whose files 0, 1 and 2 are closed at start, or replaced by its own later, whatever
 * POOLALLOC_CONF says: it works, and nothing but its own line gets into its own file 2.
 *
 *     closed_files closed|replaced [CONF]
 */
#include "support.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char line[] = "the program's own\n";

static void close_all(void)
{
    for (int fd = 0; fd <= 2; fd++)
        (void)close(fd);
}

/* Its status tells what is wrong: it has nowhere to write to. */
static int program(const char *path)
{
    if (fcntl(2, F_GETFD) >= 0)
        close_all(); /* replaced, not closed at start */
    (void)work_at_random(&(struct work){1, 1000, MIB, false});
    if (open("/dev/null", O_RDONLY) != 0 || open("/dev/null", O_WRONLY) != 1)
        return 2;
    if (open(path, O_WRONLY | O_APPEND) != 2)
        return 3;
    (void)work_at_random(&(struct work){2, 1000, MIB, false});
    (void)work_with_large(&(struct work){3, 2, 0, false});
    return write(2, line, sizeof line - 1) == sizeof line - 1 ? 0 : 4;
}

static int run(char *self, char *path, bool is_closed, const char *conf)
{
    static char inside_word[] = "inside";
    int child = fork();
    limits_check(child >= 0);
    if (child != 0)
        return child_status(child);
    if (setenv("POOLALLOC_CONF", conf, 1) != 0)
        _exit(5);
    close_all();
    if (!is_closed && (open("/dev/null", O_RDONLY) != 0 || open("/dev/null", O_WRONLY) != 1 ||
                       open("/dev/null", O_WRONLY) != 2))
        _exit(6);
    char *arguments[] = {self, inside_word, path, NULL};
    (void)execv(self, arguments);
    _exit(7);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "inside") == 0)
        return program(argv[2]);
    limits_check(argc == 2 || argc == 3);
    char path[] = "/tmp/limits-closed-XXXXXX";
    int fd = mkstemp(path);
    limits_check(fd >= 0);
    int status = run(argv[0], path, strcmp(argv[1], "closed") == 0, argc > 2 ? argv[2] : "");
    char text[4096] = "";
    ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    (void)unlink(path);
    if (status != 0)
        limits_fail("the program ended with status %d", status);
    if (n < 0 || strcmp(text, line) != 0)
        limits_fail("in the program's own file there is:\n%s", text);
    return EXIT_SUCCESS;
}
