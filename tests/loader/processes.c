/* SPDX-License-Identifier: MIT */
/*
 * Children made in all ways but the plain fork take and return blocks: after vfork, before exec; by
 * the bare system call, of which no library learns; posix_spawn; and a daemon, by two forks.
 *
 *     processes vfork|raw|raw-read|spawn|daemon
 */
#include "check.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;

static _Atomic int is_over;

static void *allocate(void *unused)
{
    while (!is_over)
        use_malloc(1);
    return unused;
}

static void *allocate_large(void *unused)
{
    unsigned i = 0;
    void *blocks[8] = {NULL};
    while (!is_over) {
        free(blocks[i % 8]);
        blocks[i % 8] = malloc(40000 + i * 4321 % 200000);
        i++;
    }
    for (i = 0; i < 8; i++)
        free(blocks[i]);
    return unused;
}

/* Takes the lock of every heap. */
static void *read_figures(void *unused)
{
    while (!is_over)
        (void)mallinfo2();
    return unused;
}

static void wait_for(pid_t child, int code)
{
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code);
}

/* The child borrows this process's memory: what it takes, this process can free. */
static void by_vfork(void)
{
    static char *volatile block;
    for (unsigned i = 0; i < 50; i++) {
        pid_t child = vfork();
        if (child == 0) {
            use_malloc(5);
            block = malloc(3000);
            if (block == NULL)
                _exit(1);
            fill(block, 3000, i);
            execl("/bin/sh", "sh", "-c", "exit 7", (char *)NULL);
            _exit(2);
        }
        wait_for(child, 7);
        CHECK(is_filled(block, 3000, i));
        free(block);
    }
}

/* The child has what locks there are as they were, and most of the time one is held: the other
 * threads take large blocks. */
static void by_system_call(void)
{
    for (unsigned i = 0; i < 500; i++) {
        char *block = malloc(3000);
        CHECK(block != NULL);
        fill(block, 3000, i);
        long child = syscall(SYS_clone, SIGCHLD, 0L, 0L, 0L, 0L); /* not every machine has fork */
        if (child == 0) {
            (void)alarm(30);
            if (!is_filled(block, 3000, i))
                _exit(1);
            free(block);
            use_malloc(20);
            _exit(7);
        }
        wait_for((pid_t)child, 7);
        CHECK(is_filled(block, 3000, i));
        free(block);
    }
}

/* What the child frees is in its bins, on the fast path, while its heap's lock is held for ever. */
static void by_system_call_while_read(void)
{
    enum { N_BLOCKS = 3000 };
    static void *blocks[N_BLOCKS];
    for (int i = 0; i < N_BLOCKS; i++)
        CHECK((blocks[i] = malloc(64)) != NULL);
    for (int i = 0; i < 100; i++) {
        long child = syscall(SYS_clone, SIGCHLD, 0L, 0L, 0L, 0L);
        if (child == 0) {
            (void)alarm(30);
            for (int j = 0; j < N_BLOCKS; j++)
                free(blocks[j]);
            use_malloc(20);
            _exit(7);
        }
        wait_for((pid_t)child, 7);
    }
    for (int i = 0; i < N_BLOCKS; i++)
        free(blocks[i]);
}

static void by_spawn(void)
{
    char shell[] = "sh", option[] = "-c", command[] = "exit 7";
    char *arguments[] = {shell, option, command, NULL};
    for (int i = 0; i < 50; i++) {
        posix_spawn_file_actions_t actions;
        pid_t child;
        CHECK(posix_spawn_file_actions_init(&actions) == 0);
        CHECK(posix_spawn_file_actions_addclose(&actions, 0) == 0);
        CHECK(posix_spawnp(&child, "sh", &actions, NULL, arguments, environ) == 0);
        CHECK(posix_spawn_file_actions_destroy(&actions) == 0);
        wait_for(child, 7);
    }
}

/* The daemon tells through a pipe that it is well, and started a thread. */
static void by_daemon(void)
{
    for (int i = 0; i < 20; i++) {
        int ends[2];
        char *block = malloc(3000);
        CHECK(block != NULL && pipe(ends) == 0);
        fill(block, 3000, 3);
        pid_t child = fork();
        if (child == 0) {
            use_malloc(5);
            CHECK(setsid() > 0);
            pid_t grandchild = fork();
            if (grandchild != 0)
                _exit(grandchild > 0 ? 7 : 1);
            pthread_t thread;
            (void)alarm(30);
            CHECK(is_filled(block, 3000, 3));
            free(block);
            use_malloc(5);
            is_over = 1;
            CHECK(pthread_create(&thread, NULL, allocate, NULL) == 0);
            CHECK(pthread_join(thread, NULL) == 0);
            CHECK(write(ends[1], "well", 4) == 4);
            _exit(0);
        }
        wait_for(child, 7);
        char text[4];
        CHECK(close(ends[1]) == 0);
        CHECK(read(ends[0], text, 4) == 4 && memcmp(text, "well", 4) == 0);
        CHECK(close(ends[0]) == 0);
        free(block);
    }
}

int main(int argc, char **argv)
{
    CHECK(argc == 2 && is_preloaded());
    pthread_t threads[3];
    void *(*work)(void *) = allocate;
    if (strcmp(argv[1], "raw") == 0)
        work = allocate_large;
    else if (strcmp(argv[1], "raw-read") == 0)
        work = read_figures;
    use_malloc(10);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
    if (strcmp(argv[1], "vfork") == 0)
        by_vfork();
    else if (strcmp(argv[1], "raw") == 0)
        by_system_call();
    else if (strcmp(argv[1], "raw-read") == 0)
        by_system_call_while_read();
    else if (strcmp(argv[1], "spawn") == 0)
        by_spawn();
    else if (strcmp(argv[1], "daemon") == 0)
        by_daemon();
    else
        CHECK(!"a known argument");
    is_over = 1;
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    return 0;
}
