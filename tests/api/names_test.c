/* SPDX-License-Identifier: MIT */
/*
 * A family of functions from two libraries is worse than none: blocks of one would reach the other.
 * And each has an address of its own, for tools that tell calls apart by address.
 */
#include <dlfcn.h>
#include <string.h>

#include "contract.h"

static const char *const names[] = {
    "malloc",         "free",
    "calloc",         "realloc",
    "reallocarray",   "free_sized",
    "cfree",          "free_aligned_sized",
    "posix_memalign", "memalign",
    "aligned_alloc",  "valloc",
    "pvalloc",        "malloc_usable_size",
    "malloc_trim",    "mallopt",
    "mallinfo",       "mallinfo2",
    "malloc_info",    "malloc_stats",
};

/* Other names of the same functions. */
static const char *const aliases[] = {
    "__libc_malloc",   "__libc_free",   "__libc_calloc",  "__libc_realloc",   "__libc_cfree",
    "__libc_memalign", "__libc_valloc", "__libc_pvalloc", "__posix_memalign",
};

static void comes_from(const char *name, const char *library)
{
    Dl_info info = {0};
    void *address = dlsym(RTLD_DEFAULT, name);
    if (address == NULL || dladdr(address, &info) == 0 || info.dli_fname == NULL)
        fail_msg("%s is missing", name);
    else if (strcmp(info.dli_fname, library) != 0)
        fail_msg("%s comes from %s, malloc from %s", name, info.dli_fname, library);
}

static void test_all_come_from_one_library(void **state)
{
    (void)state;
    Dl_info home = {0};
    assert_int_not_equal(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &home), 0);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        comes_from(names[i], home.dli_fname);
    for (size_t i = 0; i < COUNT_OF(aliases); i++)
        comes_from(aliases[i], home.dli_fname);
}

/* What is preloaded is what is called: a versioned malloc, say, would be passed over in silence. */
static void test_they_come_from_the_preloaded_library(void **state)
{
    (void)state;
    const char *preloaded = getenv("LD_PRELOAD");
    assert_non_null(preloaded);
    Dl_info info = {0};
    assert_int_not_equal(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info), 0);
    assert_string_equal(info.dli_fname, preloaded);
}

static void test_addresses_are_distinct(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        for (size_t j = 0; j < i; j++) {
            if (dlsym(RTLD_DEFAULT, names[i]) == dlsym(RTLD_DEFAULT, names[j]))
                fail_msg("%s and %s are one function", names[i], names[j]);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest rules[] = {
        cmocka_unit_test(test_all_come_from_one_library),
        cmocka_unit_test(test_they_come_from_the_preloaded_library),
        cmocka_unit_test(test_addresses_are_distinct),
    };
    return CHECK_RULES(rules, argc, argv);
}
