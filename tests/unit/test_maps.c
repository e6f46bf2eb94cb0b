/* SPDX-License-Identifier: MIT */
/* What the kernel says in files; a folder of our own stands for /proc and /sys. */
#include "os/maps.h"

#include "fake_sys.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ENABLED "/sys/kernel/mm/transparent_hugepage/enabled"
#define ROLLUP  "/proc/self/smaps_rollup"
#define MAX     "/proc/sys/vm/max_map_count"

static char folder[] = "maps_test.XXXXXX";

static int tree_make(void **state)
{
    (void)state;
    (void)memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    check(mkdtemp(folder) != NULL);
    fake_root(folder);
    return 0;
}

static int tree_remove(void **state)
{
    (void)state;
    char command[128];
    fake_root(NULL);
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static void file(const char *name, const char *text)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s%s", folder, name);
    for (char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        check(mkdir(path, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *f = fopen(path, "w");
    check(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void test_for_whom_the_system_has_huge_pages(void **state)
{
    (void)state;
    check_equal(os_huge_system(), OS_HUGE_NEVER);
    file(ENABLED, "");
    check_equal(os_huge_system(), OS_HUGE_NEVER);
    file(ENABLED, "always madvise [never]\n");
    check_equal(os_huge_system(), OS_HUGE_NEVER);
    file(ENABLED, "always [madvise] never\n");
    check_equal(os_huge_system(), OS_HUGE_IF_ADVISED);
    file(ENABLED, "[always] madvise never\n");
    check_equal(os_huge_system(), OS_HUGE_ALWAYS);
}

static void test_what_huge_pages_hold(void **state)
{
    (void)state;
    uint64_t bytes = 7;
    check(!os_huge_bytes(&bytes));
    file(ROLLUP, "5581 ---p 0 00:00 0     [rollup]\nRss:    1234 kB\nShmemPmdMapped:  8 kB\n");
    check(!os_huge_bytes(&bytes));
    check_equal(bytes, 7);
    file(ROLLUP, "5581 ---p 0 00:00 0     [rollup]\nRss:    1234 kB\nAnonHugePages:    409600 kB\n"
                 "ShmemPmdMapped:  8 kB\n");
    check(os_huge_bytes(&bytes));
    check_equal(bytes, UINT64_C(409600) * 1024);
}

static void test_what_huge_pages_hold_of_this_process(void **state)
{
    (void)state;
    uint64_t bytes = 1;
    fake_root(NULL);
    if (os_huge_bytes(&bytes)) /* since Linux 4.14 */
        check_equal(bytes % 1024, 0);
}

static void test_how_many_mappings_there_may_be(void **state)
{
    (void)state;
    check_equal(os_maps_max(), 65530);
    file(MAX, "262144\n");
    check_equal(os_maps_max(), 262144);
    file(MAX, "none\n");
    check_equal(os_maps_max(), 65530);
}

int main(void)
{
#define maps_test(test) cmocka_unit_test_setup_teardown(test, tree_make, tree_remove)
    const struct CMUnitTest tests[] = {
        maps_test(test_for_whom_the_system_has_huge_pages),
        maps_test(test_what_huge_pages_hold),
        maps_test(test_what_huge_pages_hold_of_this_process),
        maps_test(test_how_many_mappings_there_may_be),
    };
    return cmocka_run_group_tests_name("maps", tests, NULL, NULL);
}
