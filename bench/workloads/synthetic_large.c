/* SPDX-License-Identifier: MIT */
/*
 * Blocks of many pages: arrays that grow by realloc until they are, and some that are so at once.
 */
#include "synthetic.h"

#include <time.h>

/* ---- growing-arrays ---- */

enum {
    N_ARRAYS = 100,
    N_ARRAY_ROUNDS = 4,
    ARRAY_WORDS_FIRST = 4,
    N_ARRAY_DOUBLINGS = 11, /* limits are up to 2 KiB << 11, 4 MiB */
    ARRAY_WORDS_LEAST = 256,
};

static struct array {
    uint64_t salt; /* word i is salt + i */
    size_t n_words;
    size_t n_words_limit;
    uint64_t *words;
} arrays[N_ARRAYS];

static void fill_array(struct array *array, size_t first)
{
    for (size_t i = first; i < array->n_words; i++) {
        array->words[i] = array->salt + i;
    }
}

static void check_array(const struct array *array)
{
    for (size_t i = 0; i < array->n_words; i++) {
        if (array->words[i] != array->salt + i) {
            child_fail("growing-arrays: a word changed");
        }
    }
}

/* Limits as if drawn from a logarithmic scale: most arrays stay small, most bytes are in large. */
static void start_array(struct array *array, uint64_t *random)
{
    uint32_t octave = random_below(random, N_ARRAY_DOUBLINGS);
    uint32_t least = (uint32_t)ARRAY_WORDS_LEAST << octave;
    array->salt = random_next(random);
    array->n_words = ARRAY_WORDS_FIRST;
    array->n_words_limit = random_between(random, least, 2 * least);
    array->words = take(ARRAY_WORDS_FIRST * sizeof array->words[0]);
    fill_array(array, 0);
}

static void grow_array(struct array *array)
{
    size_t n_before = array->n_words;
    array->n_words += n_before / 2;
    array->words = realloc(array->words, array->n_words * sizeof array->words[0]);
    if (array->words == NULL) {
        child_fail("growing-arrays: realloc returned NULL");
    }
    fill_array(array, n_before);
}

/* Takes turns at random among the arrays that have not reached their limits. */
static void grow_all_arrays(uint64_t *random)
{
    struct array *growing[N_ARRAYS];
    uint32_t n = N_ARRAYS;
    for (int i = 0; i < N_ARRAYS; i++) {
        growing[i] = &arrays[i];
    }
    while (n > 0) {
        uint32_t i = random_below(random, n);
        grow_array(growing[i]);
        if (growing[i]->n_words >= growing[i]->n_words_limit) {
            growing[i] = growing[--n];
        }
    }
}

void run_growing_arrays(void)
{
    uint64_t random = 30;
    for (uint32_t round = amount(N_ARRAY_ROUNDS); round > 0; round--) {
        measure_begin();
        for (int i = 0; i < N_ARRAYS; i++) {
            start_array(&arrays[i], &random);
        }
        grow_all_arrays(&random);
        measure_end();
        for (int i = 0; i < N_ARRAYS; i++) {
            check_array(&arrays[i]);
        }
        measure_begin();
        for (int i = 0; i < N_ARRAYS; i++) {
            free(arrays[i].words);
        }
        measure_end();
    }
    measure_freed();
}

/* ---- large-blocks ---- */

enum {
    N_LARGE = 16, /* of 4.5 MB on average */
    N_LARGE_REPLACEMENTS = 400,
    LARGE_BYTES_LEAST = 100 * 1000,
    LARGE_BYTES_MOST = 20 * 1000 * 1000,
    N_LARGE_OCTAVES = 8,
};

static struct large {
    uint32_t n_bytes;
    unsigned char *bytes;
} larges[N_LARGE];

static unsigned char mark_of(uint32_t place, size_t page)
{
    return (unsigned char)(place * 13 + page);
}

/* The last byte of the page that begins at `at`, or of the block where that ends before. */
static size_t last_byte_of_page(const struct large *large, size_t at)
{
    size_t end = at + PAGE_BYTES;
    return (end < large->n_bytes ? end : large->n_bytes) - 1;
}

static void make_large(uint32_t place, uint64_t *random)
{
    struct large *large = &larges[place];
    uint32_t least = (uint32_t)LARGE_BYTES_LEAST << random_below(random, N_LARGE_OCTAVES);
    uint32_t n_bytes = random_between(random, least, 2 * least);
    large->n_bytes = n_bytes > LARGE_BYTES_MOST ? LARGE_BYTES_MOST : n_bytes;
    large->bytes = take(large->n_bytes);
    for (size_t at = 0; at < large->n_bytes; at += PAGE_BYTES) {
        unsigned char mark = mark_of(place, at / PAGE_BYTES);
        large->bytes[at] = mark;
        large->bytes[last_byte_of_page(large, at)] = mark;
    }
}

static void free_large(uint32_t place)
{
    const struct large *large = &larges[place];
    for (size_t at = 0; at < large->n_bytes; at += PAGE_BYTES) {
        unsigned char mark = mark_of(place, at / PAGE_BYTES);
        if (large->bytes[at] != mark || large->bytes[last_byte_of_page(large, at)] != mark) {
            child_fail("large-blocks: a byte changed");
        }
    }
    free(large->bytes);
}

/* A second later, and one more call: a library may give memory back in passing. */
static void wait_and_free_one(void)
{
    const struct timespec a_second = {.tv_sec = 1};
    (void)nanosleep(&a_second, NULL);
    free(take(LARGE_BYTES_LEAST));
}

void run_large_blocks(void)
{
    uint64_t random = 31;
    measure_begin();
    for (uint32_t place = 0; place < N_LARGE; place++) {
        make_large(place, &random);
    }
    for (uint32_t i = amount(N_LARGE_REPLACEMENTS); i > 0; i--) {
        uint32_t place = random_below(&random, N_LARGE);
        free_large(place);
        make_large(place, &random);
    }
    for (uint32_t place = 0; place < N_LARGE; place++) {
        free_large(place);
    }
    measure_end();
    measure_freed();
    measure_detail("rss_0s", child_rss_mib());
    wait_and_free_one();
    measure_detail("rss_1s", child_rss_mib());
}
