/* SPDX-License-Identifier: MIT */
/*
 * Under a limit on address space: NULL and ENOMEM instead of a crash, no block lost or damaged, and
 * everything usable again once it was freed. No assertion is made while memory is out.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "contract.h"

#define HEADROOM (128 * MIB)

static struct rlimit limit_before;

static size_t mapped_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    char line[128];
    assert_non_null(fgets(line, sizeof line, file));
    (void)fclose(file);
    return strtoul(line, NULL, 10) * page_bytes();
}

static int limit_address_space(void **state)
{
    (void)state;
    if (getrlimit(RLIMIT_AS, &limit_before) != 0)
        return -1;
    struct rlimit limit = {mapped_bytes() + HEADROOM, limit_before.rlim_max};
    return setrlimit(RLIMIT_AS, &limit);
}

static int lift_limit(void **state)
{
    (void)state;
    return setrlimit(RLIMIT_AS, &limit_before);
}

/* A block that remembers the one before it, so that the list needs no memory of its own. */
struct link {
    struct link *before;
    size_t number;
};

struct round {
    size_t count;
    int error;
    bool intact;
};

static struct round fill_up_and_free(size_t bytes)
{
    struct round round = {0, 0, true};
    struct link *last = NULL;
    for (;;) {
        errno = 0;
        struct link *link = malloc(bytes);
        if (link == NULL)
            break;
        link->before = last;
        link->number = round.count++;
        block_fill(link + 1, bytes - sizeof *link, link->number);
        last = link;
    }
    round.error = errno;
    size_t expected = round.count;
    while (last != NULL) {
        struct link *before = last->before;
        expected--;
        if (last->number != expected || !block_holds(last + 1, bytes - sizeof *last, expected))
            round.intact = false;
        free(last);
        last = before;
    }
    return round;
}

static void check_rounds(size_t bytes)
{
    struct round rounds[3];
    for (size_t i = 0; i < COUNT_OF(rounds); i++)
        rounds[i] = fill_up_and_free(bytes);
    for (size_t i = 0; i < COUNT_OF(rounds); i++) {
        assert_int_equal(rounds[i].error, ENOMEM);
        assert_true(rounds[i].intact);
        assert_at(rounds[i].count * bytes >= HEADROOM / 2, rounds[i].count);
        assert_at(rounds[i].count >= rounds[0].count - rounds[0].count / 8, rounds[i].count);
    }
}

static void test_again_and_again(void **state)
{
    (void)state;
    check_rounds(100000);
    check_rounds(48);
    check_rounds(5000);
    check_rounds(3 * MIB);
    check_rounds(100000);
}

static void test_small_memory_becomes_large(void **state)
{
    (void)state;
    struct round round = fill_up_and_free(64);
    void *block = malloc(HEADROOM / 4);
    assert_int_equal(round.error, ENOMEM);
    assert_non_null(block);
    free(block);
}

/* Each call is refused at the limit, and the block that realloc was given stays as it is. */
static void test_every_call_is_refused(void **state)
{
    (void)state;
    enum { N_CALLS = 6 };
    int errors[N_CALLS] = {0};
    void *results[N_CALLS] = {NULL};
    void *volatile block = malloc(1000);
    assert_non_null(block);
    block_fill(block, 1000, 5);
    size_t too_much = opaque(64 * HEADROOM); /* more than what earlier tests have left free */
    errno = 0;
    results[0] = malloc(too_much);
    errors[0] = errno;
    errno = 0;
    results[1] = calloc(too_much / 16, 16);
    errors[1] = errno;
    errno = 0;
    results[2] = realloc(block, too_much);
    errors[2] = errno;
    errno = 0;
    results[3] = aligned_alloc(64, too_much);
    errors[3] = errno;
    errno = 0;
    results[4] = memalign(4096, too_much);
    errors[4] = errno;
    errors[5] = posix_memalign(&results[5], 64, too_much);
    for (size_t i = 0; i < N_CALLS; i++) {
        assert_at(results[i] == NULL, i);
        assert_at(errors[i] == ENOMEM, i);
    }
    assert_true(block_holds(block, 1000, 5));
    free(block);
}

/* realloc(p, 0) frees: ten thousand lost blocks of 1 MiB would not fit. */
static void test_realloc_to_zero_does_not_leak(void **state)
{
    (void)state;
    size_t failed_at = 0;
    for (size_t i = 1; i <= 10000 && failed_at == 0; i++) {
        void *block = malloc(MIB);
        if (block == NULL || realloc(block, opaque(0)) != NULL)
            failed_at = i;
    }
    assert_int_equal(failed_at, 0);
}

/* Aligned blocks neither leak nor keep what lies before and behind them. */
static void test_aligned_blocks_do_not_leak(void **state)
{
    (void)state;
    size_t failed_at = 0;
    for (size_t i = 1; i <= 10000 && failed_at == 0; i++) {
        void *block = aligned_alloc((size_t)4096 << i % 11, 200 * KIB);
        if (block == NULL)
            failed_at = i;
        free(block);
    }
    assert_int_equal(failed_at, 0);
}

static void test_growing_does_not_leak(void **state)
{
    (void)state;
    size_t failed_at = 0;
    for (size_t i = 1; i <= 300 && failed_at == 0; i++) {
        void *block = NULL;
        for (size_t bytes = 100; bytes <= 32 * MIB && failed_at == 0; bytes *= 2) {
            void *grown = realloc(block, bytes);
            if (grown == NULL)
                failed_at = i;
            else
                block = grown;
        }
        free(block);
    }
    assert_int_equal(failed_at, 0);
}

#define limited_test(test) cmocka_unit_test_setup_teardown(test, limit_address_space, lift_limit)

int main(int argc, char **argv)
{
    const struct CMUnitTest rules[] = {
        limited_test(test_again_and_again),
        limited_test(test_small_memory_becomes_large),
        limited_test(test_every_call_is_refused),
        limited_test(test_realloc_to_zero_does_not_leak),
        limited_test(test_aligned_blocks_do_not_leak),
        limited_test(test_growing_does_not_leak),
    };
    return CHECK_RULES(rules, argc, argv);
}
