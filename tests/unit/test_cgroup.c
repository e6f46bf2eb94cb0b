/* SPDX-License-Identifier: MIT */
/*
 * Control groups as they are read: a tree of files in a folder of our own stands for /proc and
 * /sys.
 */
#include "fake_sys.h"
#include "os/sys.h"
#include "pressure/cgroup.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define V2 "/sys/fs/cgroup"
#define V1 "/sys/fs/cgroup/memory"

static char folder[64];

static int tree_make(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "cgroup_test.XXXXXX");
    check(mkdtemp(folder) != NULL);
    fake_root(folder);
    return 0;
}

static int tree_remove(void **state)
{
    (void)state;
    char command[128];
    fake_root(NULL);
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
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
    check(f != NULL);
    check(fputs(text, f) >= 0);
    check(fclose(f) == 0);
}

static void check_nearest(uint64_t limit_bytes, uint64_t used_bytes)
{
    struct cgroup_use use = cgroup_nearest();
    check_equal(use.limit_bytes, limit_bytes);
    check_equal(use.used_bytes, used_bytes);
}

static void test_nothing_is_known_without_files(void **state)
{
    (void)state;
    check_equal(cgroup_limit(), CGROUP_NO_LIMIT);
    check_equal(cgroup_nearest().limit_bytes, CGROUP_NO_LIMIT);
    check_equal(process_resident(), 0);
    check(cgroup_open_pressure() == -ENOENT);
}

static void test_the_smallest_limit_above_a_group_counts(void **state)
{
    (void)state;
    file("/proc/self/cgroup", "0::/a.slice/b.slice/c\n");
    file(V2 "/a.slice/b.slice/c/memory.max", "max\n");
    file(V2 "/a.slice/b.slice/c/memory.high", "max\n");
    file(V2 "/a.slice/b.slice/memory.max", "900000000\n");
    file(V2 "/a.slice/b.slice/memory.high", "800000000\n");
    file(V2 "/a.slice/b.slice/memory.stat", "anon 12345\nfile 99\n");
    file(V2 "/a.slice/memory.max", "1000000000\n");
    check_equal(cgroup_limit(), 800000000);
    check_nearest(800000000, 12345);
    file(V2 "/a.slice/b.slice/c/memory.max", "700000000\n");
    check_equal(cgroup_limit(), 700000000);
    check_nearest(700000000, 0);
    file(V2 "/a.slice/memory.max", "4096\n");
    check_equal(cgroup_limit(), 4096);
}

static void test_the_group_that_has_least_left_is_near(void **state)
{
    (void)state;
    file("/proc/self/cgroup", "0::/a.slice/b\n");
    file(V2 "/a.slice/b/memory.max", "1000000000\n");
    file(V2 "/a.slice/b/memory.stat", "anon 10000000\n");
    file(V2 "/a.slice/memory.max", "2000000000\n");
    file(V2 "/a.slice/memory.stat", "anon 1500000000\nfile 7\nkernel 8\nshmem 490000000\n");
    check_equal(cgroup_limit(), 1000000000);
    check_nearest(2000000000, 1990000000);
    file(V2 "/a.slice/b/memory.stat", "anon 995000000\n");
    check_nearest(1000000000, 995000000);
    file(V2 "/a.slice/b/memory.stat", "anon 1200000000\n");
    check_nearest(1000000000, 1200000000);
    file(V2 "/a.slice/memory.max", "0\n");
    check_equal(cgroup_limit(), 0);
}

static void test_a_namespace_shows_its_group_as_the_topmost(void **state)
{
    (void)state;
    file("/proc/self/cgroup", "0::/\n");
    file(V2 "/memory.max", "268435456\n");
    file(V2 "/memory.stat", "anon 1\n");
    check_equal(cgroup_limit(), 268435456);
    check_nearest(268435456, 1);
    file("/proc/self/cgroup", "0::/../other\n");
    check_equal(cgroup_limit(), 268435456);
    file("/proc/self/cgroup", "0::/not/there\n");
    check_equal(cgroup_limit(), 268435456);
}

static void test_version_1_is_read(void **state)
{
    (void)state;
    file("/proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/docker/x\n1:memoryless:/no\n0::/\n");
    file(V1 "/docker/x/memory.limit_in_bytes", "536870912\n");
    file(V1 "/docker/x/memory.stat",
         "cache 7\nrss 8\ntotal_cache 9\ntotal_rss 4321\ntotal_shmem 1000\n");
    file(V1 "/docker/memory.limit_in_bytes", "9223372036854771712\n");
    file(V1 "/memory.limit_in_bytes", "9223372036854771712\n");
    check_equal(cgroup_limit(), 536870912);
    check_nearest(536870912, 5321);
    file(V1 "/docker/x/memory.limit_in_bytes", "9223372036854771712\n");
    check_equal(cgroup_limit(), CGROUP_NO_LIMIT);
    check_nearest(CGROUP_NO_LIMIT, 0);
}

static void test_a_container_of_version_1_has_its_group_at_the_top(void **state)
{
    (void)state;
    file("/proc/self/cgroup", "4:memory:/docker/x\n");
    file(V1 "/memory.limit_in_bytes", "33554432\n");
    check_equal(cgroup_limit(), 33554432);
}

static void test_version_1_has_the_memory_if_it_has_any(void **state)
{
    (void)state;
    file("/proc/self/cgroup", "4:memory:/one\n0::/two\n");
    file(V1 "/one/memory.limit_in_bytes", "50000000\n");
    file(V2 "/two/memory.high", "40000000\n");
    check_equal(cgroup_limit(), 50000000);
    file("/proc/self/cgroup", "4:cpu:/one\n0::/two\n");
    check_equal(cgroup_limit(), 40000000);
}

static void test_what_makes_no_sense_is_no_limit(void **state)
{
    (void)state;
    static const char *const lines[] = {"",        "\n", "0", "0:", "0::", ":::", "0::relative\n",
                                        "4:memory"};
    static const char *const numbers[] = {"",  "\n", "-1\n", "max", "99999999999999999999999\n",
                                          "x1"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        file("/proc/self/cgroup", lines[i]);
        check_equal(cgroup_limit(), CGROUP_NO_LIMIT);
    }
    file("/proc/self/cgroup", "0::/g\n");
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        file(V2 "/g/memory.max", numbers[i]);
        check_equal(cgroup_limit(), CGROUP_NO_LIMIT);
    }
    file(V2 "/g/memory.max", "123456");
    check_equal(cgroup_limit(), 123456);
}

/* A link that leads nowhere but to itself: there, but not to be opened. */
static void refused(const char *name)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s%s", folder, name);
    check(unlink(path) == 0 && symlink(strrchr(path, '/') + 1, path) == 0);
}

static void test_what_cannot_be_read_is_known(void **state)
{
    (void)state;
    check(cgroup_limit() == CGROUP_NO_LIMIT && !cgroup_is_read());
    file("/proc/self/cgroup", "0::/a/b\n");
    check(cgroup_limit() == CGROUP_NO_LIMIT && !cgroup_is_read());
    file(V2 "/a/memory.max", "max\n");
    check(cgroup_limit() == CGROUP_NO_LIMIT && cgroup_is_read());
    file(V2 "/a/b/memory.max", "7000\n");
    check(cgroup_limit() == 7000 && cgroup_is_read());
    check(cgroup_nearest().limit_bytes == 7000 && cgroup_is_read());
    refused(V2 "/a/memory.max");
    check(cgroup_limit() == 7000 && !cgroup_is_read());
    refused("/proc/self/cgroup");
    check(cgroup_nearest().limit_bytes == CGROUP_NO_LIMIT && !cgroup_is_read());
}

static void test_a_very_long_name_is_passed_over(void **state)
{
    (void)state;
    char line[3000];
    memset(line, 'x', sizeof line);
    memcpy(line, "0::/", 4);
    line[sizeof line - 1] = '\0';
    file("/proc/self/cgroup", line);
    check_equal(cgroup_limit(), CGROUP_NO_LIMIT);
}

static void test_resident_memory_is_read(void **state)
{
    (void)state;
    file("/proc/self/statm", "1000 20 3 4 5 6 7\n");
    check_equal(process_resident(), 20 * (uint64_t)sysconf(_SC_PAGESIZE));
}

static void test_the_groups_own_pressure_comes_first(void **state)
{
    (void)state;
    file("/proc/self/cgroup", "0::/g\n");
    file("/proc/pressure/memory", "machine");
    char text[16] = "";
    long fd = cgroup_open_pressure();
    check(fd >= 0 && sys_read((int)fd, text, sizeof text) == 7 && text[0] == 'm');
    check(sys_close((int)fd) == 0);
    file(V2 "/unified/g/memory.pressure", "hybrid");
    fd = cgroup_open_pressure();
    check(fd >= 0 && sys_read((int)fd, text, sizeof text) == 6 && text[0] == 'h');
    check(sys_close((int)fd) == 0);
    file(V2 "/g/memory.pressure", "group");
    fd = cgroup_open_pressure();
    check(fd >= 0 && sys_read((int)fd, text, sizeof text) == 5 && text[0] == 'g');
    check(sys_close((int)fd) == 0);
}

#define tree_test(f) cmocka_unit_test_setup_teardown(f, tree_make, tree_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        tree_test(test_nothing_is_known_without_files),
        tree_test(test_the_smallest_limit_above_a_group_counts),
        tree_test(test_the_group_that_has_least_left_is_near),
        tree_test(test_a_namespace_shows_its_group_as_the_topmost),
        tree_test(test_version_1_is_read),
        tree_test(test_a_container_of_version_1_has_its_group_at_the_top),
        tree_test(test_version_1_has_the_memory_if_it_has_any),
        tree_test(test_what_makes_no_sense_is_no_limit),
        tree_test(test_what_cannot_be_read_is_known),
        tree_test(test_a_very_long_name_is_passed_over),
        tree_test(test_resident_memory_is_read),
        tree_test(test_the_groups_own_pressure_comes_first),
    };
    return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
