/* SPDX-License-Identifier: MIT */
/*
 * A process that has as many mappings as the kernel lets it have, or a few less: calls that need
 * another one fail with ENOMEM and nothing else, no block is damaged, and once the program has
 * given its own mappings up all is as it was.
 *
 *     map_count FREE...    rounds with so many mappings left
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { N_THREADS = 3, MAPPINGS_MAX = 1 << 20 };

/* Over all rounds: less than what the large blocks of one of them add up to. */
#define MAPPED_MAX (1024 * MIB)

/* Pages of alternating protection, each a mapping of its own. */
struct filler {
    char *pages;
    size_t n_pages;
    size_t n_changed; /* of every other page */
    void *last;       /* or MAP_FAILED */
};

static size_t page_bytes;
static pthread_barrier_t barrier;
static size_t seeds[N_THREADS];

static size_t max_map_count(void)
{
    char line[32] = "";
    int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        limits_skip("no vm.max_map_count here");
    ssize_t n = read(fd, line, sizeof line - 1);
    (void)close(fd);
    limits_check(n > 0);
    return strtoul(line, NULL, 10);
}

static void filler_change(struct filler *filler, int protection, size_t i)
{
    limits_check(mprotect(filler->pages + (2 * i + 1) * page_bytes, page_bytes, protection) == 0);
}

/* Changing a page in the middle makes two mappings more, changing it back two less. */
static void filler_fill(struct filler *filler, size_t n_free)
{
    size_t i = 0;
    while (i < filler->n_pages / 2 - 1 &&
           mprotect(filler->pages + (2 * i + 1) * page_bytes, page_bytes, PROT_READ) == 0)
        i++;
    limits_check(errno == ENOMEM);
    filler->n_changed = i;
    for (size_t n = 0; n < n_free; n += 2)
        filler_change(filler, PROT_NONE, --filler->n_changed);
    /* Where not even two are left there may be one. */
    filler->last = n_free > 0
                       ? MAP_FAILED
                       : mmap(NULL, page_bytes, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void filler_unmap(const struct filler *filler)
{
    limits_check(munmap(filler->pages, filler->n_pages * page_bytes) == 0);
    if (filler->last != MAP_FAILED)
        limits_check(munmap(filler->last, page_bytes) == 0);
}

static void *work_in_turn(void *seed)
{
    (void)pthread_barrier_wait(&barrier);
    (void)work_at_random(&(struct work){*(size_t *)seed, 5000, MIB, true});
    return NULL;
}

static void *work_afterwards(void *seed)
{
    (void)work_at_random(&(struct work){*(size_t *)seed, 2000, MIB, false});
    return NULL;
}

static void threads_start(pthread_t *threads, void *(*body)(void *))
{
    for (size_t i = 0; i < N_THREADS; i++) {
        seeds[i] = i;
        limits_check(pthread_create(&threads[i], NULL, body, &seeds[i]) == 0);
    }
}

static void threads_join(const pthread_t *threads)
{
    for (size_t i = 0; i < N_THREADS; i++)
        limits_check(pthread_join(threads[i], NULL) == 0);
}

static void check_recovered(void)
{
    pthread_t threads[N_THREADS];
    threads_start(threads, work_afterwards);
    (void)work_with_large(&(struct work){2, 4, 0, false});
    threads_join(threads);
}

static void check_round(size_t n_mappings, size_t n_free)
{
    size_t mapped_before = mapped_bytes();
    pthread_t threads[N_THREADS];
    threads_start(threads, work_in_turn);
    struct filler filler = {NULL, 2 * n_mappings, 0, MAP_FAILED};
    filler.pages = mmap(NULL, filler.n_pages * page_bytes, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    limits_check(filler.pages != MAP_FAILED);
    filler_fill(&filler, n_free);

    (void)pthread_barrier_wait(&barrier);
    size_t n_refused = work_at_random(&(struct work){1, 10000, MIB, true});
    n_refused += work_with_large(&(struct work){2, 12, 0, true});
    threads_join(threads);
    filler_unmap(&filler);
    check_recovered();
    (void)malloc_trim(0);
    size_t mapped_after = mapped_bytes();
    (void)fprintf(stderr, "%zu mappings left: %zu calls refused; %zu MB mapped, then %zu\n", n_free,
                  n_refused, mapped_before / 1000000, mapped_after / 1000000);
    if (mapped_after > MAPPED_MAX)
        limits_fail("address space is lost: %zu bytes are mapped", mapped_after);
}

int main(int argc, char **argv)
{
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    size_t n_mappings = max_map_count();
    if (n_mappings > MAPPINGS_MAX)
        limits_skip("too many mappings are allowed here");
    limits_check(pthread_barrier_init(&barrier, NULL, N_THREADS + 1) == 0);
    (void)work_at_random(&(struct work){0, 2000, MIB, false});
    for (int i = 1; i < argc; i++)
        check_round(n_mappings, argument_number(argv[i]));
    return EXIT_SUCCESS;
}
