/* SPDX-License-Identifier: MIT */
/*
 * Programs that use guarded blocks well or badly, a case each; run.py says with which options and
 * what must be seen.
 */
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BYTES = 40, TRIES = 2000, PAGE_BYTES = 4096 };

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    (void)fprintf(stderr, "program: %s\n", what);
    _exit(EXIT_FAILURE);
}

/* A guarded block has no slack, and one end at a page's. */
static bool is_guarded(void *p, size_t bytes)
{
    uintptr_t end = ((uintptr_t)p + bytes + 15) / 16 * 16;
    return malloc_usable_size(p) == bytes &&
           ((uintptr_t)p % PAGE_BYTES == 0 || end % PAGE_BYTES == 0);
}

/* Not static: the loader knows their names then. */
void *take_guarded(bool at_end);
void give_guarded(void *p);

__attribute__((noinline)) void *take_guarded(bool at_end)
{
    for (int i = 0; i < TRIES; i++) {
        void *volatile p = malloc(BYTES);
        if (is_guarded(p, BYTES) && ((uintptr_t)p % PAGE_BYTES != 0) == at_end)
            return p;
    }
    must(false, "no block is guarded");
    return NULL;
}

__attribute__((noinline)) void give_guarded(void *p)
{
    free(p);
    __asm__ volatile("");
}

static volatile char *volatile nowhere = (volatile char *)16;

static void say(const void *p)
{
    printf("0x%zx\n", (size_t)p);
    fflush(stdout);
}

static volatile char *byte_at(void *p, long offset)
{
    volatile char *at = (char *)p + offset;
    say((const void *)at);
    return at;
}

/* ---- faults ---- */

static void run_behind(void)
{
    (void)*byte_at(take_guarded(true), 48);
}

static void run_before(void)
{
    (void)*byte_at(take_guarded(false), -1);
}

static void run_after_free(void)
{
    void *p = take_guarded(true);
    give_guarded(p);
    (void)*byte_at(p, 3);
}

static void run_written_after_free(void)
{
    void *p = take_guarded(true);
    give_guarded(p);
    *byte_at(p, 0) = 1;
}

static void run_far_behind(void)
{
    (void)*byte_at(take_guarded(true), 48 + 100);
}

static void run_double_free(void)
{
    void *p = take_guarded(true);
    give_guarded(p);
    say(p);
    give_guarded(p);
}

static void run_interior_free(void)
{
    char *p = take_guarded(true);
    say(p + 16);
    give_guarded(p + 16);
}

static void run_stray_write(void)
{
    char *p = take_guarded(true);
    *byte_at(p, BYTES) = 1;
    give_guarded(p);
}

static void run_stray_write_before(void)
{
    char *p = take_guarded(true);
    *byte_at(p, -1) = 1;
    give_guarded(p);
}

/* ---- with on_fault=report ---- */

/* The free is ignored, and the block that is guarded next is as good as any. */
static void run_double_free_reported(void)
{
    run_double_free();
    give_guarded(take_guarded(true));
}

static void run_stray_write_reported(void)
{
    run_stray_write();
    give_guarded(take_guarded(true));
}

/* ---- the program's own handlers ---- */

static sigjmp_buf back;

static void leave(int signal)
{
    siglongjmp(back, signal);
}

static void run_own_handler(void)
{
    struct sigaction now;
    void *p = take_guarded(true);
    must(signal(SIGSEGV, leave) == SIG_DFL, "what was there");
    must(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_handler == leave, "what is there");
    for (int i = 0; i < 2; i++) {
        if (sigsetjmp(back, 1) == 0)
            (void)*byte_at(p, 48);
    }
    give_guarded(p);
    if (sigsetjmp(back, 1) == 0)
        (void)*nowhere; /* nothing of ours */
}

static void run_handled_often(void)
{
    void *p = take_guarded(true);
    must(signal(SIGSEGV, leave) == SIG_DFL, "what was there");
    for (volatile int i = 0; i < 50; i++) {
        if (sigsetjmp(back, 1) == 0)
            (void)*byte_at(p, 48);
    }
}

/* From the start on, by who started the program. */
static void run_ignored(void)
{
    struct sigaction now;
    must(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_handler == SIG_IGN, "as at the start");
    must(raise(SIGSEGV) == 0, "ignored");
    for (int i = 0; i < TRIES; i++)
        free(malloc(BYTES));
}

static void run_default_handler(void)
{
    struct sigaction now;
    void *p = take_guarded(true);
    must(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_handler == SIG_DFL, "as at the start");
    must(signal(SIGSEGV, leave) == SIG_DFL && signal(SIGSEGV, SIG_DFL) == leave, "back and forth");
    must(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_handler == SIG_DFL, "as at the start");
    (void)*byte_at(p, 48);
}

static void run_other_fault(void)
{
    (void)take_guarded(true);
    (void)*nowhere;
}

/* For one signal only: the next finds none. */
static void run_handler_once(void)
{
    struct sigaction now;
    const struct sigaction once = {.sa_handler = leave, .sa_flags = (int)SA_RESETHAND};
    void *p = take_guarded(true);
    must(sigaction(SIGSEGV, &once, NULL) == 0, "sigaction");
    if (sigsetjmp(back, 1) == 0)
        (void)*nowhere;
    must(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_handler == SIG_DFL, "as at the start");
    (void)*byte_at(p, 48);
}

/* Not by a fault: it ends the program just so, or is its handler's. */
static void run_sent(void)
{
    must(signal(SIGSEGV, leave) == SIG_DFL, "what was there");
    if (sigsetjmp(back, 1) == 0)
        must(raise(SIGSEGV) != 0, "the handler has not come");
    must(signal(SIGSEGV, SIG_DFL) == leave, "what was there");
    (void)raise(SIGSEGV);
    must(false, "the signal has not come");
}

/* ---- good use ---- */

static void fill(char *p, size_t bytes, size_t seed)
{
    for (size_t i = 0; i < bytes; i++)
        p[i] = (char)(seed + i);
}

static void check(const char *p, size_t bytes, size_t seed)
{
    for (size_t i = 0; i < bytes; i++)
        must(p[i] == (char)(seed + i), "what a block holds");
}

static void run_realloc_reads(void)
{
    static const size_t sizes[] = {1, 24, 40, 100, 1000, 5000, 30000, 40000, 300};
    for (size_t round = 0; round < 300; round++) {
        char *p = malloc(10);
        size_t bytes = 10;
        fill(p, bytes, round);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            p = realloc(p, sizes[i]);
            check(p, bytes < sizes[i] ? bytes : sizes[i], round);
            bytes = sizes[i];
            fill(p, bytes, round);
        }
        free(p);
        p = calloc(round + 1, 7);
        for (size_t i = 0; i < (round + 1) * 7; i++)
            must(p[i] == 0, "calloc is zero");
        free(p);
        size_t align = (size_t)16 << round % 9;
        p = aligned_alloc(align, round + 1);
        must((uintptr_t)p % align == 0 && malloc_usable_size(p) >= round + 1, "alignment");
        fill(p, round + 1, round);
        free(p);
    }
}

static void *work(void *argument)
{
    char *blocks[64] = {NULL};
    size_t sizes[64] = {0};
    uint64_t random = (uintptr_t)argument + 1;
    for (size_t i = 0; i < 20000; i++) {
        random = random * UINT64_C(6364136223846793005) + 1;
        size_t k = random >> 40 & 63;
        if (blocks[k] != NULL) {
            check(blocks[k], sizes[k], k);
            free(blocks[k]);
        }
        sizes[k] = 1 + (random >> 50) % 3000;
        blocks[k] = malloc(sizes[k]);
        fill(blocks[k], sizes[k], k);
    }
    for (size_t k = 0; k < 64; k++)
        free(blocks[k]);
    return NULL;
}

static void run_many_threads(void)
{
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++)
        must(pthread_create(&threads[i], NULL, work, (void *)i) == 0, "pthread_create");
    for (size_t i = 0; i < 8; i++)
        must(pthread_join(threads[i], NULL) == 0, "pthread_join");
}

static size_t count_maps(void)
{
    char line[512];
    size_t n = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    must(maps != NULL, "maps");
    while (fgets(line, sizeof line, maps) != NULL)
        n++;
    (void)fclose(maps);
    return n;
}

/* As many rooms are in use as may be: other calls do without, but later ones have some again. */
static void run_bounded(void)
{
    enum { N = 5000, N_LATER = 2000, LATER_BYTES = 72 };
    static void *p[N];
    size_t n_guarded = 0;
    for (size_t i = 0; i < N; i++) {
        p[i] = malloc(BYTES);
        n_guarded += is_guarded(p[i], BYTES);
    }
    must(n_guarded >= 64 && n_guarded <= 128, "rooms");
    must(count_maps() < 600, "mappings");
    n_guarded = 0;
    for (size_t i = 0; i < N_LATER; i++) {
        void *later = malloc(LATER_BYTES);
        n_guarded += is_guarded(later, LATER_BYTES);
        free(later);
    }
    must(n_guarded >= 100, "rooms for later blocks");
    for (size_t i = 0; i < N; i++)
        free(p[i]);
    must(count_maps() < 600, "mappings after all were freed");
    must(is_guarded(take_guarded(true), BYTES), "rooms are used again");
}

static void run_forked(void)
{
    int status;
    char *p = take_guarded(true);
    fill(p, BYTES, 7);
    pid_t child = fork();
    if (child == 0) {
        check(p, BYTES, 7);
        free(p);
        (void)work(NULL);
        _exit(EXIT_SUCCESS);
    }
    must(waitpid(child, &status, 0) == child && status == 0, "the child");
    check(p, BYTES, 7);
    free(p);
}

struct named {
    const char *name;
    void (*run)(void);
};

int main(int argc, char **argv)
{
    static const struct named cases[] = {
        {"behind", run_behind},
        {"before", run_before},
        {"after_free", run_after_free},
        {"written_after_free", run_written_after_free},
        {"far_behind", run_far_behind},
        {"double_free", run_double_free},
        {"interior_free", run_interior_free},
        {"stray_write", run_stray_write},
        {"stray_write_before", run_stray_write_before},
        {"double_free_reported", run_double_free_reported},
        {"stray_write_reported", run_stray_write_reported},
        {"own_handler", run_own_handler},
        {"handled_often", run_handled_often},
        {"ignored", run_ignored},
        {"default_handler", run_default_handler},
        {"handler_once", run_handler_once},
        {"other_fault", run_other_fault},
        {"sent", run_sent},
        {"realloc_reads", run_realloc_reads},
        {"many_threads", run_many_threads},
        {"bounded", run_bounded},
        {"forked", run_forked},
    };
    for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof cases[0]; i++) {
        if (strcmp(argv[1], cases[i].name) != 0)
            continue;
        cases[i].run();
        return EXIT_SUCCESS;
    }
    return EXIT_FAILURE;
}
