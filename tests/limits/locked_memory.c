/* SPDX-License-Identifier: MIT */
/*
 * All memory locked, present and future: the kernel then discards nothing. calloc is zero all the
 * same, and where a limit on locked memory ends there is NULL and ENOMEM, twice at the same place.
 */
#include "support.h"

#include <errno.h>
#include <linux/capability.h>
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROOM        (64 * MIB)
#define BLOCK_BYTES (100 * KIB)

/* The limit does not hold for whoever may lock as much as they like. */
static void give_up_right_to_lock(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    memset(data, 0, sizeof data);
    limits_check(syscall(SYS_capget, &header, data) == 0);
    data[0].effective &= ~(1U << CAP_IPC_LOCK);
    limits_check(syscall(SYS_capset, &header, data) == 0);
}

static size_t fill_up_and_free(void)
{
    void *last = NULL;
    size_t count = 0;
    errno = 0;
    for (void **block = malloc(BLOCK_BYTES); block != NULL; block = malloc(BLOCK_BYTES)) {
        *block = last;
        last = block;
        count++;
        errno = 0;
    }
    if (errno != ENOMEM)
        limits_fail("no more can be locked, and errno is %d", errno);
    while (last != NULL) {
        void *before = *(void **)last;
        free(last);
        last = before;
    }
    return count;
}

/* What is locked counts anew; the limit is what we may have of it. */
static void check_limit(void)
{
    struct rlimit limit;
    limits_check(munlockall() == 0 && getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    limit.rlim_cur = limit.rlim_max < ROOM ? limit.rlim_max : ROOM;
    limits_check(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    give_up_right_to_lock();
    if (mlockall(MCL_FUTURE) != 0)
        return;
    size_t first = fill_up_and_free();
    size_t second = fill_up_and_free();
    (void)fprintf(stderr, "%zu blocks, then %zu\n", first, second);
    limits_check(first * BLOCK_BYTES >= limit.rlim_cur / 2);
    limits_check(second * 100 >= first * 98);
}

int main(void)
{
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        limits_skip("memory cannot be locked here");
    for (size_t round = 0; round < 2; round++) {
        check_calloc_is_zero();
        (void)work_at_random(&(struct work){round, 10000, MIB, false});
        (void)work_with_large(&(struct work){round, 4, 0, false});
        (void)malloc_trim(0);
    }
    (void)fprintf(stderr, "%zu MB resident\n", resident_bytes() / 1000000);
    check_limit();
    return EXIT_SUCCESS;
}
