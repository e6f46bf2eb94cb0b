/* SPDX-License-Identifier: MIT */
/* posix_memalign, aligned_alloc, memalign, valloc, pvalloc: what they accept, give and say. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "contract.h"

/* What *memptr and returned pointers are compared with; never an address of a block. */
static char untouched;

static const size_t impossible_sizes[] = {SIZE_MAX,       SIZE_MAX - 100,
                                          SIZE_MAX / 2,   (size_t)PTRDIFF_MAX + 1,
                                          PTRDIFF_MAX,    (size_t)PTRDIFF_MAX - 8192,
                                          (size_t)1 << 48};

static void test_posix_memalign_refuses_bad_alignments(void **state)
{
    (void)state;
    static const size_t bad[] = {0,
                                 1,
                                 2,
                                 3,
                                 4,
                                 5,
                                 7,
                                 9,
                                 12,
                                 24,
                                 40,
                                 48,
                                 100,
                                 4095,
                                 4097,
                                 6144,
                                 ((size_t)1 << 63) + 8,
                                 SIZE_MAX,
                                 SIZE_MAX - 7};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        void *block = &untouched;
        errno = ERRNO_MARK;
        int result = posix_memalign(&block, opaque(bad[i]), 64);
        int error = errno;
        assert_at(result == EINVAL, bad[i]);
        assert_at(block == &untouched, bad[i]);
        assert_at(error == ERRNO_MARK, bad[i]);
    }
}

static void check_posix_memalign_enomem(size_t alignment, size_t bytes)
{
    void *block = &untouched;
    errno = ERRNO_MARK;
    int result = posix_memalign(&block, opaque(alignment), opaque(bytes));
    int error = errno;
    assert_at(result == ENOMEM, bytes);
    assert_at(block == &untouched, bytes);
    assert_at(error == ERRNO_MARK, bytes);
}

static void test_posix_memalign_reports_enomem(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(impossible_sizes); i++) {
        for (size_t alignment = sizeof(void *); alignment <= GIB; alignment *= 8)
            check_posix_memalign_enomem(alignment, impossible_sizes[i]);
    }
    check_posix_memalign_enomem((size_t)1 << 63, 8);
    check_posix_memalign_enomem((size_t)1 << 62, 1);
    check_posix_memalign_enomem((size_t)1 << 63, (size_t)1 << 63);
}

static void test_posix_memalign_of_zero_bytes(void **state)
{
    (void)state;
    void *first = NULL;
    void *second = NULL;
    assert_int_equal(posix_memalign(&first, 64, opaque(0)), 0);
    assert_int_equal(posix_memalign(&second, 64, opaque(0)), 0);
    assert_non_null(first);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    assert_true(is_aligned(first, 64) && is_aligned(second, 64));
    free(first);
    free(second);
}

static void *by_posix_memalign(size_t alignment, size_t bytes)
{
    void *block = NULL;
    if (alignment < sizeof(void *))
        alignment = sizeof(void *);
    return posix_memalign(&block, alignment, bytes) == 0 ? block : NULL;
}

static void *by_aligned_alloc(size_t alignment, size_t bytes)
{
    return aligned_alloc(alignment, bytes);
}

static void *by_memalign(size_t alignment, size_t bytes)
{
    return memalign(alignment, bytes);
}

typedef void *(*aligned_function)(size_t alignment, size_t bytes);

static const aligned_function functions[] = {by_posix_memalign, by_aligned_alloc, by_memalign};

/* Each size under each alignment at once: they must not overlap, nor their slack. */
static void check_grid(aligned_function allocate)
{
    static const size_t sizes[] = {0,    1,    7,        16,       17,       100,    1000, 4095,
                                   4096, 5000, 32 * KIB, 33 * KIB, 64 * KIB, 100000, MIB};
    enum { N_ALIGNMENTS = 21 };
    static unsigned char *blocks[N_ALIGNMENTS][COUNT_OF(sizes)];
    for (size_t a = 0; a < N_ALIGNMENTS; a++) {
        for (size_t s = 0; s < COUNT_OF(sizes); s++) {
            errno = ERRNO_MARK;
            blocks[a][s] = allocate((size_t)1 << a, sizes[s]);
            int error = errno;
            assert_at(blocks[a][s] != NULL, (size_t)1 << a);
            assert_at(is_aligned(blocks[a][s], (size_t)1 << a), (size_t)1 << a);
            assert_at(is_aligned(blocks[a][s], BLOCK_ALIGNMENT), (size_t)1 << a);
            assert_at(error == ERRNO_MARK, (size_t)1 << a);
            assert_at(malloc_usable_size(blocks[a][s]) >= sizes[s], sizes[s]);
            block_fill(blocks[a][s], malloc_usable_size(blocks[a][s]), a * 100 + s);
        }
    }
    for (size_t a = 0; a < N_ALIGNMENTS; a++) {
        for (size_t s = 0; s < COUNT_OF(sizes); s++) {
            size_t usable = malloc_usable_size(blocks[a][s]);
            assert_at(block_holds(blocks[a][s], usable, a * 100 + s), (size_t)1 << a);
            free(blocks[a][s]);
        }
    }
}

static void test_all_alignments_and_sizes(void **state)
{
    (void)state;
    for (size_t f = 0; f < COUNT_OF(functions); f++)
        check_grid(functions[f]);
}

static void test_alignments_to_one_gib(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 4096, MIB + 1};
    for (size_t f = 0; f < COUNT_OF(functions); f++) {
        for (size_t alignment = 2 * MIB; alignment <= GIB; alignment *= 2) {
            for (size_t s = 0; s < COUNT_OF(sizes); s++) {
                errno = ERRNO_MARK;
                void *block = functions[f](alignment, sizes[s]);
                int error = errno;
                assert_at(block != NULL, alignment);
                assert_at(is_aligned(block, alignment), alignment);
                assert_at(error == ERRNO_MARK, alignment);
                block_fill(block, sizes[s], alignment);
                assert_at(block_holds(block, sizes[s], alignment), alignment);
                free(block);
            }
        }
    }
}

/* The memory of aligned blocks is used again: ten thousand of them would be 640 MiB. */
static void test_aligned_blocks_come_and_go(void **state)
{
    (void)state;
    enum { N_TIMES = 10000, N_ALIVE = 16 };
    void *alive[N_ALIVE] = {NULL};
    for (size_t i = 0; i < N_TIMES; i++) {
        size_t slot = i % N_ALIVE;
        if (alive[slot] != NULL)
            assert_at(block_holds(alive[slot], 1000, slot), i);
        free(alive[slot]);
        alive[slot] = functions[i % COUNT_OF(functions)](64 * KIB, 1000);
        assert_at(alive[slot] != NULL && is_aligned(alive[slot], 64 * KIB), i);
        block_fill(alive[slot], 1000, slot);
    }
    for (size_t i = 0; i < N_ALIVE; i++)
        free(alive[i]);
}

static void test_realloc_of_an_aligned_block(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 100, 5000, 40000, 300000, 5 * MIB};
    for (size_t alignment = 16; alignment <= 4 * MIB; alignment *= 4) {
        for (size_t from = 0; from < COUNT_OF(sizes); from++) {
            for (size_t to = 0; to < COUNT_OF(sizes); to++) {
                void *block = by_posix_memalign(alignment, sizes[from]);
                assert_at(block != NULL, alignment);
                block_fill(block, sizes[from], from);
                block = realloc(block, sizes[to]);
                assert_at(block != NULL, alignment);
                size_t kept = sizes[from] < sizes[to] ? sizes[from] : sizes[to];
                assert_at(block_holds(block, kept, from), alignment);
                block_fill(block, sizes[to], to);
                free(block);
            }
        }
    }
}

static void test_aligned_alloc_refuses_other_than_powers_of_two(void **state)
{
    (void)state;
    static const size_t bad[] = {0, 3, 5, 6, 7, 12, 24, 48, 100, 4095, 6144, SIZE_MAX};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        errno = 0;
        void *block = aligned_alloc(opaque(bad[i]), 64);
        int error = errno;
        assert_at(block == NULL, bad[i]);
        assert_at(error == EINVAL, bad[i]);
    }
}

static void test_memalign_rounds_up_to_a_power_of_two(void **state)
{
    (void)state;
    static const size_t odd[][2] = {{0, 16},      {1, 16},      {3, 16},           {17, 32},
                                    {24, 32},     {48, 64},     {65, 128},         {100, 128},
                                    {4097, 8192}, {6144, 8192}, {70000, 128 * KIB}};
    for (size_t i = 0; i < COUNT_OF(odd); i++) {
        void *blocks[20];
        for (size_t j = 0; j < COUNT_OF(blocks); j++) {
            errno = ERRNO_MARK;
            blocks[j] = memalign(opaque(odd[i][0]), 40);
            assert_at(errno == ERRNO_MARK, odd[i][0]);
            assert_at(blocks[j] != NULL, odd[i][0]);
            assert_at(is_aligned(blocks[j], odd[i][1]), odd[i][0]);
        }
        for (size_t j = 0; j < COUNT_OF(blocks); j++)
            free(blocks[j]);
    }
    errno = 0;
    void *block = memalign(opaque(((size_t)1 << 63) + 1), 8);
    assert_null(block);
    assert_int_equal(errno, EINVAL);
}

static void check_enomem(aligned_function allocate, size_t alignment, size_t bytes)
{
    errno = 0;
    void *block = allocate(opaque(alignment), opaque(bytes));
    int error = errno;
    assert_at(block == NULL, bytes);
    assert_at(error == ENOMEM, bytes);
}

static void test_failure_sets_enomem(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(impossible_sizes); i++) {
        for (size_t alignment = 1; alignment <= GIB; alignment *= 8) {
            check_enomem(by_aligned_alloc, alignment, impossible_sizes[i]);
            check_enomem(by_memalign, alignment, impossible_sizes[i]);
        }
    }
    check_enomem(by_aligned_alloc, (size_t)1 << 62, 1);
    check_enomem(by_aligned_alloc, (size_t)1 << 62, (size_t)1 << 62);
    check_enomem(by_memalign, (size_t)1 << 62, 1);
}

static void test_valloc_is_page_aligned(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 100000, 3 * MIB};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        errno = ERRNO_MARK;
        void *block = valloc(opaque(sizes[i]));
        assert_at(errno == ERRNO_MARK, sizes[i]);
        assert_at(block != NULL, sizes[i]);
        assert_at(is_aligned(block, page_bytes()), sizes[i]);
        assert_at(malloc_usable_size(block) >= sizes[i], sizes[i]);
        block_fill(block, sizes[i], i);
        assert_at(block_holds(block, sizes[i], i), sizes[i]);
        free(block);
    }
    for (size_t i = 0; i < COUNT_OF(impossible_sizes); i++) {
        errno = 0;
        assert_at(valloc(opaque(impossible_sizes[i])) == NULL, impossible_sizes[i]);
        assert_int_equal(errno, ENOMEM);
    }
}

static void test_pvalloc_gives_whole_pages(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 100000, 3 * MIB};
    size_t page = page_bytes();
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        size_t whole = (sizes[i] + page - 1) / page * page;
        errno = ERRNO_MARK;
        void *block = pvalloc(opaque(sizes[i]));
        assert_at(errno == ERRNO_MARK, sizes[i]);
        assert_at(block != NULL, sizes[i]);
        assert_at(is_aligned(block, page), sizes[i]);
        assert_at(malloc_usable_size(block) >= whole, sizes[i]);
        block_fill(block, whole, i);
        assert_at(block_holds(block, whole, i), sizes[i]);
        free(block);
    }
    static const size_t overflowing[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 100, SIZE_MAX - 4094};
    for (size_t i = 0; i < COUNT_OF(overflowing); i++) {
        errno = 0;
        assert_at(pvalloc(opaque(overflowing[i])) == NULL, overflowing[i]);
        assert_int_equal(errno, ENOMEM);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest rules[] = {
        cmocka_unit_test(test_posix_memalign_refuses_bad_alignments),
        cmocka_unit_test(test_posix_memalign_reports_enomem),
        cmocka_unit_test(test_posix_memalign_of_zero_bytes),
        cmocka_unit_test(test_all_alignments_and_sizes),
        cmocka_unit_test(test_alignments_to_one_gib),
        cmocka_unit_test(test_aligned_blocks_come_and_go),
        cmocka_unit_test(test_realloc_of_an_aligned_block),
        cmocka_unit_test(test_aligned_alloc_refuses_other_than_powers_of_two),
        cmocka_unit_test(test_memalign_rounds_up_to_a_power_of_two),
        cmocka_unit_test(test_failure_sets_enomem),
        cmocka_unit_test(test_valloc_is_page_aligned),
        cmocka_unit_test(test_pvalloc_gives_whole_pages),
    };
    return CHECK_RULES(rules, argc, argv);
}
