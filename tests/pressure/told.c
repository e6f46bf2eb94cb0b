/* SPDX-License-Identifier: MIT */
/*
 * systemd's protocol, from outside: a program that is told by MEMORY_PRESSURE_WATCH where to
 * listen, gives its free memory back when something is said there.
 *
 *     told fifo|socket|off|closed|forked|idle
 *
 * The program starts itself anew with the variables set, preloaded as it is, and plays the service
 * manager for it.
 */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_BLOCKS = 30, PATIENCE_MS = 20000, QUIET_MS = 400, LOWEST_FD = 101 };

static char folder[64];
static char path[96];

/* ---- the program that is told ---- */

/* Large enough to be looked at, and free: it stays with us for the time being. */
static void have_free_memory(void)
{
    void *blocks[N_BLOCKS];
    for (size_t i = 0; i < N_BLOCKS; i++) {
        blocks[i] = malloc(MIB);
        check(blocks[i] != NULL);
        memset(blocks[i], 1, MIB);
    }
    for (size_t i = 0; i < N_BLOCKS; i++)
        free(blocks[i]);
}

static bool is_idle; /* but for the background thread */

static void take_slower_ways(void)
{
    if (is_idle)
        return;
    void *p = malloc(MIB);
    check(p != NULL);
    free(p);
}

static atomic_size_t n_told;

static void count(int level, size_t wanted_bytes, void *context)
{
    (void)wanted_bytes;
    (void)context;
    n_told += level > POOLALLOC_NORMAL;
}

/* The descriptor that is ours; none may be below. */
static int watched_fd(bool is_expected)
{
    int found = -1;
    for (int fd = 3; fd < 1024; fd++) {
        struct stat st;
        if (fstat(fd, &st) < 0 || !(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
            continue;
        check(fd >= LOWEST_FD && found < 0);
        check((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        found = fd;
    }
    check((found >= 0) == is_expected);
    return found;
}

static void start_listening(void)
{
    for (int i = 0; i < QUIET_MS / 10; i++) {
        take_slower_ways();
        sleep_ms(10);
    }
}

static void await_event(void)
{
    for (int waited = 0; (is_idle ? n_told : pressure_now().events) == 0; waited += 10) {
        if (waited > PATIENCE_MS)
            fail("nothing was heard");
        take_slower_ways();
        sleep_ms(10);
    }
    check(pressure_now().level == POOLALLOC_ELEVATED);
    check(n_told > 0);
    check(pressure_now().clean_ups > 0);
    check(pressure_now().charged_bytes < N_BLOCKS * MIB / 2);
}

static void await_nothing(void)
{
    start_listening();
    check(pressure_now().events == 0 && n_told == 0);
}

/* Tells the service manager that it may go on. */
static void say_ready(void)
{
    check(write(STDOUT_FILENO, "r", 1) == 1);
}

static void closed(void)
{
    int fd = watched_fd(true);
    int mine = open("/dev/null", O_RDWR | O_CLOEXEC);
    check(mine >= 0 && dup2(mine, fd) == fd);
    say_ready();
    await_nothing();
    check(fcntl(fd, F_GETFD) == 0); /* as dup2 made it, and open */
}

static void forked(void)
{
    int parents = watched_fd(true);
    int child = fork();
    int status = 0;
    if (child == 0) {
        check(watched_fd(false) < 0);
        start_listening();
        check(watched_fd(true) >= LOWEST_FD);
        say_ready();
        await_event();
        exit(EXIT_SUCCESS);
    }
    check(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    check(watched_fd(true) == parents);
}

static void listener(const char *form)
{
    bool is_off = strcmp(form, "off") == 0;
    if (poolalloc_pressure_subscribe == NULL)
        skip("it is not preloaded");
    check(poolalloc_pressure_subscribe(count, NULL) == 0);
    is_idle = strcmp(form, "idle") == 0;
    have_free_memory();
    start_listening();
    if (strcmp(form, "closed") == 0) {
        closed();
    } else if (strcmp(form, "forked") == 0) {
        forked();
    } else {
        (void)watched_fd(!is_off);
        have_free_memory();
        say_ready();
        if (is_off)
            await_nothing();
        else
            await_event();
    }
    exit(EXIT_SUCCESS);
}

/* ---- the service manager ---- */

static int socket_make(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    check(listen(fd, 4) == 0);
    return fd;
}

static int fifo_make(void)
{
    check(mkfifo(path, 0600) == 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    check(fd >= 0);
    return fd;
}

/* The other end of what the listener has. */
static int accept_one(int fd)
{
    char words[16];
    int other = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    check(other >= 0 && read(other, words, sizeof words) == 5 && memcmp(words, "hello", 5) == 0);
    return other;
}

static int start(char **argv, const char *form, int *from_listener)
{
    int pipes[2];
    check(pipe2(pipes, O_CLOEXEC) == 0);
    int child = fork();
    check(child >= 0);
    if (child == 0) {
        check(dup2(pipes[1], STDOUT_FILENO) == STDOUT_FILENO);
        check(setenv("MEMORY_PRESSURE_WATCH", strcmp(form, "off") == 0 ? "/dev/null" : path, 1) ==
              0);
        if (strcmp(form, "socket") == 0)
            check(setenv("MEMORY_PRESSURE_WRITE", "aGVsbG8=", 1) == 0);
        char inside[] = "inside";
        char *arguments[] = {argv[0], argv[1], inside, NULL};
        (void)execv(argv[0], arguments);
        fail("cannot start: %s", strerror(errno));
    }
    check(close(pipes[1]) == 0);
    *from_listener = pipes[0];
    return child;
}

int main(int argc, char **argv)
{
    char ready = 0;
    int from_listener = -1;
    int status = 0;
    check(argc >= 2);
    if (argc > 2)
        listener(argv[1]);
    for (int i = 3; i < 1024; i++)
        (void)close(i); /* whoever started us left it open */
    (void)snprintf(folder, sizeof folder, "/tmp/told.XXXXXX");
    check(mkdtemp(folder) != NULL);
    (void)snprintf(path, sizeof path, "%s/pressure", folder);
    bool is_socket = strcmp(argv[1], "socket") == 0;
    int fd = is_socket ? socket_make() : fifo_make();
    int child = start(argv, argv[1], &from_listener);
    if (is_socket)
        fd = accept_one(fd);
    if (read(from_listener, &ready, 1) == 1)
        check(write(fd, "now", 3) == 3);
    check(waitpid(child, &status, 0) == child);
    (void)unlink(path);
    (void)rmdir(folder);
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}
