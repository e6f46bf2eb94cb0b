/* SPDX-License-Identifier: MIT */
/*
 * Pools, as poolalloc.h describes them: each rule for one thread's pools and for shared ones.
 */
#include "captured.h"
#include "poolalloc.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the tests differ in: 0, or POOLALLOC_POOL_SHARED. */
static unsigned kind;

static poolalloc_pool *create(struct poolalloc_pool_options options)
{
    options.flags |= kind;
    poolalloc_pool *pool = poolalloc_pool_create(&options);
    assert_non_null(pool);
    return pool;
}

static struct poolalloc_pool_stats stats_of(poolalloc_pool *pool)
{
    struct poolalloc_pool_stats stats;
    poolalloc_pool_get_stats(pool, &stats);
    return stats;
}

static void check_free(poolalloc_pool *pool, void *object)
{
    assert_int_equal(poolalloc_pool_free(pool, object), 0);
}

/* ---- taking and giving back ---- */

enum { N_OBJECTS = 5000 };

static void test_objects_are_apart_and_aligned(void **state)
{
    (void)state;
    static unsigned char *objects[N_OBJECTS];
    static const size_t sizes[] = {1, 8, 24, 64, 100, 4096, 5000};
    static const size_t aligns[] = {0, 1, 8, 64, 4096};
    for (size_t s = 0; s < 7; s++) {
        for (size_t a = 0; a < 5; a++) {
            size_t bytes = sizes[s];
            size_t n = bytes * aligns[a] > 100000 ? 50 : N_OBJECTS;
            poolalloc_pool *pool =
                create((struct poolalloc_pool_options){.object_bytes = bytes, .align = aligns[a]});
            for (size_t i = 0; i < n; i++) {
                objects[i] = poolalloc_pool_alloc(pool);
                assert_true((uintptr_t)objects[i] % (aligns[a] != 0 ? aligns[a] : 16) == 0);
                memset(objects[i], (int)(i % 251), bytes);
            }
            assert_int_equal(stats_of(pool).in_use, n);
            for (size_t i = 0; i < n; i++) {
                assert_int_equal(objects[i][0], i % 251);
                assert_int_equal(objects[i][bytes - 1], i % 251);
                assert_true(poolalloc_pool_owns(pool, objects[i]));
                check_free(pool, objects[i]);
            }
            assert_int_equal(poolalloc_pool_destroy(pool), 0);
        }
    }
}

static void test_freed_objects_come_again(void **state)
{
    (void)state;
    poolalloc_pool *pool = create((struct poolalloc_pool_options){.object_bytes = 64, .first = 8});
    void *objects[1000];
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 1000; i++)
            objects[i] = poolalloc_pool_alloc(pool);
        for (int i = 0; i < 1000; i++) /* in another order each time */
            check_free(pool, objects[(i * 7 + round * 13) % 1000]);
    }
    struct poolalloc_pool_stats stats = stats_of(pool);
    assert_int_equal(stats.object_bytes, 64);
    assert_int_equal(stats.in_use, 0);
    assert_in_range(stats.peak, 1000, kind == POOLALLOC_POOL_SHARED ? 1015 : 1000);
    assert_true(stats.total >= 1000 && stats.total <= 2500);
    assert_int_equal(stats.n_failures, 0);
    assert_int_equal(poolalloc_pool_destroy(pool), 0);
}

static void test_maximum_holds(void **state)
{
    (void)state;
    for (size_t max = 1; max < 300; max += 37) {
        poolalloc_pool *pool =
            create((struct poolalloc_pool_options){.object_bytes = 48, .first = 4, .max = max});
        void *objects[300];
        for (int round = 0; round < 3; round++) {
            for (size_t i = 0; i < max; i++)
                assert_non_null(objects[i] = poolalloc_pool_alloc(pool));
            errno = 0;
            assert_null(poolalloc_pool_alloc(pool));
            assert_int_equal(errno, ENOMEM);
            for (size_t i = 0; i < max; i++)
                check_free(pool, objects[i]);
        }
        assert_int_equal(stats_of(pool).total, max);
        assert_int_equal(stats_of(pool).peak, max);
        assert_int_equal(stats_of(pool).n_failures, 3);
        assert_int_equal(poolalloc_pool_destroy(pool), 0);
    }
}

static void test_fallback_is_malloc(void **state)
{
    (void)state;
    poolalloc_pool *pool = create((struct poolalloc_pool_options){
        .object_bytes = 100, .align = 64, .max = 2, .flags = POOLALLOC_POOL_FALLBACK});
    void *objects[5];
    for (int i = 0; i < 5; i++) {
        assert_non_null(objects[i] = poolalloc_pool_alloc(pool));
        assert_true((uintptr_t)objects[i] % 64 == 0);
        assert_int_equal(poolalloc_pool_owns(pool, objects[i]), i < 2);
    }
    assert_int_equal(stats_of(pool).n_failures, 3);
    assert_int_equal(stats_of(pool).n_from_malloc, 3);
    assert_int_equal(stats_of(pool).in_use, 2);
    for (int i = 0; i < 4; i++)
        check_free(pool, objects[i]);
    assert_int_equal(poolalloc_pool_destroy(pool), 1);
    free(objects[4]);
}

static void test_destroy_counts_what_is_out(void **state)
{
    (void)state;
    poolalloc_pool *pool = create((struct poolalloc_pool_options){.object_bytes = 32});
    void *objects[100];
    for (int i = 0; i < 100; i++)
        objects[i] = poolalloc_pool_alloc(pool);
    for (int i = 0; i < 58; i++)
        check_free(pool, objects[i]);
    assert_int_equal(poolalloc_pool_destroy(pool), 42);
    assert_int_equal(poolalloc_pool_destroy(NULL), 0);
}

static void test_trim_gives_back_what_is_free(void **state)
{
    (void)state;
    poolalloc_pool *pool =
        create((struct poolalloc_pool_options){.object_bytes = 256, .first = 64});
    static unsigned char *objects[4096];
    for (int i = 0; i < 4096; i++)
        objects[i] = poolalloc_pool_alloc(pool);
    objects[10][0] = 77;
    for (int i = 0; i < 4096; i++) {
        if (i != 10)
            check_free(pool, objects[i]);
    }
    struct poolalloc_pool_stats before = stats_of(pool);
    size_t bytes = poolalloc_pool_trim(pool);
    struct poolalloc_pool_stats after = stats_of(pool);
    assert_true(bytes > 4000 * 256 && bytes == before.bytes - after.bytes);
    assert_int_equal(after.total, 64);
    assert_int_equal(after.in_use, 1);
    assert_int_equal(poolalloc_pool_trim(pool), 0);
    assert_int_equal(objects[10][0], 77);
    assert_false(poolalloc_pool_owns(pool, objects[4000]));
    for (int i = 0; i < 4095; i++)
        assert_non_null(objects[i] = poolalloc_pool_alloc(pool));
    assert_int_equal(poolalloc_pool_destroy(pool), 4096);
}

static void test_malloc_trim_reaches_shared_pools(void **state)
{
    (void)state;
    poolalloc_pool *pool =
        create((struct poolalloc_pool_options){.object_bytes = 100, .first = 500});
    check_free(pool, poolalloc_pool_alloc(pool));
    (void)malloc_trim(0);
    assert_int_equal(stats_of(pool).total == 0, kind == POOLALLOC_POOL_SHARED);
    assert_int_equal(poolalloc_pool_destroy(pool), 0);
}

/* ---- constructors ---- */

struct counted {
    size_t n_constructed;
    size_t n_destructed;
};

static void construct(void *object, void *context)
{
    struct counted *counted = context;
    counted->n_constructed++;
    strcpy(object, "constructed");
}

static void destruct(void *object, void *context)
{
    struct counted *counted = context;
    counted->n_destructed++;
    assert_string_equal(object, "constructed");
}

static void test_free_objects_stay_constructed(void **state)
{
    (void)state;
    struct counted counted = {0, 0};
    poolalloc_pool *pool = create((struct poolalloc_pool_options){.object_bytes = 40,
                                                                  .first = 100,
                                                                  .max = 100,
                                                                  .flags = POOLALLOC_POOL_FALLBACK,
                                                                  .construct = construct,
                                                                  .destruct = destruct,
                                                                  .context = &counted});
    void *objects[110];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++) {
            objects[i] = poolalloc_pool_alloc(pool);
            assert_string_equal(objects[i], "constructed");
        }
        for (int i = 0; i < 100; i++)
            check_free(pool, objects[i]);
    }
    assert_int_equal(counted.n_constructed, 100);
    assert_int_equal(counted.n_destructed, 0);
    for (int i = 0; i < 110; i++)
        objects[i] = poolalloc_pool_alloc(pool);
    for (int i = 0; i < 110; i++)
        check_free(pool, objects[i]);
    assert_int_equal(counted.n_constructed, 110);
    assert_int_equal(counted.n_destructed, 10); /* those from malloc */
    assert_true(poolalloc_pool_trim(pool) > 0);
    assert_int_equal(counted.n_destructed, 110);
    for (int i = 0; i < 10; i++)
        objects[i] = poolalloc_pool_alloc(pool);
    for (int i = 0; i < 7; i++)
        check_free(pool, objects[i]);
    assert_int_equal(poolalloc_pool_destroy(pool), 3);
    assert_int_equal(counted.n_constructed, 120);
    assert_int_equal(counted.n_destructed, 117);
}

static void *take_and_give_back(void *pool)
{
    void *objects[10];
    for (int i = 0; i < 10; i++)
        objects[i] = poolalloc_pool_alloc(pool);
    for (int i = 0; i < 10; i++)
        assert_int_equal(poolalloc_pool_free(pool, objects[i]), 0);
    return NULL;
}

static void test_what_other_threads_have_given_back_is_constructed(void **state)
{
    (void)state;
    struct counted counted = {0, 0};
    poolalloc_pool *pool = create((struct poolalloc_pool_options){.object_bytes = 40,
                                                                  .max = 10,
                                                                  .flags = POOLALLOC_POOL_SHARED,
                                                                  .construct = construct,
                                                                  .destruct = destruct,
                                                                  .context = &counted});
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, take_and_give_back, pool), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    take_and_give_back(pool);
    assert_int_equal(counted.n_constructed, 10);
    assert_int_equal(poolalloc_pool_destroy(pool), 0);
    assert_int_equal(counted.n_destructed, 10);
}

/* ---- what threads have at hand ---- */

static void *take_one(void *pool)
{
    void *object = poolalloc_pool_alloc(pool);
    assert_non_null(object);
    return object;
}

/* What a thread gets with its first object is less than a page. */
static void test_threads_do_not_hold_large_objects(void **state)
{
    (void)state;
    enum { N_THREADS = 30 };
    static const size_t sizes[] = {64, 1024, 5000, 1 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        poolalloc_pool *pool = create((struct poolalloc_pool_options){
            .object_bytes = sizes[i], .flags = POOLALLOC_POOL_SHARED});
        for (int n = 0; n < N_THREADS; n++) {
            pthread_t thread;
            assert_int_equal(pthread_create(&thread, NULL, take_one, pool), 0);
            assert_int_equal(pthread_join(thread, NULL), 0);
        }
        size_t n_more = 4096 / sizes[i] < 15 ? 4096 / sizes[i] : 15;
        struct poolalloc_pool_stats stats = stats_of(pool);
        assert_int_equal(stats.in_use, N_THREADS);
        assert_in_range(stats.peak, N_THREADS, N_THREADS * (1 + n_more));
        assert_true(n_more > 0 || stats.total < 2 * N_THREADS + 4096 / sizes[i]);
        assert_int_equal(poolalloc_pool_destroy(pool), N_THREADS);
    }
}

/* ---- misuse ---- */

static void check_refused(poolalloc_pool *pool, void *p, int error, const char *fault)
{
    char expected[200];
    (void)sprintf(expected, "poolalloc: pool nodes: %s: 0x%zx\n", fault, (size_t)p);
    capture_begin();
    errno = 0;
    int result = poolalloc_pool_free(pool, p);
    int found = errno;
    assert_string_equal(capture_end(), expected);
    assert_int_equal(result, -1);
    assert_int_equal(found, error);
}

static void test_misuse_is_refused(void **state)
{
    (void)state;
    static const char foreign[] = "free of what is no object of this pool";
    static const char again[] = "free of an object that is free already";
    for (unsigned flags = 0; flags <= POOLALLOC_POOL_FALLBACK; flags += POOLALLOC_POOL_FALLBACK) {
        const struct poolalloc_pool_options options = {
            .name = "nodes", .object_bytes = 48, .first = 4, .max = 200, .flags = flags};
        poolalloc_pool *pool = create(options);
        poolalloc_pool *other = create(options);
        char *objects[200];
        for (int i = 0; i < 200; i++)
            objects[i] = poolalloc_pool_alloc(pool);
        char local;
        char *block = malloc(10);
        check_refused(pool, &local, EINVAL, foreign);
        check_refused(pool, block, EINVAL, foreign);
        check_refused(pool, poolalloc_pool_alloc(other), EINVAL, foreign);
        check_refused(pool, (void *)(uintptr_t)16, EINVAL, foreign);
        check_refused(pool, (void *)UINTPTR_MAX, EINVAL, foreign);
        for (int i = 0; i < 200; i++) {
            check_refused(pool, objects[i] + 1, EINVAL, foreign);
            check_refused(pool, objects[i] + 16, EINVAL, foreign);
        }
        for (int i = 0; i < 200; i += 2) {
            check_free(pool, objects[i]);
            check_refused(pool, objects[i], EALREADY, again);
        }
        for (int i = 0; i < 200; i += 2)
            check_refused(pool, objects[i], EALREADY, again);
        assert_int_equal(poolalloc_pool_free(pool, NULL), 0);
        assert_int_equal(stats_of(pool).in_use, 100);
        /* All is as before: the free ones can be had, once each. */
        for (int i = 0; i < 200; i += 2) {
            char *p = poolalloc_pool_alloc(pool);
            assert_true(poolalloc_pool_owns(pool, p));
            for (int j = 1; j < 200; j += 2)
                assert_ptr_not_equal(p, objects[j]);
        }
        assert_int_equal(poolalloc_pool_destroy(pool), 200);
        assert_int_equal(poolalloc_pool_destroy(other), 1);
        free(block);
    }
}

static void check_no_pool(struct poolalloc_pool_options options)
{
    errno = 0;
    assert_null(poolalloc_pool_create(&options));
    assert_int_equal(errno, EINVAL);
}

static void test_bad_options(void **state)
{
    (void)state;
    errno = 0;
    assert_null(poolalloc_pool_create(NULL));
    assert_int_equal(errno, EINVAL);
    check_no_pool((struct poolalloc_pool_options){.object_bytes = 0});
    check_no_pool((struct poolalloc_pool_options){.object_bytes = ((size_t)1 << 30) + 1});
    check_no_pool((struct poolalloc_pool_options){.object_bytes = 8, .align = 24});
    check_no_pool((struct poolalloc_pool_options){.object_bytes = 8, .align = 1 << 21});
    check_no_pool((struct poolalloc_pool_options){.object_bytes = 8, .flags = 4});
    check_no_pool((struct poolalloc_pool_options){.object_bytes = 8, .reserved = {0, 0, 0, 1}});
    poolalloc_pool *pool = create((struct poolalloc_pool_options){.object_bytes = (size_t)1 << 30});
    assert_non_null(poolalloc_pool_alloc(pool));
    assert_int_equal(poolalloc_pool_destroy(pool), 1);
}

static int set_alone(void **state)
{
    (void)state;
    kind = 0;
    return 0;
}

static int set_shared(void **state)
{
    (void)state;
    kind = POOLALLOC_POOL_SHARED;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_are_apart_and_aligned),
        cmocka_unit_test(test_freed_objects_come_again),
        cmocka_unit_test(test_maximum_holds),
        cmocka_unit_test(test_fallback_is_malloc),
        cmocka_unit_test(test_destroy_counts_what_is_out),
        cmocka_unit_test(test_trim_gives_back_what_is_free),
        cmocka_unit_test(test_malloc_trim_reaches_shared_pools),
        cmocka_unit_test(test_free_objects_stay_constructed),
        cmocka_unit_test(test_what_other_threads_have_given_back_is_constructed),
        cmocka_unit_test(test_threads_do_not_hold_large_objects),
        cmocka_unit_test(test_misuse_is_refused),
        cmocka_unit_test(test_bad_options),
    };
    int n_failed = cmocka_run_group_tests_name("alone", tests, set_alone, NULL);
    return n_failed + cmocka_run_group_tests_name("shared", tests, set_shared, NULL);
}
