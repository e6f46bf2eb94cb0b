/* SPDX-License-Identifier: MIT */
/*
 * fork while other threads have locks of libc's in which they call malloc, or which the child will
 * want.
 *
 *     fork_beside flush|cookie|signals
 *
 * flush: one thread flushes all streams, which takes the lock of their list, then each stream's;
 * two read growing lines, which takes a stream's, then calls realloc. cookie: streams that call
 * malloc when they are flushed. signals: a thread is in the loader, whose lock is locked for ever
 * in the child, which sets a signal's handler.
 */
#include "check.h"

#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

enum { N_FORKS = 200, N_LINES = 60 };

static _Atomic int is_over;

static void *flush(void *unused)
{
    while (!is_over)
        (void)fflush(NULL);
    return unused;
}

static void *read_lines(void *text)
{
    while (!is_over) {
        FILE *file = fmemopen(text, strlen(text), "r");
        char *line = NULL;
        size_t n = 0;
        CHECK(file != NULL);
        while (getline(&line, &n, file) > 0)
            continue;
        free(line);
        (void)fclose(file);
    }
    return NULL;
}

static char *growing_lines(void)
{
    static char text[N_LINES * N_LINES * 10];
    size_t n = 0;
    for (size_t i = 1; i < N_LINES; i++) {
        memset(text + n, 'x', i * 10);
        n += i * 10;
        text[n - 1] = '\n';
    }
    return text;
}

static ssize_t write_with_malloc(void *cookie, const char *text, size_t bytes)
{
    void *p = malloc(bytes + 3000);
    (void)cookie;
    CHECK(p != NULL);
    memcpy(p, text, bytes);
    free(p);
    return (ssize_t)bytes;
}

static void *fill_streams(void *unused)
{
    const cookie_io_functions_t functions = {.write = write_with_malloc};
    FILE *file = fopencookie(NULL, "w", functions);
    CHECK(file != NULL);
    while (!is_over) {
        (void)fputs("a line\n", file);
        (void)fflush(NULL);
    }
    (void)fclose(file);
    return unused;
}

static int visit(struct dl_phdr_info *object, size_t bytes, void *unused)
{
    (void)object;
    (void)bytes;
    (void)unused;
    return 0;
}

static void *walk_libraries(void *unused)
{
    while (!is_over)
        (void)dl_iterate_phdr(visit, NULL);
    return unused;
}

static void handle(int signal)
{
    (void)signal;
}

static void child(void)
{
    struct sigaction act = {.sa_handler = handle};
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    CHECK(signal(SIGUSR2, SIG_DFL) != SIG_ERR);
    use_malloc(1);
    _exit(0);
}

static void fork_often(void)
{
    for (int i = 0; i < N_FORKS; i++) {
        int status;
        pid_t id = fork();
        CHECK(id >= 0);
        if (id == 0)
            child();
        CHECK(waitpid(id, &status, 0) == id);
        CHECK(status == 0);
    }
}

int main(int argc, char **argv)
{
    pthread_t threads[3];
    void *(*bodies[3])(void *) = {flush, read_lines, read_lines};
    CHECK(argc == 2);
    if (strcmp(argv[1], "cookie") == 0)
        bodies[0] = bodies[1] = bodies[2] = fill_streams;
    if (strcmp(argv[1], "signals") == 0)
        bodies[0] = bodies[1] = bodies[2] = walk_libraries;
    char *text = growing_lines();
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, bodies[i], text) == 0);
    fork_often();
    is_over = 1;
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    return 0;
}
