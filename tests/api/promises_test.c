/* SPDX-License-Identifier: MIT */
/* What no standard asks for and this library promises all the same. */
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "contract.h"

static size_t usable_bytes_of(size_t bytes)
{
    void *block = malloc(bytes);
    assert_at(block != NULL, bytes);
    size_t usable = malloc_usable_size(block);
    free(block);
    return usable;
}

static void test_classes_waste_an_eighth_at_most(void **state)
{
    (void)state;
    for (size_t bytes = 129; bytes <= 32 * KIB; bytes++)
        assert_at(usable_bytes_of(bytes) <= bytes + bytes / 8 + 16, bytes);
}

static void test_an_eighth_is_wasted_or_less_than_two_pages(void **state)
{
    (void)state;
    for (size_t bytes = 32 * KIB + 1; bytes <= 32 * MIB; bytes += bytes / 9) {
        size_t waste_max = bytes <= 256 * KIB ? bytes / 8 : 2 * page_bytes();
        assert_at(usable_bytes_of(bytes) <= bytes + waste_max, bytes);
    }
}

/* Tools tell calls apart by address. glibc's memalign and aligned_alloc are one. */
static void test_functions_are_distinct(void **state)
{
    (void)state;
    static const char *const names[] = {
        "malloc",
        "free",
        "calloc",
        "realloc",
        "reallocarray",
        "posix_memalign",
        "aligned_alloc",
        "memalign",
        "valloc",
        "pvalloc",
        "malloc_usable_size",
        "free_sized",
        "cfree",
        "free_aligned_sized",
        "malloc_trim",
        "mallopt",
        "mallinfo",
        "mallinfo2",
        "malloc_info",
        "malloc_stats",
    };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_non_null(dlsym(RTLD_DEFAULT, names[i]));
        for (size_t j = 0; j < i; j++) {
            if (dlsym(RTLD_DEFAULT, names[i]) == dlsym(RTLD_DEFAULT, names[j]))
                fail_msg("%s and %s are one function", names[i], names[j]);
        }
    }
}

/* Names that older versions of glibc had. */
static void test_names_of_old_libcs_share_the_heap(void **state)
{
    (void)state;
    int (*old_posix_memalign)(void **, size_t, size_t);
    void (*old_cfree)(void *);
    *(void **)&old_posix_memalign = dlsym(RTLD_DEFAULT, "__posix_memalign");
    *(void **)&old_cfree = dlsym(RTLD_DEFAULT, "__libc_cfree");
    assert_true(old_posix_memalign != NULL && old_cfree != NULL);
    size_t before = mallinfo2().uordblks;
    for (size_t i = 0; i < 1000; i++) {
        void *block = NULL;
        assert_int_equal(old_posix_memalign(&block, 256, 3000), 0);
        assert_true(is_aligned(block, 256) && malloc_usable_size(block) >= 3000);
        old_cfree(block);
    }
    assert_at(mallinfo2().uordblks <= before + 8192, mallinfo2().uordblks);
}

static void test_trim_leaves_as_much_as_it_is_told(void **state)
{
    (void)state;
    malloc_trim(0);
    size_t before = resident_bytes();
    void *block = malloc(10 * MIB);
    memset(block, 1, 10 * MIB);
    free(block);
    (void)malloc_trim(4 * MIB);
    size_t kept = resident_bytes() - before;
    assert_at(kept > 3 * MIB && kept < 5 * MIB, kept);
    assert_int_equal(malloc_trim(0), 1);
}

/* Blocks below the threshold that a program sets have no mapping of their own. */
static void test_mallopt_moves_the_threshold_of_mappings(void **state)
{
    (void)state;
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, 512 << 20), 1);
    size_t n_mapped = mallinfo2().hblks;
    void *below = malloc(400 * MIB);
    assert_int_equal(mallinfo2().hblks, n_mapped);
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, 32 << 20), 1);
    void *above = malloc(600 * MIB);
    assert_int_equal(mallinfo2().hblks, n_mapped + 1);
    assert_true(below != NULL && above != NULL);
    free(below);
    free(above);
    assert_int_equal(mallinfo2().hblks, n_mapped);
    assert_int_equal(mallopt(M_MMAP_THRESHOLD, -1), 1); /* never */
    void *anywhere = malloc(700 * MIB);
    assert_non_null(anywhere);
    assert_int_equal(mallinfo2().hblks, n_mapped);
    assert_null(malloc(opaque((size_t)1 << 48)));
    assert_null(calloc(opaque(PTRDIFF_MAX), 1));
    free(anywhere);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest rules[] = {
        cmocka_unit_test(test_classes_waste_an_eighth_at_most),
        cmocka_unit_test(test_an_eighth_is_wasted_or_less_than_two_pages),
        cmocka_unit_test(test_functions_are_distinct),
        cmocka_unit_test(test_names_of_old_libcs_share_the_heap),
        cmocka_unit_test(test_trim_leaves_as_much_as_it_is_told),
        cmocka_unit_test(test_mallopt_moves_the_threshold_of_mappings),
    };
    return CHECK_RULES(rules, argc, argv);
}
