/* SPDX-License-Identifier: MIT */
/*
 * fork() while other threads use shared objects: the child finds them whole and goes on.
 */
#include "captured.h"
#include "poolalloc.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_THREADS = 3, N_FORKS = 60, N_OBJECTS = 200 };

static atomic_bool is_over;

/* Ends the child, if something does not hold, or does not end. */
static void in_child(void (*body)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)alarm(20);
        body();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void need(bool condition)
{
    if (!condition)
        _exit(1);
}

/* ---- pools ---- */

static poolalloc_pool *pool;

static void *use_pool(void *argument)
{
    while (!atomic_load(&is_over)) {
        void *objects[50];
        size_t n = 0;
        while (n < 50 && (objects[n] = poolalloc_pool_alloc(pool)) != NULL)
            n++;
        while (n > 0)
            (void)poolalloc_pool_free(pool, objects[--n]);
    }
    return argument;
}

/* What other threads hold is lost to the child, no more. */
static void pool_is_whole(void)
{
    void *objects[N_OBJECTS];
    for (int round = 0; round < 3; round++) {
        size_t n = 0;
        while (n < N_OBJECTS && (objects[n] = poolalloc_pool_alloc(pool)) != NULL)
            n++;
        need(n >= N_OBJECTS - N_THREADS * 50);
        for (size_t i = 0; i < n; i++)
            need(poolalloc_pool_free(pool, objects[i]) == 0);
    }
    (void)poolalloc_pool_trim(pool);
    poolalloc_pool *another = poolalloc_pool_create(
        &(struct poolalloc_pool_options){.object_bytes = 8, .flags = POOLALLOC_POOL_SHARED});
    need(poolalloc_pool_free(another, poolalloc_pool_alloc(another)) == 0);
    need(poolalloc_pool_destroy(another) == 0);
}

static void run_forks(void *(*use)(void *), void (*in_the_child)(void))
{
    pthread_t threads[N_THREADS];
    atomic_store(&is_over, false);
    for (size_t i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use, NULL), 0);
    for (int i = 0; i < N_FORKS; i++)
        in_child(in_the_child);
    atomic_store(&is_over, true);
    for (size_t i = 0; i < N_THREADS; i++)
        (void)pthread_join(threads[i], NULL);
}

static void test_shared_pool(void **state)
{
    (void)state;
    pool = poolalloc_pool_create(&(struct poolalloc_pool_options){
        .object_bytes = 40, .max = N_OBJECTS, .flags = POOLALLOC_POOL_SHARED});
    run_forks(use_pool, pool_is_whole);
    pool_is_whole();
    assert_int_equal(poolalloc_pool_destroy(pool), 0);
}

/* ---- buffers ---- */

static poolalloc_buffers *set;

static void *use_buffers(void *argument)
{
    while (!atomic_load(&is_over))
        (void)poolalloc_buffer_release(poolalloc_buffers_acquire(set));
    return argument;
}

/* Those who held buffers, or waited, are not here. */
static void set_is_whole(void)
{
    struct poolalloc_buffers_stats stats;
    poolalloc_buffers_get_stats(set, &stats);
    need(stats.waiting == 0);
    poolalloc_buffer *buffers[N_THREADS];
    size_t n = 0;
    while (n < N_THREADS && (buffers[n] = poolalloc_buffers_try(set)) != NULL)
        n++;
    need(n == stats.available);
    while (n > 0)
        need(poolalloc_buffer_release(buffers[--n]) == 0);
}

static void test_buffers(void **state)
{
    (void)state;
    set = poolalloc_buffers_create(
        &(struct poolalloc_buffers_options){.bytes = 100, .n = N_THREADS - 1});
    run_forks(use_buffers, set_is_whole);
    assert_int_equal(poolalloc_buffers_destroy(set), 0);
}

/* ---- heaps ---- */

static poolalloc_heap *heap;

static void *use_heap(void *argument)
{
    while (!atomic_load(&is_over)) {
        void *blocks[50];
        for (size_t i = 0; i < 50; i++)
            blocks[i] = poolalloc_heap_malloc(heap, i % 10 == 0 ? 50000 : i * 50);
        for (size_t i = 0; i < 50; i++)
            free(blocks[i]);
    }
    return argument;
}

static void heap_is_whole(void)
{
    void *blocks[N_OBJECTS];
    for (size_t i = 0; i < N_OBJECTS; i++)
        need((blocks[i] = poolalloc_heap_malloc(heap, i * 300)) != NULL);
    for (size_t i = 0; i < N_OBJECTS; i += 2)
        free(blocks[i]);
    (void)poolalloc_heap_trim(heap);
    need(poolalloc_heap_destroy(heap) >= N_OBJECTS / 2);
    poolalloc_heap *another = poolalloc_heap_create(NULL);
    need(poolalloc_heap_malloc(another, 100) != NULL);
    need(poolalloc_heap_destroy(another) == 1);
}

static void test_heap(void **state)
{
    (void)state;
    heap = poolalloc_heap_create(NULL);
    run_forks(use_heap, heap_is_whole);
    assert_int_equal(poolalloc_heap_destroy(heap), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_pool),
        cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
