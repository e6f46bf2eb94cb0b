/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "fake_sys.h"
#include "os/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/poolalloc-log-XXXXXX";
static char file[sizeof folder + 32];
static char pattern[sizeof folder + 32];

static int make_folder(void **state)
{
    (void)state;
    check(mkdtemp(folder) != NULL);
    (void)snprintf(pattern, sizeof pattern, "%s/%%p.log", folder);
    (void)snprintf(file, sizeof file, "%s/%d.log", folder, getpid());
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(file);
    return rmdir(folder);
}

static int no_log(void **state)
{
    (void)state;
    log_open("");
    return 0;
}

static const char *in_file(void)
{
    static char content[1024];
    int fd = open(file, O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, content, sizeof content - 1) : 0;
    content[n] = '\0';
    if (fd >= 0)
        (void)close(fd);
    return content;
}

/* What comes to fd 2 of a warning, with the log where it is by now. */
static const char *warned(const char *word)
{
    fake_capture_begin(SIZE_MAX);
    log_warn(word, NULL, NULL);
    return fake_capture_end();
}

static void test_warnings(void **state)
{
    (void)state;
    fake_capture_begin(SIZE_MAX);
    log_warn("a", "b", "c");
    log_warn("only", NULL, NULL);
    log_warn("a", NULL, "c");
    check(strcmp(fake_capture_end(), "poolalloc: abc\npoolalloc: only\npoolalloc: ac\n") == 0);
}

static void test_a_long_warning_is_one_whole_line(void **state)
{
    (void)state;
    char word[400];
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    fake_capture_begin(SIZE_MAX);
    log_warn(word, word, word);
    const char *line = fake_capture_end();
    check_equal(strlen(line), 256);
    check(line[255] == '\n');
    check(strchr(line, '\n') == line + 255);
}

static void test_lines_go_to_both(void **state)
{
    (void)state;
    log_open(pattern);
    check(strcmp(warned("one"), "poolalloc: one\n") == 0);
    check(strcmp(warned("two"), "poolalloc: two\n") == 0);
    check(strcmp(in_file(), "poolalloc: one\npoolalloc: two\n") == 0);
}

static void test_a_file_that_is_there_is_written_on(void **state)
{
    (void)state;
    check(strcmp(in_file(), "poolalloc: one\npoolalloc: two\n") == 0);
    log_open(pattern);
    (void)warned("three");
    check(strcmp(in_file(), "poolalloc: one\npoolalloc: two\npoolalloc: three\n") == 0);
}

static void test_a_file_that_is_moved_is_begun_anew(void **state)
{
    (void)state;
    check(unlink(file) == 0);
    log_open(pattern);
    (void)warned("four");
    check(strcmp(in_file(), "poolalloc: four\n") == 0);
}

/* Nobody reads from it: neither waits for anybody nor fails. */
static void test_a_pipe_without_a_reader(void **state)
{
    (void)state;
    check(unlink(file) == 0 && mkfifo(file, 0600) == 0);
    log_open(pattern);
    check(strcmp(warned("five"), "poolalloc: five\n") == 0);
}

/* A program has put a file of its own there. */
static void test_warnings_are_for_the_stderr_of_the_start(void **state)
{
    (void)state;
    char other[sizeof file];
    (void)snprintf(other, sizeof other, "%s/other", folder);
    log_open(pattern);
    log_remember_stderr();
    int kept = dup(2);
    int fd = open(other, O_WRONLY | O_CREAT | O_APPEND, 0600);
    check(unlink(file) == 0 && dup2(fd, 2) == 2);
    bool is_quiet = *warned("seven") == '\0';
    check(dup2(kept, 2) == 2 && close(kept) == 0 && close(fd) == 0 && unlink(other) == 0);
    check(is_quiet);
    check(strcmp(in_file(), "poolalloc: seven\n") == 0);
    check(strcmp(warned("eight"), "poolalloc: eight\n") == 0);
}

static void test_what_cannot_be_opened_is_left_out(void **state)
{
    (void)state;
    log_open("/nowhere/at/all/%p");
    check(strcmp(warned("six"), "poolalloc: six\n") == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_a_long_warning_is_one_whole_line),
        cmocka_unit_test_teardown(test_lines_go_to_both, no_log),
        cmocka_unit_test_teardown(test_a_file_that_is_there_is_written_on, no_log),
        cmocka_unit_test_teardown(test_a_file_that_is_moved_is_begun_anew, no_log),
        cmocka_unit_test_teardown(test_a_pipe_without_a_reader, no_log),
        cmocka_unit_test_teardown(test_warnings_are_for_the_stderr_of_the_start, no_log),
        cmocka_unit_test_teardown(test_what_cannot_be_opened_is_left_out, no_log),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
