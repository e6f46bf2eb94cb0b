/* SPDX-License-Identifier: MIT */
/*
 * The descriptor that memory pressure is heard through: every kind of file there is, what is
 * written to it, and that the program's descriptors are left alone.
 */
#include "fake_sys.h"
#include "os/sys.h"
#include "pressure/watch.h"
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { HIGH_FD = 101 };

static char folder[64];
static char path[128];

static void enter_folder(const char *name)
{
    (void)snprintf(folder, sizeof folder, "/tmp/watch_test.XXXXXX");
    check(mkdtemp(folder) != NULL);
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
}

static void leave_folder(void)
{
    (void)unlink(path);
    (void)rmdir(folder);
}

/* The only descriptor of this process from HIGH_FD on, or -1. */
static int high_fd(void)
{
    int found = -1;
    for (int fd = HIGH_FD; fd < 1024; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            continue;
        check(found < 0);
        check((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        found = fd;
    }
    return found;
}

static size_t n_low_fds(void)
{
    size_t n = 0;
    for (int fd = 0; fd < HIGH_FD; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static size_t read_all(const char *name, char *text, size_t bytes)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    check(fd >= 0);
    ssize_t n = read(fd, text, bytes);
    check(n >= 0);
    check(close(fd) == 0);
    return (size_t)n;
}

/* ---- kinds ---- */

static void body_regular(void *argument)
{
    (void)argument;
    static const char words[] = "some 100 200\0\xff";
    char text[64];
    enter_folder("pressure");
    check(close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) == 0);
    fake_kernels_files();
    size_t n_low = n_low_fds();
    check(watch_init(path, "c29tZSAxMDAgMjAwAP8="));
    check(high_fd() < 0); /* not yet */
    watch_open();
    check(high_fd() >= HIGH_FD && n_low_fds() == n_low);
    check_equal(read_all(path, text, sizeof text), 14);
    check(memcmp(text, words, 14) == 0);
    check(!watch_poll());
    fake_poll_once(POLLPRI);
    check(watch_poll());
    check(!watch_poll());
    check_equal((size_t)lseek(high_fd(), 0, SEEK_CUR), 14); /* it was not read from */
    fake_poll_once(POLLPRI);
    check(watch_wait(10000) && watch_wait(0)); /* and does not spin until it is taken note of */
    check(watch_poll());
    check(!watch_poll());
    fake_poll(POLLPRI | POLLERR); /* the group has gone */
    check(!watch_wait(0));
    check(!watch_poll());
    check(high_fd() < 0);
    check(!watch_poll());
    watch_open();
    check(high_fd() < 0);
    leave_folder();
}

static void test_a_file_of_the_kernels_is_polled_and_never_read(void **state)
{
    (void)state;
    child_passes(body_regular, NULL);
}

static void body_plain(void *argument)
{
    (void)argument;
    char text[64];
    enter_folder("plain");
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    check(fd >= 0 && write(fd, "precious", 8) == 8 && close(fd) == 0);
    check(watch_init(path, "aGVsbG8="));
    watch_open();
    check(high_fd() < 0 && !watch_poll());
    check(read_all(path, text, sizeof text) == 8 && memcmp(text, "precious", 8) == 0);
    leave_folder();
}

static void test_a_plain_file_is_left_alone(void **state)
{
    (void)state;
    child_passes(body_plain, NULL);
}

static void body_fifo(void *argument)
{
    enter_folder("fifo");
    check(mkfifo(path, 0600) == 0);
    check(watch_init(path, argument));
    watch_open();
    check(high_fd() >= HIGH_FD);
    check(!watch_poll()); /* no words of our own */
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    check(write(fd, "xyz", 3) == 3);
    check(watch_poll());
    check(!watch_poll()); /* it was read away */
    check(close(fd) == 0);
    check(!watch_poll());
    check(high_fd() >= HIGH_FD);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    check(write(fd, "x", 1) == 1);
    check(watch_wait(10000) && watch_wait(0)); /* and does not spin until it is taken note of */
    check(watch_poll());
    check(!watch_poll() && !watch_wait(0));
    leave_folder();
}

static void test_a_fifo_is_read_away(void **state)
{
    (void)state;
    child_passes(body_fifo, NULL);
    child_passes(body_fifo, (void *)(uintptr_t) "aGVsbG8=");
}

/* For others than its owner, too. */
static void body_read_only_fifo(void *argument)
{
    (void)argument;
    enter_folder("fifo");
    bool is_root = geteuid() == 0;
    check(chmod(folder, 0755) == 0 && mkfifo(path, 0600) == 0 && chmod(path, 0444) == 0);
    check(watch_init(path, "aGVsbG8="));
    check(!is_root || seteuid(65534) == 0);
    watch_open();
    check(!is_root || seteuid(0) == 0);
    check(high_fd() >= HIGH_FD);
    check((fcntl(high_fd(), F_GETFL) & O_ACCMODE) == O_RDONLY);
    check(!watch_poll() && chmod(path, 0644) == 0);
    for (int i = 0; i < 3; i++) { /* one after the other come and go */
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        check(fd >= 0 && write(fd, "xyz", 3) == 3);
        check(watch_wait(10000));
        check(close(fd) == 0);
        check(watch_poll());
        check(!watch_wait(0));
        check(!watch_poll() && high_fd() >= HIGH_FD);
    }
    leave_folder();
}

static void test_a_fifo_outlives_who_writes_to_it(void **state)
{
    (void)state;
    child_passes(body_read_only_fifo, NULL);
}

static int listener(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    check(listen(fd, 1) == 0);
    return fd;
}

static void body_socket(void *argument)
{
    (void)argument;
    char text[16];
    enter_folder("socket");
    int fd = listener();
    check(watch_init(path, "aGVsbG8="));
    watch_open();
    check(high_fd() >= HIGH_FD);
    int other = accept(fd, NULL, NULL);
    check(other >= 0 && read(other, text, sizeof text) == 5 && memcmp(text, "hello", 5) == 0);
    check(!watch_poll());
    check(write(other, "now", 3) == 3);
    check(watch_poll());
    check(!watch_poll());
    fake_poll_once(POLLIN); /* another thread reads it before we do */
    check(watch_wait(10000));
    check(!watch_poll());
    check(write(other, "now", 3) == 3 && watch_wait(10000));
    check(watch_poll());
    check(!watch_poll());
    check(close(other) == 0);
    check(watch_wait(10000));
    check(!watch_poll()); /* to end is to say nothing */
    check(high_fd() < 0);
    leave_folder();
}

static void test_a_socket_is_connected_to(void **state)
{
    (void)state;
    child_passes(body_socket, NULL);
}

static int connect_now(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    check(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    check(errno == EAGAIN && close(fd) == 0);
    return -1;
}

static void body_busy_socket(void *argument)
{
    (void)argument;
    char text[16];
    enter_folder("socket");
    int fd = listener();
    int n = 0;
    while (connect_now() >= 0)
        n++;
    size_t n_low = n_low_fds();
    check(watch_init(path, "aGVsbG8="));
    for (int i = 0; i < 3; i++) {
        watch_open();
        check(!watch_poll() && high_fd() < 0 && n_low_fds() == n_low);
    }
    for (; n > 0; n--)
        check(accept(fd, NULL, NULL) >= 0);
    watch_open();
    check(high_fd() >= HIGH_FD);
    int other = accept(fd, NULL, NULL);
    check(other >= 0 && read(other, text, sizeof text) == 5 && memcmp(text, "hello", 5) == 0);
    leave_folder();
}

static void test_a_busy_socket_is_tried_again(void **state)
{
    (void)state;
    child_passes(body_busy_socket, NULL);
}

static void body_gone_socket(void *argument)
{
    (void)argument;
    enter_folder("socket");
    int fd = listener();
    check(close(fd) == 0);
    check(watch_init(path, "aGVsbG8="));
    watch_open();
    check(high_fd() < 0 && !watch_poll());
    leave_folder();
}

static void test_a_socket_that_nobody_serves_is_left(void **state)
{
    (void)state;
    child_passes(body_gone_socket, NULL);
}

/* ---- the variables ---- */

static void body_off(void *argument)
{
    (void)argument;
    check(!watch_init("/dev/null", "aGVsbG8="));
    watch_open();
    check(high_fd() < 0 && !watch_poll());
}

static void test_dev_null_means_no_watch_at_all(void **state)
{
    (void)state;
    child_passes(body_off, NULL);
}

static void body_bad(void *argument)
{
    const char *const *values = argument;
    fake_capture_begin(100);
    check(!watch_init(values[0], values[1]));
    check(strstr(fake_capture_end(), "MEMORY_PRESSURE_WATCH") != NULL);
}

static void test_bad_values_are_ignored_with_a_warning(void **state)
{
    (void)state;
    static char long_path[5000];
    memset(long_path, '/', sizeof long_path - 1);
    const char *values[][2] = {
        {"relative", NULL}, {long_path, NULL}, {"/x", "*"}, {"/x", "aGVs=G8="}, {"/x", "aG Vs"}};
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        child_passes(body_bad, (void *)values[i]);
}

static void body_none(void *argument)
{
    (void)argument;
    check(!watch_init(NULL, "aGVsbG8="));
    check(!watch_init("", NULL));
}

static void test_no_variable_asks_for_nothing(void **state)
{
    (void)state;
    child_passes(body_none, NULL);
}

static void body_own_trigger(void *argument)
{
    (void)argument;
    char text[64];
    enter_folder("proc");
    check(mkdir(path, 0700) == 0);
    char name[256];
    (void)snprintf(name, sizeof name, "%s/pressure", path);
    check(mkdir(name, 0700) == 0);
    (void)snprintf(name, sizeof name, "%s/pressure/memory", path);
    check(close(open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) == 0);
    fake_root(folder);
    fake_kernels_files();
    watch_open();
    fake_root(NULL);
    check(high_fd() >= HIGH_FD);
    size_t n = read_all(name, text, sizeof text);
    check(n > 0 && text[n - 1] == '\0' && strncmp(text, "some ", 5) == 0);
    (void)unlink(name);
    (void)snprintf(name, sizeof name, "%s/pressure", path);
    (void)rmdir(name);
    (void)rmdir(path);
    leave_folder();
}

static void test_without_variables_the_machines_trigger_is_set(void **state)
{
    (void)state;
    child_passes(body_own_trigger, NULL);
}

/* ---- the program's descriptors ---- */

static int watch_fifo(void)
{
    enter_folder("fifo");
    check(mkfifo(path, 0600) == 0);
    check(watch_init(path, NULL));
    watch_open();
    return high_fd();
}

static void body_closed(void *argument)
{
    (void)argument;
    int fd = watch_fifo();
    check(close(fd) == 0);
    check(!watch_poll());
    watch_open();
    check(high_fd() < 0); /* for good */
    leave_folder();
}

static void test_a_descriptor_that_was_closed_is_let_go(void **state)
{
    (void)state;
    child_passes(body_closed, NULL);
}

static void body_reused(void *argument)
{
    (void)argument;
    int fd = watch_fifo();
    int pipes[2];
    check(pipe(pipes) == 0 && dup3(pipes[0], fd, O_CLOEXEC) == fd);
    check(write(pipes[1], "mine", 4) == 4);
    check(!watch_poll());
    watch_forget();
    char text[16];
    check(read(fd, text, sizeof text) == 4); /* neither read nor closed */
    leave_folder();
}

static void test_a_descriptor_that_was_reused_is_left_alone(void **state)
{
    (void)state;
    child_passes(body_reused, NULL);
}

static void body_forked(void *argument)
{
    (void)argument;
    int fd = watch_fifo();
    watch_forget();
    check(high_fd() < 0);
    watch_open();
    check(high_fd() == fd);
    leave_folder();
}

static void test_a_child_opens_its_own(void **state)
{
    (void)state;
    child_passes(body_forked, NULL);
}

int main(void)
{
    for (int fd = HIGH_FD; fd < 1024; fd++)
        (void)close(fd); /* whoever started us left it open */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_of_the_kernels_is_polled_and_never_read),
        cmocka_unit_test(test_a_plain_file_is_left_alone),
        cmocka_unit_test(test_a_fifo_is_read_away),
        cmocka_unit_test(test_a_fifo_outlives_who_writes_to_it),
        cmocka_unit_test(test_a_socket_is_connected_to),
        cmocka_unit_test(test_a_busy_socket_is_tried_again),
        cmocka_unit_test(test_a_socket_that_nobody_serves_is_left),
        cmocka_unit_test(test_dev_null_means_no_watch_at_all),
        cmocka_unit_test(test_bad_values_are_ignored_with_a_warning),
        cmocka_unit_test(test_no_variable_asks_for_nothing),
        cmocka_unit_test(test_without_variables_the_machines_trigger_is_set),
        cmocka_unit_test(test_a_descriptor_that_was_closed_is_let_go),
        cmocka_unit_test(test_a_descriptor_that_was_reused_is_left_alone),
        cmocka_unit_test(test_a_child_opens_its_own),
    };
    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
