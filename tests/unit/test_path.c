/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "os/path.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void test_what_is_not_a_percent_stays(void **state)
{
    (void)state;
    struct path path;
    check(path_expand(&path, "/a b/c.txt", 7));
    check(strcmp(path.name, "/a b/c.txt") == 0);
    check(path_expand(&path, "", 7));
    check(strcmp(path.name, "") == 0);
}

static void test_process_program_and_number(void **state)
{
    (void)state;
    struct path path;
    char expected[PATH_BYTES];
    check(path_expand(&path, "%e.%p.%n", 7));
    (void)snprintf(expected, sizeof expected, "%s.%d.7", program_invocation_short_name, getpid());
    check(strcmp(path.name, expected) == 0);
}

static void test_other_letters_stay(void **state)
{
    (void)state;
    struct path path;
    check(path_expand(&path, "%%n%x%", 7));
    check(strcmp(path.name, "%%n%x%") == 0);
}

static void test_too_long(void **state)
{
    (void)state;
    struct path path;
    char pattern[PATH_BYTES + 1];
    memset(pattern, 'x', PATH_BYTES);
    pattern[PATH_BYTES] = '\0';
    check(!path_expand(&path, pattern, 7));
    pattern[PATH_BYTES - 2] = '\0';
    check(path_expand(&path, pattern, 7));
    check(strcmp(path.name, pattern) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_a_percent_stays),
        cmocka_unit_test(test_process_program_and_number),
        cmocka_unit_test(test_other_letters_stay),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
