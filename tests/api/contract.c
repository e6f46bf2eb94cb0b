/* SPDX-License-Identifier: MIT */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "contract.h"

static uint64_t pattern_word(uint64_t seed, size_t index)
{
    uint64_t word = (seed + index + 1) * UINT64_C(0x9e3779b97f4a7c15);
    return word ^ (word >> 29);
}

size_t opaque(size_t bytes)
{
    return bytes;
}

bool is_aligned(const void *block, size_t alignment)
{
    return (uintptr_t)block % alignment == 0;
}

void block_fill(void *block, size_t bytes, uint64_t seed)
{
    unsigned char *at = block;
    for (size_t done = 0; done < bytes; done += sizeof(uint64_t)) {
        uint64_t word = pattern_word(seed, done);
        size_t left = bytes - done;
        memcpy(at + done, &word, left < sizeof word ? left : sizeof word);
    }
}

bool block_holds(const void *block, size_t bytes, uint64_t seed)
{
    const unsigned char *at = block;
    for (size_t done = 0; done < bytes; done += sizeof(uint64_t)) {
        uint64_t word = pattern_word(seed, done);
        size_t left = bytes - done;
        if (memcmp(at + done, &word, left < sizeof word ? left : sizeof word) != 0)
            return false;
    }
    return true;
}

bool block_is_zero(const void *block, size_t bytes)
{
    const unsigned char *at = block;
    return bytes == 0 || (at[0] == 0 && memcmp(at, at + 1, bytes - 1) == 0);
}

size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

size_t resident_bytes(void)
{
    unsigned long n_pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*u %lu", &n_pages), 1);
    (void)fclose(file);
    return n_pages * page_bytes();
}

static size_t usable_bytes_of(size_t bytes)
{
    void *block = malloc(bytes);
    assert_non_null(block);
    size_t usable = malloc_usable_size(block);
    free(block);
    return usable;
}

size_t list_class_sizes(size_t *sizes, size_t capacity, size_t last)
{
    size_t count = 0;
    size_t smallest = 1;
    while (smallest <= last) {
        size_t largest = usable_bytes_of(smallest);
        assert_true(count + 2 <= capacity);
        sizes[count++] = smallest;
        if (largest > smallest && largest <= last)
            sizes[count++] = largest;
        size_t step = smallest + smallest / 8;
        smallest = largest >= step ? largest + 1 : step + 1;
    }
    return count;
}

int check_rules(const struct CMUnitTest *rules, size_t n, int argc, char **argv)
{
    static const char prefix[] = "test_";
    if (argc == 2 && strcmp(argv[1], "-l") == 0) {
        for (size_t i = 0; i < n; i++)
            puts(rules[i].name + strlen(prefix));
        return EXIT_SUCCESS;
    }
    for (size_t i = 0; argc == 2 && i < n; i++) {
        if (strcmp(rules[i].name + strlen(prefix), argv[1]) == 0)
            return _cmocka_run_group_tests(argv[0], &rules[i], 1, NULL, NULL);
    }
    if (argc == 1)
        return _cmocka_run_group_tests(argv[0], rules, n, NULL, NULL);
    (void)fprintf(stderr, "usage: %s [-l | RULE]\n", argv[0]);
    return EXIT_FAILURE;
}
