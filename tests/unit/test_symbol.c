/* SPDX-License-Identifier: MIT */
#include "os/process.h"
#include "unit.h"

#include <dlfcn.h>
#include <sys/auxv.h>
#include <time.h>

/* The modules are part of this program, so what comes after them is what comes after it. */
static void test_functions_of_libc_are_found_as_dlsym_finds_them(void **state)
{
    (void)state;
    static const char *const names[] = {"sigaction", "open", "getpid", "pthread_create", "qsort"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        check(os_next_function(names[i]) != NULL);
        check(os_next_function(names[i]) == dlsym(RTLD_NEXT, names[i]));
    }
}

static void test_functions_of_other_libraries_are_found(void **state)
{
    (void)state;
    check(os_next_function("_cmocka_run_group_tests") ==
          dlsym(RTLD_NEXT, "_cmocka_run_group_tests"));
}

static void test_what_is_no_function_or_not_there_is_not_found(void **state)
{
    (void)state;
    check(os_next_function("no_such_function_anywhere") == NULL);
    check(os_next_function("environ") == NULL);
    check(os_next_function("") == NULL);
    check(os_next_function("main") == NULL); /* ours does not count */
}

static void test_functions_of_the_kernel(void **state)
{
    (void)state;
    check(os_kernel_function("no_such_function_anywhere") == NULL);
    check(os_kernel_function("") == NULL);
#ifdef __x86_64__
    time_t (*now)(time_t *) = (time_t(*)(time_t *))(uintptr_t)os_kernel_function("__vdso_time");
    if (getauxval(AT_SYSINFO_EHDR) == 0) {
        check(now == NULL);
        return;
    }
    time_t before = time(NULL);
    time_t there = now(NULL);
    check(before <= there && there <= time(NULL));
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions_of_libc_are_found_as_dlsym_finds_them),
        cmocka_unit_test(test_functions_of_other_libraries_are_found),
        cmocka_unit_test(test_what_is_no_function_or_not_there_is_not_found),
        cmocka_unit_test(test_functions_of_the_kernel),
    };
    return cmocka_run_group_tests_name("symbol", tests, NULL, NULL);
}
