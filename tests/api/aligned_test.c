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

/* What a refused posix_memalign returned and left behind. */
struct refusal {
    int result;
    bool left_pointer;
    bool left_errno;
};

static struct refusal posix_memalign_refused(size_t alignment, size_t bytes)
{
    void *block = &untouched;
    errno = ERRNO_MARK;
    int result = posix_memalign(&block, opaque(alignment), opaque(bytes));
    return (struct refusal){result, block == &untouched, errno == ERRNO_MARK};
}

static const size_t no_posix_alignments[] = {0,
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

static void test_posix_memalign_refuses_bad_alignments_with_einval(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(no_posix_alignments); i++) {
        size_t alignment = no_posix_alignments[i];
        assert_at(posix_memalign_refused(alignment, 64).result == EINVAL, alignment);
    }
}

static void test_posix_memalign_of_a_bad_alignment_leaves_memptr_and_errno(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(no_posix_alignments); i++) {
        struct refusal refusal = posix_memalign_refused(no_posix_alignments[i], 64);
        assert_at(refusal.left_pointer, no_posix_alignments[i]);
        assert_at(refusal.left_errno, no_posix_alignments[i]);
    }
}

/* What cannot be had, by size or by alignment. */
static struct refusal too_much_refused(size_t i)
{
    enum { N_ALIGNMENTS = 10 };
    size_t alignment = sizeof(void *) << 3 * (i % N_ALIGNMENTS);
    return posix_memalign_refused(alignment, impossible_sizes[i / N_ALIGNMENTS]);
}

#define N_TOO_MUCH (10 * COUNT_OF(impossible_sizes))

static void test_posix_memalign_of_too_much_returns_enomem(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_TOO_MUCH; i++)
        assert_at(too_much_refused(i).result == ENOMEM, i);
}

static void test_posix_memalign_of_too_much_leaves_memptr(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_TOO_MUCH; i++)
        assert_at(too_much_refused(i).left_pointer, i);
}

static void test_posix_memalign_of_too_much_leaves_errno(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_TOO_MUCH; i++)
        assert_at(too_much_refused(i).left_errno, i);
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
    static const size_t sizes[] = {1,    7,    16,       17,       100,      1000,   4095,
                                   4096, 5000, 32 * KIB, 33 * KIB, 64 * KIB, 100000, MIB};
    enum { N_ALIGNMENTS = 21 };
    static unsigned char *blocks[N_ALIGNMENTS][COUNT_OF(sizes)];
    for (size_t a = 0; a < N_ALIGNMENTS; a++) {
        for (size_t s = 0; s < COUNT_OF(sizes); s++) {
            blocks[a][s] = allocate((size_t)1 << a, sizes[s]);
            assert_at(blocks[a][s] != NULL, (size_t)1 << a);
            assert_at(is_aligned(blocks[a][s], (size_t)1 << a), (size_t)1 << a);
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

static void test_blocks_of_all_alignments_are_apart(void **state)
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
                void *block = functions[f](alignment, sizes[s]);
                assert_at(block != NULL, alignment);
                assert_at(is_aligned(block, alignment), alignment);
                block_fill(block, sizes[s], alignment);
                assert_at(block_holds(block, sizes[s], alignment), alignment);
                free(block);
            }
        }
    }
}

/* The largest first: what is done once for all of them is done then. */
static void test_success_leaves_errno(void **state)
{
    (void)state;
    for (size_t f = 0; f < COUNT_OF(functions); f++) {
        for (size_t alignment = GIB; alignment > 0; alignment /= 2) {
            errno = ERRNO_MARK;
            void *small = functions[f](alignment, 1);
            void *large = functions[f](alignment, 3 * MIB);
            int error = errno;
            assert_at(small != NULL && large != NULL, alignment);
            assert_at(error == ERRNO_MARK, alignment);
            free(small);
            free(large);
        }
    }
}

/* An alignment may be less than malloc's; the block's is not. */
static void test_every_block_is_aligned_to_16(void **state)
{
    (void)state;
    for (size_t f = 0; f < COUNT_OF(functions); f++) {
        void *blocks[64];
        for (size_t i = 0; i < COUNT_OF(blocks); i++) {
            blocks[i] = functions[f]((size_t)1 << i % 4, 1 + i / 4);
            assert_at(is_aligned(blocks[i], BLOCK_ALIGNMENT), i);
        }
        for (size_t i = 0; i < COUNT_OF(blocks); i++)
            free(blocks[i]);
    }
}

static void test_zero_bytes_are_unique_aligned_blocks(void **state)
{
    (void)state;
    for (size_t f = 0; f < COUNT_OF(functions); f++) {
        for (size_t alignment = 1; alignment <= MIB; alignment *= 2) {
            void *first = functions[f](alignment, opaque(0));
            void *second = functions[f](alignment, opaque(0));
            assert_at(first != NULL && second != NULL && first != second, alignment);
            assert_at(is_aligned(first, alignment) && is_aligned(second, alignment), alignment);
            free(first);
            free(second);
        }
    }
}

static void test_a_gib_of_alignment_occupies_no_memory(void **state)
{
    (void)state;
    for (size_t f = 0; f < COUNT_OF(functions); f++) {
        size_t before = resident_bytes();
        char *block = functions[f](GIB, 100);
        assert_non_null(block);
        block_fill(block, 100, f);
        size_t after = resident_bytes();
        assert_at(after < before + 16 * MIB, after - before);
        free(block);
    }
}

static void test_half_the_address_space_is_no_alignment(void **state)
{
    (void)state;
    size_t half = opaque((size_t)1 << 63);
    void *block = NULL;
    int result = posix_memalign(&block, half, 8);
    assert_true(result == ENOMEM || result == EINVAL);
    for (size_t f = 1; f < COUNT_OF(functions); f++) {
        errno = 0;
        block = functions[f](half, 8);
        int error = errno;
        assert_at(block == NULL, f);
        assert_true(error == ENOMEM || error == EINVAL);
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

static void test_aligned_blocks_may_be_resized(void **state)
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

static void test_aligned_alloc_of_no_power_of_two_is_einval(void **state)
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

static void test_aligned_alloc_takes_any_power_of_two_and_size(void **state)
{
    (void)state;
    for (size_t alignment = 1; alignment <= 64 * KIB; alignment *= 2) {
        for (size_t bytes = 1; bytes <= 2 * alignment; bytes += alignment / 3 + 1) {
            void *block = aligned_alloc(opaque(alignment), opaque(bytes));
            assert_at(block != NULL && is_aligned(block, alignment), alignment);
            free(block);
        }
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
            blocks[j] = memalign(opaque(odd[i][0]), 40);
            assert_at(blocks[j] != NULL, odd[i][0]);
            assert_at(is_aligned(blocks[j], odd[i][1]), odd[i][0]);
        }
        for (size_t j = 0; j < COUNT_OF(blocks); j++)
            free(blocks[j]);
    }
}

static void test_memalign_that_cannot_round_up_is_einval(void **state)
{
    (void)state;
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

static void check_too_much(aligned_function allocate)
{
    for (size_t i = 0; i < COUNT_OF(impossible_sizes); i++) {
        for (size_t alignment = 1; alignment <= GIB; alignment *= 8)
            check_enomem(allocate, alignment, impossible_sizes[i]);
    }
    check_enomem(allocate, (size_t)1 << 62, 1);
}

static void test_aligned_alloc_of_too_much_is_enomem(void **state)
{
    (void)state;
    check_too_much(by_aligned_alloc);
}

static void test_memalign_of_too_much_is_enomem(void **state)
{
    (void)state;
    check_too_much(by_memalign);
}

static void *by_valloc(size_t alignment, size_t bytes)
{
    (void)alignment;
    return valloc(bytes);
}

static void *by_pvalloc(size_t alignment, size_t bytes)
{
    (void)alignment;
    return pvalloc(bytes);
}

static void test_valloc_is_page_aligned(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 4095, 4096, 4097, 100000, 3 * MIB};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        void *block = valloc(opaque(sizes[i]));
        assert_at(block != NULL, sizes[i]);
        assert_at(is_aligned(block, page_bytes()), sizes[i]);
        assert_at(malloc_usable_size(block) >= sizes[i], sizes[i]);
        block_fill(block, sizes[i], i);
        assert_at(block_holds(block, sizes[i], i), sizes[i]);
        free(block);
    }
}

static void test_valloc_of_too_much_is_enomem(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(impossible_sizes); i++)
        check_enomem(by_valloc, 0, impossible_sizes[i]);
}

static void test_valloc_of_zero_is_a_block(void **state)
{
    (void)state;
    void *first = valloc(opaque(0));
    void *second = valloc(opaque(0));
    assert_non_null(first);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    free(first);
    free(second);
}

static void test_pvalloc_gives_whole_pages(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 4095, 4096, 4097, 100000, 3 * MIB};
    size_t page = page_bytes();
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        size_t whole = (sizes[i] + page - 1) / page * page;
        void *block = pvalloc(opaque(sizes[i]));
        assert_at(block != NULL, sizes[i]);
        assert_at(is_aligned(block, page), sizes[i]);
        assert_at(malloc_usable_size(block) >= whole, sizes[i]);
        block_fill(block, whole, i);
        assert_at(block_holds(block, whole, i), sizes[i]);
        free(block);
    }
}

static void test_pvalloc_of_zero_is_a_block(void **state)
{
    (void)state;
    void *first = pvalloc(opaque(0));
    void *second = pvalloc(opaque(0));
    assert_non_null(first);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    free(first);
    free(second);
}

static void test_pvalloc_of_too_much_is_enomem(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(impossible_sizes); i++)
        check_enomem(by_pvalloc, 0, impossible_sizes[i]);
}

/* Whole pages of which would be more than SIZE_MAX. */
static void test_pvalloc_overflow_is_enomem(void **state)
{
    (void)state;
    for (size_t less = 0; less < page_bytes(); less += 100)
        check_enomem(by_pvalloc, 0, SIZE_MAX - less);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest rules[] = {
        cmocka_unit_test(test_blocks_of_all_alignments_are_apart),
        cmocka_unit_test(test_alignments_to_one_gib),
        cmocka_unit_test(test_success_leaves_errno),
        cmocka_unit_test(test_every_block_is_aligned_to_16),
        cmocka_unit_test(test_zero_bytes_are_unique_aligned_blocks),
        cmocka_unit_test(test_a_gib_of_alignment_occupies_no_memory),
        cmocka_unit_test(test_half_the_address_space_is_no_alignment),
        cmocka_unit_test(test_aligned_blocks_come_and_go),
        cmocka_unit_test(test_aligned_blocks_may_be_resized),
        cmocka_unit_test(test_posix_memalign_refuses_bad_alignments_with_einval),
        cmocka_unit_test(test_posix_memalign_of_a_bad_alignment_leaves_memptr_and_errno),
        cmocka_unit_test(test_posix_memalign_of_too_much_returns_enomem),
        cmocka_unit_test(test_posix_memalign_of_too_much_leaves_memptr),
        cmocka_unit_test(test_posix_memalign_of_too_much_leaves_errno),
        cmocka_unit_test(test_aligned_alloc_of_no_power_of_two_is_einval),
        cmocka_unit_test(test_aligned_alloc_takes_any_power_of_two_and_size),
        cmocka_unit_test(test_aligned_alloc_of_too_much_is_enomem),
        cmocka_unit_test(test_memalign_rounds_up_to_a_power_of_two),
        cmocka_unit_test(test_memalign_that_cannot_round_up_is_einval),
        cmocka_unit_test(test_memalign_of_too_much_is_enomem),
        cmocka_unit_test(test_valloc_is_page_aligned),
        cmocka_unit_test(test_valloc_of_zero_is_a_block),
        cmocka_unit_test(test_valloc_of_too_much_is_enomem),
        cmocka_unit_test(test_pvalloc_gives_whole_pages),
        cmocka_unit_test(test_pvalloc_of_zero_is_a_block),
        cmocka_unit_test(test_pvalloc_of_too_much_is_enomem),
        cmocka_unit_test(test_pvalloc_overflow_is_enomem),
    };
    return CHECK_RULES(rules, argc, argv);
}
