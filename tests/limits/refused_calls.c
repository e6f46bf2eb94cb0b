/* SPDX-License-Identifier: MIT */
/*
 * A kernel that refuses what an allocator can do without: madvise, mremap, munmap. Nothing that is
 * in use is damaged, and memory that could not be discarded is not taken for zero.
 *
 *     refused_calls CALL:ERROR...    for instance madvise:EPERM munmap:ENOMEM
 */
#include "support.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum { N_THREADS = 3, N_ROUNDS = 2 };

struct name {
    const char *name;
    unsigned number;
};

static const struct name calls[] = {
    {"madvise", SYS_madvise}, {"mremap", SYS_mremap}, {"munmap", SYS_munmap}};
static const struct name errors[] = {{"EPERM", EPERM}, {"ENOSYS", ENOSYS}, {"ENOMEM", ENOMEM}};

static unsigned number_of(const struct name *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i].name, name) == 0)
            return names[i].number;
    }
    limits_fail("unknown: %s", name);
}

static void refuse(unsigned call, unsigned error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {COUNT_OF(code), code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        limits_skip("no seccomp filters here");
}

static void *work(void *seed)
{
    (void)work_at_random(&(struct work){(uintptr_t)seed, 2000, MIB, false});
    return NULL;
}

static void run_threads(size_t round)
{
    pthread_t threads[N_THREADS];
    for (size_t i = 0; i < N_THREADS; i++)
        limits_check(pthread_create(&threads[i], NULL, work, (void *)(10 * round + i)) == 0);
    for (size_t i = 0; i < N_THREADS; i++)
        limits_check(pthread_join(threads[i], NULL) == 0);
}

/* More than there is: whatever is free is given up, in vain. */
static void ask_for_too_much(void)
{
    void *volatile block = malloc((size_t)1 << 48);
    limits_check(block == NULL);
}

int main(int argc, char **argv)
{
    (void)work_at_random(&(struct work){1, 5000, MIB, false});
    for (int i = 1; i < argc; i++) {
        char *error = strchr(argv[i], ':');
        limits_check(error != NULL);
        *error++ = '\0';
        refuse(number_of(calls, COUNT_OF(calls), argv[i]),
               number_of(errors, COUNT_OF(errors), error));
    }
    for (size_t round = 0; round < N_ROUNDS; round++) {
        check_calloc_is_zero();
        (void)work_at_random(&(struct work){round, 5000, MIB, false});
        (void)work_with_large(&(struct work){round, 4, 0, false});
        run_threads(round);
        ask_for_too_much();
    }
    (void)fprintf(stderr, "%zu MB resident, %zu MB mapped\n", resident_bytes() / 1000000,
                  mapped_bytes() / 1000000);
    return EXIT_SUCCESS;
}
