/* SPDX-License-Identifier: MIT */
/*
 * Programs whose memory is known, a case each: run.py runs them and reads their dumps.
 *
 *     stats_program CASE [FILE]
 *
 * A line "BYTES ALLOCS FREES" on stdout for each size says how often blocks of it were taken and
 * freed; libc has no use for blocks of these sizes. Bytes above 256 KiB are large blocks.
 */
#include "poolalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_THREADS = 8, N_BLOCKS = 600, N_DUMPS = 1000, N_READINGS = 3000, N_CHILDREN = 4 };

/* On the fast paths, on the slow ones, and large. */
static const size_t sizes[] = {2700, 3400, 10000, 20000, 100000, 300000};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "program: %s: %s\n", what, strerror(errno));
    _exit(EXIT_FAILURE);
}

static void *take(size_t bytes)
{
    void *p = malloc(bytes);
    must(p != NULL, "malloc");
    memset(p, 1, bytes);
    return p;
}

static void tell(size_t bytes, size_t n_allocs, size_t n_frees)
{
    printf("%zu %zu %zu\n", bytes, n_allocs, n_frees);
    fflush(stdout);
}

/* ---- threads ---- */

static pthread_barrier_t barrier;
static pthread_t threads[N_THREADS];

static void start(void *(*body)(void *))
{
    must(pthread_barrier_init(&barrier, NULL, N_THREADS) == 0, "barrier");
    for (size_t i = 0; i < N_THREADS; i++)
        must(pthread_create(&threads[i], NULL, body, (void *)i) == 0, "thread");
}

static void join(void)
{
    for (size_t i = 0; i < N_THREADS; i++)
        must(pthread_join(threads[i], NULL) == 0, "join");
}

/* ---- known counts ---- */

static void *blocks[N_THREADS][N_SIZES][N_BLOCKS];

/* Of each four blocks one is freed by its thread, one by the next thread, and two live; and another
 * is taken and freed at once. */
static void *be_known(void *number)
{
    size_t me = (size_t)number;
    size_t other = (me + 1) % N_THREADS;
    for (size_t i = 0; i < N_SIZES; i++) {
        for (size_t j = 0; j < N_BLOCKS; j++)
            blocks[me][i][j] = take(sizes[i]);
    }
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < N_SIZES; i++) {
        for (size_t j = 0; j < N_BLOCKS; j += 4) {
            free(blocks[me][i][j]);
            free(blocks[other][i][j + 1]);
            free(take(sizes[i]));
        }
    }
    return NULL;
}

static void run_known(void)
{
    start(be_known);
    join();
    for (size_t i = 0; i < N_SIZES; i++)
        tell(sizes[i], N_THREADS * N_BLOCKS / 4 * 5, N_THREADS * N_BLOCKS / 4 * 3);
}

static void run_quick(void)
{
    run_known();
    quick_exit(EXIT_SUCCESS);
}

static void run_fork(void)
{
    for (size_t child = 0; child < N_CHILDREN; child++) {
        pid_t pid = fork();
        must(pid >= 0, "fork");
        if (pid == 0) {
            for (size_t i = 0; i < 10 * (child + 1); i++)
                take(sizes[0]);
            printf("%d ", (int)getpid());
            tell(sizes[0], 10 * (child + 1), 0);
            exit(EXIT_SUCCESS);
        }
        must(waitpid(pid, NULL, 0) == pid, "wait");
    }
}

/* ---- busy threads ---- */

static _Atomic bool is_over;
static _Atomic size_t n_rounds;

static void *be_busy(void *number)
{
    enum { N_KEPT = 64 };
    void *kept[N_KEPT] = {NULL};
    size_t dice = (size_t)number + 1;
    while (!atomic_load(&is_over)) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        size_t i = (dice >> 33) % N_KEPT;
        free(kept[i]);
        size_t log = 4 + (dice >> 40) % 12; /* a few of them large */
        kept[i] = malloc(((size_t)1 << log) + (dice >> 50));
        must(kept[i] != NULL, "malloc");
        atomic_fetch_add(&n_rounds, 1);
    }
    for (size_t i = 0; i < N_KEPT; i++)
        free(kept[i]);
    return NULL;
}

static void wait_for_rounds(size_t n)
{
    while (atomic_load(&n_rounds) < n)
        sched_yield();
}

static void *exit_soon(void *number)
{
    if ((size_t)number != 0)
        return be_busy(number);
    wait_for_rounds(100000);
    exit(EXIT_SUCCESS);
}

static void run_thread_exit(void)
{
    start(exit_soon);
    join();
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* A child that runs in our memory is asked for a dump before each of ours. */
static void run_vfork(void)
{
    for (int i = 0; i < 3; i++) {
        pid_t pid = vfork();
        must(pid >= 0, "vfork");
        if (pid == 0) {
            (void)raise(SIGUSR2);
            _exit(EXIT_SUCCESS);
        }
        must(waitpid(pid, NULL, 0) == pid, "wait");
        (void)raise(SIGUSR2);
    }
}

/* Each dump is there before the next is asked for: signals of a number do not queue. */
static void run_signals(const char *path)
{
    char name[512];
    start(be_busy);
    for (size_t i = 0; i < N_DUMPS; i++) {
        (void)snprintf(name, sizeof name, "%s.%zu", path, i + 1);
        must(pthread_kill(threads[i % N_THREADS], SIGUSR2) == 0, "kill");
        while (!exists(name))
            (void)usleep(100);
    }
    atomic_store(&is_over, true);
    join();
}

static void run_identities(void)
{
    struct poolalloc_stats stats;
    uint64_t allocs = 0;
    start(be_busy);
    for (size_t i = 0; i < N_READINGS; i++) {
        must(poolalloc_stats_get(&stats, sizeof stats) == sizeof stats, "all is known");
        must(stats.live_bytes <= stats.active_bytes, "live <= active");
        must(stats.active_bytes <= stats.resident_bytes, "active <= resident");
        must(stats.resident_bytes <= stats.mapped_bytes, "resident <= mapped");
        must(stats.live_bytes <= stats.live_peak_bytes, "live <= its peak");
        must(stats.resident_bytes <= stats.resident_peak_bytes, "resident <= its peak");
        must(stats.used_bytes <= stats.used_peak_bytes, "used <= its peak");
        must(stats.mapped_bytes <= stats.mapped_peak_bytes, "mapped <= its peak");
        must(stats.frees <= stats.allocs, "frees <= allocs");
        must(stats.dirty_bytes <= stats.free_bytes, "dirty <= free");
        must(stats.free_largest_bytes <= stats.free_bytes, "largest <= free");
        must(stats.slack_bytes <= stats.small_live_bytes, "slack <= small");
        must(stats.allocs >= allocs, "allocs do not fall");
        must(stats.heaps_busy == 0, "all heaps are read");
        allocs = stats.allocs;
    }
    atomic_store(&is_over, true);
    join();
}

/* ---- other occasions ---- */

static void run_idle(void)
{
    for (size_t i = 0; i < 50; i++)
        take(sizes[0]);
    tell(sizes[0], 50, 0);
    for (;;)
        pause();
}

/* Takes and frees until the third dump is there. */
static void run_interval(const char *path)
{
    char name[512];
    (void)snprintf(name, sizeof name, "%s.3", path);
    while (!exists(name)) {
        for (size_t i = 0; i < N_BLOCKS; i++)
            blocks[0][0][i] = take(sizes[0]);
        for (size_t i = 0; i < N_BLOCKS; i++)
            free(blocks[0][0][i]);
    }
}

/* 100 MB, in blocks of a class; given back and taken again. */
static void run_live(void)
{
    enum { N = 5000, BYTES = 20000 };
    static void *many[N];
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < N; i++)
            many[i] = take(BYTES);
        for (size_t i = 0; i < N; i++)
            free(many[i]);
    }
}

static void run_fatal(void)
{
    char *p = take(sizes[0]);
    tell(sizes[0], 1, 0);
    free(p + 1);
}

/* ---- glibc's doors, and ours ---- */

static void dump_into(const char *path, const char *ending, enum poolalloc_format format)
{
    char name[512];
    (void)snprintf(name, sizeof name, "%s.%s", path, ending);
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    must(fd >= 0, name);
    must(poolalloc_dump(fd, format) == 0, "poolalloc_dump");
    (void)close(fd);
}

/* Leaves the file open: what it consists of shall be the same in all that is written. */
static void info_into(const char *path)
{
    static char buffer[1 << 16];
    char name[512];
    (void)snprintf(name, sizeof name, "%s.xml", path);
    FILE *file = fopen(name, "w");
    must(file != NULL && setvbuf(file, buffer, _IOFBF, sizeof buffer) == 0, name);
    must(malloc_info(0, file) == 0 && malloc_info(1, file) == EINVAL && fflush(file) == 0, name);
}

#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* mallinfo */

/* One of each kind. */
static void make_objects(void)
{
    poolalloc_pool *pool = poolalloc_pool_create(
        &(struct poolalloc_pool_options){.name = "n\"o\xc3\xb6\xff", .object_bytes = 48, .max = 2});
    poolalloc_arena *arena = poolalloc_arena_create(
        &(struct poolalloc_arena_options){.name = "text", .first_bytes = 1000});
    poolalloc_buffers *set =
        poolalloc_buffers_create(&(struct poolalloc_buffers_options){.bytes = 100, .n = 3});
    must(pool != NULL && arena != NULL && set != NULL, "objects");
    must(poolalloc_pool_alloc(pool) != NULL && poolalloc_pool_alloc(pool) != NULL, "two slots");
    must(poolalloc_pool_alloc(pool) == NULL, "no third");
    must(poolalloc_arena_alloc(arena, 600) != NULL, "a piece");
    poolalloc_arena_reset(arena);
    must(poolalloc_buffers_try(set) != NULL, "a buffer");
}

static void run_doors(const char *path)
{
    char buffer[1024];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer); /* or it would take one in between */
    run_known();
    take(64 << 20);
    make_objects();
    info_into(path);
    dump_into(path, "text", POOLALLOC_TEXT);
    dump_into(path, "json", POOLALLOC_JSON);
    dump_into(path, "prom", POOLALLOC_PROMETHEUS);
    struct mallinfo2 info2 = mallinfo2();
    struct mallinfo info = mallinfo();
    malloc_stats();
    must(poolalloc_dump(-1, POOLALLOC_TEXT) == -1, "no such file");
    must(poolalloc_dump(1, (enum poolalloc_format)9) == -1, "no such format");
    struct poolalloc_stats stats;
    uint64_t first = 0;
    must(poolalloc_stats_get(&stats, sizeof stats) == sizeof stats, "all is known");
    must(poolalloc_stats_get((void *)&first, sizeof first) == sizeof stats, "an older program");
    must(first == stats.live_bytes, "it gets what it knows");
    struct {
        struct poolalloc_stats stats;
        uint64_t more;
    } newer = {.more = 1};
    must(poolalloc_stats_get(&newer.stats, sizeof newer) == sizeof stats, "a newer program");
    must(newer.more == 0 && newer.stats.allocs == stats.allocs, "the rest is zero");
    must((size_t)info.uordblks == info2.uordblks && (size_t)info.hblks == info2.hblks, "mallinfo");
    printf("mallinfo2 %zu %zu %zu %zu %zu %zu %zu\n", info2.arena, info2.ordblks, info2.hblks,
           info2.hblkhd, info2.uordblks, info2.fordblks, info2.keepcost);
    printf("stats %llu %llu %llu\n", (unsigned long long)stats.live_bytes,
           (unsigned long long)stats.mapped_bytes, (unsigned long long)stats.allocs);
}

/* ---- sites for the profile: each allocates its own size and in its own way ---- */

enum { N_SMALL = 400000, N_PAIRS = 200000, N_BATCH = 200, N_BATCHES = 300, N_ZEROED = 2000 };
enum { N_LARGE = 300, N_ALIGNED = 20000, N_PASSED = 100000, N_GROWN = 40 };
enum { N_MIXED = 5000 };

static void **kept;

/* Functions that are there, and return only after the call. */
#define SITE(name, call)                                                                           \
    __attribute__((noinline)) static void *site_##name(void *p)                                    \
    {                                                                                              \
        void *volatile q = (call);                                                                 \
        (void)p;                                                                                   \
        return q;                                                                                  \
    }

SITE(small, malloc(64))
SITE(pairs, malloc(1000))
SITE(batches, malloc(3000))
SITE(zeroed, calloc(1, 5000))
SITE(large, malloc(100000))
SITE(aligned, aligned_alloc(64, 640))
SITE(passed, malloc(500))
SITE(mixed, malloc(p != NULL ? 16 : 8000))
SITE(grown, realloc(p, p == NULL ? 200000 : 1000000))

static void tell_site(const char *name, void *site, size_t live_bytes, size_t bytes)
{
    printf("site %s %zu %zu %zu\n", name, (size_t)site, live_bytes, bytes);
}

static void *free_kept(void *unused)
{
    (void)unused;
    for (size_t i = 0; i < N_PASSED; i++)
        free(kept[i]);
    return NULL;
}

static void check_zero(const char *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        must(p[i] == 0, "calloc is zero");
}

static void keep_all(void)
{
    for (size_t i = 0; i < N_SMALL; i++)
        kept[i] = site_small(NULL);
    for (size_t i = 0; i < N_ZEROED; i++)
        check_zero(kept[i] = site_zeroed(NULL), 5000);
    for (size_t i = 0; i < N_LARGE; i++)
        kept[i] = site_large(NULL);
    for (size_t i = 0; i < N_ALIGNED; i++) {
        kept[i] = site_aligned(NULL);
        must((size_t)kept[i] % 64 == 0, "alignment");
    }
    for (size_t i = 0; i < N_MIXED; i++) {
        kept[i] = site_mixed(kept);
        kept[N_MIXED + i] = site_mixed(NULL);
    }
    for (size_t i = 0; i < N_GROWN; i++)
        kept[i] = site_grown(site_grown(NULL));
}

static void keep_none(void)
{
    for (size_t i = 0; i < N_PAIRS; i++)
        free(site_pairs(NULL));
    for (size_t i = 0; i < N_BATCHES; i++) {
        for (size_t k = 0; k < N_BATCH; k++)
            kept[k] = site_batches(NULL);
        for (size_t k = 0; k < N_BATCH; k++)
            free(kept[k]);
    }
    for (size_t i = 0; i < N_PASSED; i++)
        kept[i] = site_passed(NULL);
    pthread_t thread;
    must(pthread_create(&thread, NULL, free_kept, NULL) == 0, "pthread_create");
    must(pthread_join(thread, NULL) == 0, "pthread_join");
}

static void run_profile(const char *path)
{
    kept = malloc(N_SMALL * sizeof *kept);
    keep_all();
    keep_none();
    tell_site("small", (void *)site_small, N_SMALL * 64, N_SMALL * 64);
    tell_site("pairs", (void *)site_pairs, 0, (size_t)N_PAIRS * 1000);
    tell_site("batches", (void *)site_batches, 0, (size_t)N_BATCHES * N_BATCH * 3000);
    tell_site("zeroed", (void *)site_zeroed, N_ZEROED * 5000, N_ZEROED * 5000);
    tell_site("large", (void *)site_large, N_LARGE * 100000, N_LARGE * 100000);
    tell_site("aligned", (void *)site_aligned, N_ALIGNED * 640, N_ALIGNED * 640);
    tell_site("passed", (void *)site_passed, 0, (size_t)N_PASSED * 500);
    tell_site("mixed", (void *)site_mixed, N_MIXED * 8016, N_MIXED * 8016);
    tell_site("grown", (void *)site_grown, N_GROWN * 1000000, N_GROWN * 1200000);
    fflush(stdout);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    must(fd >= 0, path);
    must(poolalloc_profile(fd) == (getenv("EXPECT_NONE") != NULL ? -1 : 0), "poolalloc_profile");
    (void)close(fd);
}

/* A handler jumps out of whatever a sampled call is doing, which is mostly to look at its stack. */
static sigjmp_buf before_jump;
static volatile sig_atomic_t may_jump;

static void jump(int signal)
{
    if (may_jump)
        siglongjmp(before_jump, signal);
}

static void run_jumped(void)
{
    enum { N_JUMPS = 300, INTERVAL_US = 200 };
    struct itimerval often = {{0, INTERVAL_US}, {0, INTERVAL_US}};
    static volatile size_t n_jumps;
    must(signal(SIGALRM, jump) != SIG_ERR && setitimer(ITIMER_REAL, &often, NULL) == 0, "timer");
    while (n_jumps < N_JUMPS) {
        if (sigsetjmp(before_jump, 1) == 0) {
            may_jump = 1;
            for (;;)
                free(site_small(NULL));
        }
        may_jump = 0;
        n_jumps++;
    }
    must(signal(SIGALRM, SIG_IGN) != SIG_ERR, "no more");
    for (size_t i = 0; i < N_PAIRS / 100; i++)
        free(site_pairs(NULL));
    tell_site("pairs", (void *)site_pairs, 0, (size_t)N_PAIRS / 100 * 1000);
}

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    const char *path = argc > 2 ? argv[2] : "";
    if (is(what, "known"))
        run_known();
    else if (is(what, "quick"))
        run_quick();
    else if (is(what, "fork"))
        run_fork();
    else if (is(what, "thread_exit"))
        run_thread_exit();
    else if (is(what, "signals"))
        run_signals(path);
    else if (is(what, "vfork"))
        run_vfork();
    else if (is(what, "identities"))
        run_identities();
    else if (is(what, "idle"))
        run_idle();
    else if (is(what, "interval"))
        run_interval(path);
    else if (is(what, "live"))
        run_live();
    else if (is(what, "fatal"))
        run_fatal();
    else if (is(what, "profile"))
        run_profile(path);
    else if (is(what, "jumped"))
        run_jumped();
    else if (is(what, "doors"))
        run_doors(path);
    else
        return EXIT_FAILURE;
    return EXIT_SUCCESS;
}
