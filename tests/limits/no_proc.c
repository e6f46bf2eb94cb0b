/* SPDX-License-Identifier: MIT */
/*
 * Without /proc: this program, started anew, and one of the system's work as ever.
 */
#include "support.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static void hide_proc(void)
{
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWNS | CLONE_NEWUSER) != 0)
        limits_skip("no namespaces here");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/proc", "tmpfs", 0, NULL) != 0)
        limits_skip("/proc cannot be hidden here");
    limits_check(access("/proc/self/maps", F_OK) != 0);
}

static void *work(void *unused)
{
    (void)work_at_random(&(struct work){1, 5000, MIB, false});
    return unused;
}

static int program(void)
{
    pthread_t thread;
    limits_check(mapped_bytes() == 0);
    limits_check(pthread_create(&thread, NULL, work, NULL) == 0);
    (void)work_at_random(&(struct work){2, 5000, MIB, false});
    (void)work_with_large(&(struct work){3, 4, 0, false});
    limits_check(pthread_join(thread, NULL) == 0);
    (void)malloc_trim(0);
    return EXIT_SUCCESS;
}

static void run(char **argv)
{
    int child = fork();
    limits_check(child >= 0);
    if (child == 0)
        run_instead(argv);
    int status = child_status(child);
    if (status != 0)
        limits_fail("%s ended with status %d", argv[0], status);
}

int main(int argc, char **argv)
{
    static char inside_word[] = "inside";
    static char true_word[] = "true";
    if (argc == 2 && strcmp(argv[1], inside_word) == 0)
        return program();
    hide_proc();
    run((char *[]){argv[0], inside_word, NULL});
    run((char *[]){true_word, NULL});
    return EXIT_SUCCESS;
}
