/* SPDX-License-Identifier: MIT */
/*
 * When the library's thread is started, in a process as it is:
 *
 *     background_start few|forks|sandbox|namespace
 *
 * few: not in a program that has little memory in use, nor by a child of vfork; then once. forks:
 * in a child, anew. sandbox: not in a program whose seccomp filter would kill it for a thread.
 * namespace: a small program can have a user namespace of its own, which is for processes of one
 * thread.
 */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { N_BLOCKS = 5000, BYTES = 2000 };

static void *blocks[N_BLOCKS];

static void take(void)
{
    for (unsigned i = 0; i < N_BLOCKS; i++) {
        blocks[i] = malloc(BYTES);
        CHECK(blocks[i] != NULL);
    }
}

static void give_back(void)
{
    for (unsigned i = 0; i < N_BLOCKS; i++)
        free(blocks[i]);
}

/* No call in here allocates. */
static int n_threads(void)
{
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    CHECK(fd >= 0 && n > 0 && close(fd) == 0);
    text[n] = '\0';
    const char *line = strstr(text, "\nThreads:");
    CHECK(line != NULL);
    return atoi(line + strlen("\nThreads:"));
}

static void join(pid_t child)
{
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void few(void)
{
    free(malloc(BYTES));
    free(malloc(1 << 20));
    CHECK(n_threads() == 1);
    pid_t child = vfork();
    if (child == 0) {
        take();
        give_back();
        _exit(7);
    }
    join(child);
    CHECK(n_threads() == 1);
    void *large = malloc(8 << 20);
    CHECK(large != NULL && n_threads() == 2);
    free(large);
    take();
    give_back();
    CHECK(n_threads() == 2);
}

static void forks(void)
{
    take();
    CHECK(n_threads() == 2);
    pid_t child = fork();
    if (child == 0) {
        CHECK(n_threads() == 1);
        give_back();
        CHECK(n_threads() == 1);
        void *large = malloc(8 << 20);
        CHECK(large != NULL && n_threads() == 2);
        _exit(7);
    }
    join(child);
    CHECK(n_threads() == 2);
}

/* clone that makes a thread ends the process; clone3, whose flags a filter cannot read, is not
 * there. */
static void forbid_threads(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_VM, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof rules / sizeof rules[0], rules};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void sandbox(void)
{
    forbid_threads();
    pid_t child = fork();
    if (child == 0) {
        take();
        CHECK(n_threads() == 1);
        _exit(7);
    }
    join(child);
    take();
    give_back();
    CHECK(n_threads() == 1);
}

static void user_namespace(void)
{
    free(malloc(BYTES));
    /* Machines may refuse it, by another error. */
    CHECK(unshare(CLONE_NEWUSER) == 0 || errno != EINVAL);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(void);
    } tests[] = {
        {"few", few}, {"forks", forks}, {"sandbox", sandbox}, {"namespace", user_namespace}};
    CHECK(is_preloaded() && argc == 2);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        if (strcmp(tests[i].name, argv[1]) == 0) {
            tests[i].test();
            return 0;
        }
    }
    return 2;
}
