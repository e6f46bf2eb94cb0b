/* SPDX-License-Identifier: MIT */
/*
 * Heaps: what poolalloc.h says of each function.
 */
#include "captured.h"
#include "poolalloc.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_BLOCKS = 2000 };

static const size_t sizes[] = {0,     1,     16,     100,    1000,    5000,
                               32768, 32769, 100000, 262145, 3 << 20, 40 << 20};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

static struct poolalloc_heap_stats stats_of(const poolalloc_heap *heap)
{
    struct poolalloc_heap_stats stats;
    poolalloc_heap_get_stats(heap, &stats);
    return stats;
}

static uint64_t live_bytes(void)
{
    struct poolalloc_stats stats;
    assert_int_equal(poolalloc_stats_get(&stats, sizeof stats), sizeof stats);
    return stats.live_bytes;
}

static void test_blocks_are_blocks(void **state)
{
    (void)state;
    poolalloc_heap *heap = poolalloc_heap_create(NULL);
    for (size_t i = 0; i < N_SIZES; i++) {
        char *p = poolalloc_heap_malloc(heap, sizes[i]);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        if (getenv("POOLALLOC_CONF") == NULL)
            assert_int_equal(malloc_usable_size(p), poolalloc_good_size(sizes[i]));
        assert_true(malloc_usable_size(p) >= poolalloc_good_size(sizes[i]));
        memset(p, 1, malloc_usable_size(p));
        assert_int_equal(stats_of(heap).n_live, 1);
        assert_int_equal(stats_of(heap).live_bytes, malloc_usable_size(p));
        free(p);
        assert_int_equal(stats_of(heap).n_live, 0);
        assert_int_equal(stats_of(heap).live_bytes, 0);
    }
    assert_int_equal(stats_of(heap).peak_bytes, 40 << 20);
    assert_int_equal(poolalloc_heap_destroy(heap), 0);
}

static void test_each_way_to_allocate(void **state)
{
    (void)state;
    poolalloc_heap *heap = poolalloc_heap_create(NULL);
    for (size_t i = 0; i < N_SIZES; i++) {
        char *p = poolalloc_heap_malloc(heap, sizes[i]);
        memset(p, 1, sizes[i]);
        free(p);
        p = poolalloc_heap_calloc(heap, 1, sizes[i]);
        for (size_t j = 0; j < sizes[i]; j++)
            assert_int_equal(p[j], 0);
        free(p);
    }
    for (size_t align = 1; align <= 1 << 20; align *= 2) {
        for (size_t i = 0; i < N_SIZES; i++) {
            void *p = poolalloc_heap_aligned_alloc(heap, align, sizes[i]);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % align, 0);
            assert_true(malloc_usable_size(p) >= sizes[i]);
            assert_int_equal(stats_of(heap).live_bytes, malloc_usable_size(p));
            free(p);
        }
    }
    errno = 0;
    assert_null(poolalloc_heap_aligned_alloc(heap, 24, 24));
    assert_int_equal(errno, EINVAL);
    errno = 0;
    assert_null(poolalloc_heap_calloc(heap, SIZE_MAX / 2 + 2, 2));
    assert_int_equal(errno, ENOMEM);
    assert_null(poolalloc_heap_malloc(heap, SIZE_MAX));
    assert_null(poolalloc_heap_malloc(heap, PTRDIFF_MAX));
    assert_null(poolalloc_heap_aligned_alloc(heap, (size_t)1 << 63, 1));
    assert_int_equal(stats_of(heap).n_failures, 4);
    assert_int_equal(stats_of(heap).live_bytes, 0);
    assert_int_equal(poolalloc_heap_destroy(heap), 0);
}

static void test_destroy_ends_what_is_left(void **state)
{
    (void)state;
    uint64_t before = live_bytes();
    for (int round = 0; round < 3; round++) {
        poolalloc_heap *heap = poolalloc_heap_create(NULL);
        size_t n = 0;
        for (size_t i = 0; i < N_BLOCKS; i++) {
            char *p = poolalloc_heap_malloc(heap, sizes[i % (N_SIZES - 2)]);
            assert_non_null(p);
            if (i % 3 == 0)
                free(p);
            else
                n++;
        }
        assert_int_equal(stats_of(heap).n_live, n);
        assert_true(live_bytes() - before >= stats_of(heap).live_bytes);
        assert_int_equal(poolalloc_heap_destroy(heap), n);
        assert_true(live_bytes() <= before + 100000); /* cmocka's, at most */
    }
    assert_int_equal(poolalloc_heap_destroy(NULL), 0);
}

/* Two heaps and malloc side by side: one end does not harm the others. */
static void test_others_blocks_stay(void **state)
{
    (void)state;
    static char *kept[3][N_BLOCKS];
    poolalloc_heap *heaps[2] = {poolalloc_heap_create(NULL), poolalloc_heap_create(NULL)};
    for (int i = 0; i < N_BLOCKS; i++) {
        size_t bytes = 8 + sizes[i % (N_SIZES - 2)];
        for (int j = 0; j < 3; j++) {
            kept[j][i] = j < 2 ? poolalloc_heap_malloc(heaps[j], bytes) : malloc(bytes);
            memset(kept[j][i], i + j, bytes);
        }
    }
    assert_int_equal(poolalloc_heap_destroy(heaps[0]), N_BLOCKS);
    for (int i = 0; i < N_BLOCKS; i++) {
        size_t bytes = 8 + sizes[i % (N_SIZES - 2)];
        memset(malloc(bytes), 77, bytes); /* what the first heap had is used again */
        for (int j = 1; j < 3; j++) {
            assert_int_equal(kept[j][i][0], (char)(i + j));
            assert_int_equal(kept[j][i][bytes - 1], (char)(i + j));
            free(kept[j][i]);
        }
    }
    assert_int_equal(poolalloc_heap_destroy(heaps[1]), 0);
}

static void test_realloc_stays_in_the_heap(void **state)
{
    (void)state;
    poolalloc_heap *heap = poolalloc_heap_create(NULL);
    for (size_t i = 0; i < N_SIZES; i++) {
        for (size_t j = 0; j < N_SIZES; j++) {
            size_t n = stats_of(heap).n_live;
            char *p = poolalloc_heap_realloc(heap, NULL, sizes[i] + 1);
            p[0] = 'x';
            p = (i + j) % 2 == 0 ? realloc(p, sizes[j] + 1)
                                 : poolalloc_heap_realloc(heap, p, sizes[j] + 1);
            assert_non_null(p);
            assert_int_equal(p[0], 'x');
            assert_int_equal(stats_of(heap).n_live, n + 1);
            assert_int_equal(stats_of(heap).live_bytes, malloc_usable_size(p));
            free(p);
        }
    }
    /* Page by page, in place, by moving, and with a mapping of its own. */
    char *p = poolalloc_heap_malloc(heap, 1);
    for (size_t bytes = 1; bytes < 80 << 20; bytes += 1 + bytes / 3) {
        p = realloc(p, bytes);
        p[bytes - 1] = 1;
        assert_int_equal(stats_of(heap).n_live, 1);
        assert_int_equal(stats_of(heap).live_bytes, malloc_usable_size(p));
    }
    for (size_t bytes = 80 << 20; bytes > 0; bytes /= 3) {
        p = realloc(p, bytes);
        assert_int_equal(stats_of(heap).live_bytes, malloc_usable_size(p));
    }
    assert_int_equal(poolalloc_heap_destroy(heap), 1);
}

static void test_maximum(void **state)
{
    (void)state;
    poolalloc_heap *heap =
        poolalloc_heap_create(&(struct poolalloc_heap_options){.max_bytes = 200000});
    void *small[1000];
    size_t n = 0;
    while ((small[n] = poolalloc_heap_malloc(heap, 1000)) != NULL)
        n++;
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(n, 200000 / malloc_usable_size(small[0]));
    assert_int_equal(stats_of(heap).n_failures, 1);
    assert_null(poolalloc_heap_calloc(heap, 1, 40000));
    assert_null(poolalloc_heap_aligned_alloc(heap, 4096, 40000));
    assert_null(realloc(small[0], 2000));
    while (n > 0)
        free(small[--n]);
    char *p = poolalloc_heap_malloc(heap, 150000);
    assert_non_null(p);
    p[149999] = 1;
    errno = 0;
    assert_null(poolalloc_heap_realloc(heap, p, 300000));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(p[149999], 1);
    assert_int_equal(stats_of(heap).live_bytes, malloc_usable_size(p));
    assert_null(poolalloc_heap_malloc(heap, 60000));
    assert_non_null(poolalloc_heap_malloc(heap, 30000));
    free(p);
    assert_true(stats_of(heap).peak_bytes <= 200000);
    assert_int_equal(poolalloc_heap_destroy(heap), 1);
}

static void test_bad_options(void **state)
{
    (void)state;
    errno = 0;
    assert_null(poolalloc_heap_create(&(struct poolalloc_heap_options){.reserved = {1}}));
    assert_int_equal(errno, EINVAL);
}

static void test_errno_is_left_alone(void **state)
{
    (void)state;
    errno = 77;
    poolalloc_heap *heap = poolalloc_heap_create(NULL);
    for (size_t i = 0; i < N_SIZES; i++)
        free(poolalloc_heap_malloc(heap, sizes[i]));
    (void)poolalloc_heap_trim(heap);
    (void)poolalloc_heap_destroy(heap);
    assert_int_equal(errno, 77);
}

static void test_trim(void **state)
{
    (void)state;
    poolalloc_heap *heap = poolalloc_heap_create(NULL);
    static void *blocks[N_BLOCKS];
    for (int i = 0; i < N_BLOCKS; i++)
        blocks[i] = poolalloc_heap_malloc(heap, 1000);
    for (int i = 1; i < N_BLOCKS; i++)
        free(blocks[i]);
    size_t before = stats_of(heap).bytes;
    size_t trimmed = poolalloc_heap_trim(heap);
    assert_true(trimmed >= (N_BLOCKS - 100) * 1000);
    assert_int_equal(stats_of(heap).bytes, before - trimmed);
    free(blocks[0]);
    (void)malloc_trim(0);
    assert_true(stats_of(heap).bytes < 65536);
    assert_int_equal(poolalloc_heap_destroy(heap), 0);
}

/* ---- threads ---- */

static poolalloc_heap *shared;
static void *passed[N_BLOCKS];

static void *allocate_all(void *argument)
{
    for (size_t i = 0; i < N_BLOCKS; i++) {
        passed[i] = poolalloc_heap_malloc(shared, sizes[i % (N_SIZES - 2)]);
        assert_non_null(passed[i]);
    }
    return argument;
}

static void *free_some(void *argument)
{
    for (size_t i = 0; i < N_BLOCKS; i += 2)
        free(passed[i]);
    return argument;
}

static void in_thread(void *(*body)(void *))
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, body, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_blocks_outlive_threads(void **state)
{
    (void)state;
    shared = poolalloc_heap_create(NULL);
    in_thread(allocate_all);
    in_thread(free_some);
    assert_int_equal(stats_of(shared).n_live, N_BLOCKS / 2);
    assert_int_equal(poolalloc_heap_destroy(shared), N_BLOCKS / 2);
}

/* ---- misuse ---- */

/* What a child that does this leaves on fd 2 when it ends by abort(). */
static void assert_fatal(void (*misuse)(void), const char *fault)
{
    capture_begin();
    pid_t child = fork();
    if (child == 0) {
        misuse();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    const char *text = capture_end();
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, fault));
}

static void free_after_destroy(void)
{
    poolalloc_heap *heap = poolalloc_heap_create(NULL);
    void *volatile p = poolalloc_heap_malloc(heap, 100);
    (void)poolalloc_heap_destroy(heap);
    free(p);
}

static void free_large_after_destroy(void)
{
    poolalloc_heap *heap = poolalloc_heap_create(NULL);
    void *volatile p = poolalloc_heap_malloc(heap, 100000);
    (void)poolalloc_heap_destroy(heap);
    free(p);
}

static void free_huge_after_destroy(void)
{
    poolalloc_heap *heap = poolalloc_heap_create(NULL);
    void *volatile p = poolalloc_heap_malloc(heap, 200 << 20);
    (void)poolalloc_heap_destroy(heap);
    free(p);
}

static void free_twice(void)
{
    poolalloc_heap *heap = poolalloc_heap_create(NULL);
    void *volatile p = poolalloc_heap_malloc(heap, 100);
    free(p);
    free(p);
    (void)poolalloc_heap_destroy(heap);
}

static void test_misuse(void **state)
{
    (void)state;
    assert_fatal(free_after_destroy, "free of a pointer that is no block");
    assert_fatal(free_large_after_destroy, "free of a pointer that is no block");
    assert_fatal(free_huge_after_destroy, "free of a pointer that is no block");
    assert_fatal(free_twice, "poolalloc: fatal: ");
}

/* ---- many ---- */

static void *malloc_and_free(void *argument)
{
    for (int i = 0; i < N_BLOCKS; i++)
        free(malloc(100));
    return argument;
}

/* Records are used again: the number of heaps ever made has no bound, that at once has. */
static void test_how_many(void **state)
{
    (void)state;
    enum { N_MAX = 16384 };
    static poolalloc_heap *heaps[N_MAX + 1];
    for (int i = 0; i < 3 * N_MAX; i++) {
        poolalloc_heap *heap = poolalloc_heap_create(NULL);
        assert_non_null(heap);
        assert_non_null(poolalloc_heap_malloc(heap, 16));
        assert_int_equal(poolalloc_heap_destroy(heap), 1);
    }
    size_t n = 0;
    while (n <= N_MAX && (heaps[n] = poolalloc_heap_create(NULL)) != NULL)
        n++;
    assert_int_equal(n, N_MAX);
    assert_int_equal(errno, ENOMEM);
    in_thread(malloc_and_free); /* threads still find heaps of their own */
    while (n > 0)
        assert_int_equal(poolalloc_heap_destroy(heaps[--n]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_blocks),
        cmocka_unit_test(test_each_way_to_allocate),
        cmocka_unit_test(test_destroy_ends_what_is_left),
        cmocka_unit_test(test_others_blocks_stay),
        cmocka_unit_test(test_realloc_stays_in_the_heap),
        cmocka_unit_test(test_maximum),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_errno_is_left_alone),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_blocks_outlive_threads),
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_how_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
