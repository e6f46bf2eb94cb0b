/* SPDX-License-Identifier: MIT */
/*
 * Which names there are, and whose. A family of functions from two libraries is worse than none:
 * blocks of one would reach the other. And there are no names that are none of an allocator's
 * business.
 */
#include <dlfcn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contract.h"

static const char *const functions[] = {
    "malloc",        "free",     "calloc", "realloc", "reallocarray",       "posix_memalign",
    "aligned_alloc", "memalign", "valloc", "pvalloc", "malloc_usable_size",
};

static const char *const sized_frees[] = {"free_sized", "free_aligned_sized"};

/* About the heap as a whole: another library's would be about a heap that nobody uses. */
static const char *const views[] = {
    "malloc_trim", "mallopt", "mallinfo", "mallinfo2", "malloc_info", "malloc_stats",
};

/* Other names of the same functions. */
static const char *const aliases[] = {
    "__libc_malloc",   "__libc_free",   "__libc_calloc",  "__libc_realloc",
    "__libc_memalign", "__libc_valloc", "__libc_pvalloc",
};

/* The file of the library that an address is in; "" if there is none. */
static const char *library_of(const void *address)
{
    Dl_info info = {0};
    if (address == NULL || dladdr(address, &info) == 0 || info.dli_fname == NULL)
        return "";
    return info.dli_fname;
}

static const char *home(void)
{
    return library_of(dlsym(RTLD_DEFAULT, "malloc"));
}

/* The C library's. No allocator has a reason to define this one. */
static const char *libc(void)
{
    return library_of(dlsym(RTLD_DEFAULT, "strerror"));
}

static void come_from_home(const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *library = library_of(dlsym(RTLD_DEFAULT, names[i]));
        if (strcmp(library, home()) != 0)
            fail_msg("%s comes from '%s', malloc from %s", names[i], library, home());
    }
}

/* What is preloaded is what is called: a versioned malloc, say, would be passed over in silence. */
static void test_malloc_is_the_preloaded_librarys(void **state)
{
    (void)state;
    const char *preloaded = getenv("LD_PRELOAD");
    assert_string_equal(home(), preloaded != NULL ? preloaded : libc());
}

static void test_functions_come_from_one_library(void **state)
{
    (void)state;
    come_from_home(functions, COUNT_OF(functions));
}

static void test_sized_frees_come_from_it_too(void **state)
{
    (void)state;
    come_from_home(sized_frees, COUNT_OF(sized_frees));
}

static void test_views_of_the_heap_come_from_it_too(void **state)
{
    (void)state;
    come_from_home(views, COUNT_OF(views));
}

static void test_libc_names_come_from_it_too(void **state)
{
    (void)state;
    come_from_home(aliases, COUNT_OF(aliases));
}

/* libc's call malloc and are right; programs define some of them for themselves. */
static void test_what_libc_builds_on_malloc_stays_libcs(void **state)
{
    (void)state;
    static const char *const names[] = {
        "strdup",  "strndup", "realpath",       "asprintf",     "vasprintf",
        "getline", "getcwd",  "open_memstream", "obstack_free", "getdelim",
    };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *library = library_of(dlsym(RTLD_DEFAULT, names[i]));
        if (strcmp(library, libc()) != 0)
            fail_msg("%s comes from '%s'", names[i], library);
    }
}

/* They belong to programs and their portability layers here. */
static void test_names_of_other_systems_are_left_alone(void **state)
{
    (void)state;
    static const char *const names[] = {
        "reallocf", "reallocarr",      "malloc_size",        "malloc_good_size", "vfree",
        "recalloc", "_aligned_malloc", "_aligned_free",      "_aligned_realloc", "_recalloc",
        "_msize",   "_expand",         "malloc_zone_malloc",
    };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const void *function = dlsym(RTLD_DEFAULT, names[i]);
        if (function != NULL)
            fail_msg("%s is defined in %s", names[i], library_of(function));
    }
}

/* Plugins bring allocators along: the loader has little room for thread-locals of libraries that
 * come late. This program starts itself without the preload and opens the library. */
static void test_it_can_be_opened_late(void **state)
{
    (void)state;
    const char *late = getenv("CONTRACT_LATE");
    const char *preloaded = getenv("LD_PRELOAD");
    if (late != NULL) {
        if (dlopen(late, RTLD_NOW) == NULL)
            fail_msg("%s", dlerror());
        return;
    }
    if (preloaded == NULL)
        return; /* libc is there already */
    pid_t pid = fork();
    if (pid == 0) {
        (void)setenv("CONTRACT_LATE", preloaded, 1);
        (void)unsetenv("LD_PRELOAD");
        (void)execl("/proc/self/exe", "names_test", "it_can_be_opened_late", (char *)NULL);
        _exit(127);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest rules[] = {
        cmocka_unit_test(test_malloc_is_the_preloaded_librarys),
        cmocka_unit_test(test_functions_come_from_one_library),
        cmocka_unit_test(test_sized_frees_come_from_it_too),
        cmocka_unit_test(test_views_of_the_heap_come_from_it_too),
        cmocka_unit_test(test_libc_names_come_from_it_too),
        cmocka_unit_test(test_what_libc_builds_on_malloc_stays_libcs),
        cmocka_unit_test(test_names_of_other_systems_are_left_alone),
        cmocka_unit_test(test_it_can_be_opened_late),
    };
    return CHECK_RULES(rules, argc, argv);
}
