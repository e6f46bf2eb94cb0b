/* SPDX-License-Identifier: MIT */
/* Every test runs in a child that finds the first chunk unused. */
#include "mem/meta.h"

#include "base/bits.h"
#include "fake_sys.h"
#include "os/pages.h"
#include "unit.h"

#include <errno.h>
#include <signal.h>

static size_t meta_bytes(void)
{
    struct meta_stats stats;
    check(meta_get_stats(&stats, lock_take_surely));
    return stats.mapped_bytes;
}

enum { CHUNK_MIN_BYTES = 256 * 1024, MAX_TAKEN = 4096 };

static struct {
    char *p;
    size_t bytes;
} taken[MAX_TAKEN];

static void check_apart(size_t i)
{
    for (size_t j = 0; j < i; j++)
        check(taken[i].p + taken[i].bytes <= taken[j].p ||
              taken[j].p + taken[j].bytes <= taken[i].p);
}

static void body_aligned_zero_and_apart(void *argument)
{
    (void)argument;
    struct random random = {1};
    for (size_t i = 0; i < 1000; i++) {
        taken[i].bytes = random_bytes(&random, 8192);
        taken[i].p = meta_take(taken[i].bytes);
        check(taken[i].p != NULL);
        check((uintptr_t)taken[i].p % META_ALIGN == 0);
        check(is_zero(taken[i].p, round_up(taken[i].bytes, META_ALIGN)));
        check_apart(i);
        pattern_fill(taken[i].p, taken[i].bytes, i);
    }
    for (size_t i = 0; i < 1000; i++)
        check(pattern_holds(taken[i].p, taken[i].bytes, i));
}

static void test_records_are_aligned_zero_and_apart(void **state)
{
    (void)state;
    child_passes(body_aligned_zero_and_apart, NULL);
}

static void body_reuse(void *argument)
{
    (void)argument;
    for (size_t bytes = 1; bytes <= META_REUSE_MAX_BYTES; bytes += 7 + bytes / 64) {
        void *one = meta_take(bytes);
        void *two = meta_take(bytes);
        size_t before = meta_bytes();
        meta_give(one, bytes);
        meta_give(two, bytes);
        void *again = meta_take(bytes);
        void *and_again = meta_take(bytes);
        check((again == one && and_again == two) || (again == two && and_again == one));
        check_equal(meta_bytes(), before);
        check(meta_take(bytes) != one);
    }
}

static void test_what_was_given_back_is_used_again(void **state)
{
    (void)state;
    child_passes(body_reuse, NULL);
}

/* Each size at first, then an eighth more each time. */
static size_t next_size(size_t bytes)
{
    return bytes + round_up(max_size(bytes / 8, 1), META_ALIGN);
}

/* A record is used again for its own size only, rounded up to the alignment. */
static void body_reuse_by_size(void *argument)
{
    (void)argument;
    for (size_t bytes = META_ALIGN; bytes <= META_REUSE_MAX_BYTES; bytes = next_size(bytes)) {
        void *p = meta_take(bytes);
        meta_give(p, bytes - META_ALIGN + 1);
        for (size_t other = META_ALIGN; other <= META_REUSE_MAX_BYTES; other = next_size(other)) {
            if (other != bytes)
                check(meta_take(other) != p);
        }
        check(meta_take(bytes) == p);
    }
}

static void test_records_of_one_size_are_not_taken_for_another(void **state)
{
    (void)state;
    child_passes(body_reuse_by_size, NULL);
}

/* Takes records until the chunk at hand has no room for one more; the record that makes a new one.
 */
static char *first_record_of_a_new_chunk(void)
{
    size_t n_maps = fake_count(FAKE_MAP);
    char *p;
    do {
        p = meta_take(META_REUSE_MAX_BYTES);
        check(p != NULL);
    } while (fake_count(FAKE_MAP) == n_maps);
    return p;
}

static void body_small_start(void *argument)
{
    (void)argument;
    check(meta_bytes() > 0);
    check(meta_take(16 * KIB) != NULL);
    check_equal(fake_count(FAKE_MAP), 0);
}

static void test_the_first_records_need_no_system_call(void **state)
{
    (void)state;
    child_passes(body_small_start, NULL);
}

static void body_bytes(void *argument)
{
    (void)argument;
    size_t before = meta_bytes();
    (void)first_record_of_a_new_chunk();
    check_equal(meta_bytes(), before + CHUNK_MIN_BYTES + 2 * os_page_bytes());
    check_equal(fake_count(FAKE_PROTECT_NONE), 2);
    before = meta_bytes();
    check(meta_take(MIB) != NULL);
    check_equal(meta_bytes(), before + MIB + 2 * os_page_bytes());
}

static void test_bytes_are_those_of_the_chunks_and_their_guards(void **state)
{
    (void)state;
    child_passes(body_bytes, NULL);
}

static void body_large_pages(void *argument)
{
    fake_auxv_page_bytes(*(size_t *)argument);
    char *p = first_record_of_a_new_chunk();
    check((uintptr_t)p % os_page_bytes() == 0);
    p = meta_take(CHUNK_MIN_BYTES + 64);
    pattern_fill(p, CHUNK_MIN_BYTES + 64, 1);
    check(pattern_holds(p, CHUNK_MIN_BYTES + 64, 1));
}

static void test_kernels_with_larger_pages(void **state)
{
    (void)state;
    size_t sizes[] = {16384, 65536};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        child_passes(body_large_pages, &sizes[i]);
}

static void body_write_before(void *argument)
{
    (void)argument;
    volatile char *p = first_record_of_a_new_chunk();
    p[-1] = 1;
}

static void body_write_behind(void *argument)
{
    (void)argument;
    volatile char *p = meta_take(CHUNK_MIN_BYTES);
    p[CHUNK_MIN_BYTES - 1] = 1;
    p[CHUNK_MIN_BYTES] = 1;
}

static void body_write_into_unguarded(void *argument)
{
    fake_fail_from(FAKE_PROTECT_NONE, 1, ENOMEM);
    body_write_before(argument);
    body_write_behind(argument);
}

static void test_guards_before_and_behind_a_chunk(void **state)
{
    (void)state;
    child_dies(body_write_before, NULL, SIGSEGV, SIGBUS);
    child_dies(body_write_behind, NULL, SIGSEGV, SIGBUS);
    child_passes(body_write_into_unguarded, NULL);
}

enum { RECORD_BYTES = 4096 };

/* The nth map and all after it fail. */
static void body_no_memory(void *argument)
{
    size_t nth = *(size_t *)argument;
    size_t n = 0;
    fake_fail_from(FAKE_MAP, nth, ENOMEM);
    while (n < MAX_TAKEN && (taken[n].p = meta_take(RECORD_BYTES)) != NULL) {
        pattern_fill(taken[n].p, RECORD_BYTES, n);
        n++;
    }
    check(n < MAX_TAKEN);
    check_equal(fake_count(FAKE_MAP), nth);
    size_t before = meta_bytes();
    check(meta_take(RECORD_BYTES) == NULL);
    check_equal(meta_bytes(), before);
    meta_give(taken[0].p, RECORD_BYTES);
    check(meta_take(RECORD_BYTES) == taken[0].p);
    fake_fail_none();
    check(meta_take(RECORD_BYTES) != NULL);
    for (size_t i = 1; i < n; i++)
        check(pattern_holds(taken[i].p, RECORD_BYTES, i));
}

static void test_no_memory_is_null_and_harmless(void **state)
{
    (void)state;
    for (size_t nth = 1; nth <= 4; nth++)
        child_passes(body_no_memory, &nth);
}

enum { N_THREADS = 4, N_RECORDS = 500 };

static void *take_and_give(void *argument)
{
    uint64_t seed = *(uint64_t *)argument;
    char *records[N_RECORDS];
    for (size_t round = 0; round < 20; round++) {
        for (size_t i = 0; i < N_RECORDS; i++) {
            records[i] = meta_take(64);
            check(records[i] != NULL);
            pattern_fill(records[i], 64, seed + i);
        }
        for (size_t i = 0; i < N_RECORDS; i++) {
            check(pattern_holds(records[i], 64, seed + i));
            meta_give(records[i], 64);
        }
    }
    return NULL;
}

static void body_threads(void *argument)
{
    (void)argument;
    static uint64_t seeds[N_THREADS];
    pthread_t threads[N_THREADS];
    for (uint64_t i = 0; i < N_THREADS; i++) {
        seeds[i] = (i + 1) << 32;
        threads[i] = thread_start(take_and_give, &seeds[i]);
    }
    for (size_t i = 0; i < N_THREADS; i++)
        thread_join(threads[i]);
}

static void test_threads_share_no_record(void **state)
{
    (void)state;
    child_passes(body_threads, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_are_aligned_zero_and_apart),
        cmocka_unit_test(test_what_was_given_back_is_used_again),
        cmocka_unit_test(test_records_of_one_size_are_not_taken_for_another),
        cmocka_unit_test(test_the_first_records_need_no_system_call),
        cmocka_unit_test(test_bytes_are_those_of_the_chunks_and_their_guards),
        cmocka_unit_test(test_kernels_with_larger_pages),
        cmocka_unit_test(test_guards_before_and_behind_a_chunk),
        cmocka_unit_test(test_no_memory_is_null_and_harmless),
        cmocka_unit_test(test_threads_share_no_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
