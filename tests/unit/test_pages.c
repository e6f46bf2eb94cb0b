/* SPDX-License-Identifier: MIT */
#include "os/pages.h"

#include "os/calls.h"
#include "os/sys.h"

#include "fake_sys.h"
#include "unit.h"

#include <errno.h>

#define PAGE  ((size_t)4096)
#define BYTES (16 * PAGE)

static int reset(void **state)
{
    (void)state;
    fake_fail_none();
    return 0;
}

static void body_page_size(void *argument)
{
    size_t bytes = *(size_t *)argument;
    fake_auxv_page_bytes(bytes);
    check_equal(os_page_bytes(), bytes);
    fake_auxv_page_bytes(PAGE);
    check_equal(os_page_bytes(), bytes);
}

/* And once asked for, it stays. */
static void test_page_size_is_the_kernels(void **state)
{
    (void)state;
    size_t sizes[] = {4096, 16384, 65536};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        child_passes(body_page_size, &sizes[i]);
}

static void test_new_memory_is_zero_and_at_the_hint(void **state)
{
    (void)state;
    char *p = os_pages_map(NULL, BYTES);
    check(p != NULL && is_zero(p, BYTES));
    os_pages_unmap(p, BYTES);
    check(os_pages_map(p, BYTES) == p);
    os_pages_unmap(p, BYTES);
}

static void test_a_failed_map_is_null(void **state)
{
    (void)state;
    static const int errors[] = {ENOMEM, EPERM, EINVAL};
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        fake_fail_once(FAKE_MAP, 1, errors[i]);
        errno = EXDEV;
        check(os_pages_map(NULL, BYTES) == NULL);
        check_equal((unsigned)errno, EXDEV);
    }
}

/* The real call, too, must report without errno. */
static void test_a_map_that_the_kernel_refuses_is_null(void **state)
{
    (void)state;
    errno = EXDEV;
    check(os_pages_map(NULL, (size_t)1 << 62) == NULL);
    check_equal((unsigned)errno, EXDEV);
}

static void test_what_cannot_be_unmapped_is_discarded(void **state)
{
    (void)state;
    char *p = os_pages_map(NULL, BYTES);
    pattern_fill(p, BYTES, 1);
    fake_fail_once(FAKE_UNMAP, 1, ENOMEM);
    os_pages_unmap(p, BYTES);
    check(is_zero(p, BYTES));
    os_pages_unmap(p, BYTES);
}

static void test_discarded_pages_read_as_zero(void **state)
{
    (void)state;
    char *p = os_pages_map(NULL, BYTES);
    pattern_fill(p, BYTES, 1);
    check(os_pages_discard(p + PAGE, BYTES - 2 * PAGE));
    check(is_zero(p + PAGE, BYTES - 2 * PAGE));
    check(!is_zero(p, PAGE));
    check(!is_zero(p + BYTES - PAGE, PAGE));
    os_pages_unmap(p, BYTES);
}

static void test_a_failed_discard_keeps_the_data(void **state)
{
    (void)state;
    char *p = os_pages_map(NULL, BYTES);
    pattern_fill(p, BYTES, 1);
    fake_fail_once(FAKE_DISCARD, 1, EINVAL);
    check(!os_pages_discard(p, BYTES));
    check(pattern_holds(p, BYTES, 1));
    os_pages_unmap(p, BYTES);
}

static void test_resizing_in_place(void **state)
{
    (void)state;
    char *p = os_pages_map(NULL, BYTES);
    pattern_fill(p, PAGE, 1);
    check(os_pages_resize(p, BYTES, PAGE));
    check(os_pages_resize(p, PAGE, BYTES / 2));
    check(pattern_holds(p, PAGE, 1));
    check(is_zero(p + PAGE, BYTES / 2 - PAGE));
    fake_fail_once(FAKE_RESIZE, 1, ENOMEM);
    check(!os_pages_resize(p, BYTES / 2, BYTES));
    os_pages_unmap(p, BYTES / 2);
}

static void test_moving_onto_another_mapping(void **state)
{
    (void)state;
    char *from = os_pages_map(NULL, BYTES);
    char *to = os_pages_map(NULL, 2 * BYTES);
    pattern_fill(from, BYTES, 1);
    fake_fail_once(FAKE_MOVE, 1, ENOMEM);
    check(!os_pages_move(from, BYTES, 2 * BYTES, to));
    check(pattern_holds(from, BYTES, 1));
    check(os_pages_move(from, BYTES, 2 * BYTES, to));
    check(pattern_holds(to, BYTES, 1));
    check(is_zero(to + BYTES, BYTES));
    os_pages_unmap(to, 2 * BYTES);
}

static void test_a_failed_guard_does_no_harm(void **state)
{
    (void)state;
    char *p = os_pages_map(NULL, BYTES);
    fake_fail_once(FAKE_PROTECT_NONE, 1, ENOMEM);
    os_pages_guard(p, BYTES);
    pattern_fill(p, BYTES, 1);
    check(pattern_holds(p, BYTES, 1));
    os_pages_unmap(p, BYTES);
}

static uint64_t counted(enum os_call call)
{
    return atomic_get_relaxed(&os_call_counts[call].n);
}

/* Those that fail, too; and a munmap that fails is followed by a madvise. */
static void test_calls_are_counted(void **state)
{
    (void)state;
    size_t bytes = 4 * os_page_bytes();
    uint64_t before[N_OS_CALLS];
    for (int call = 0; call < N_OS_CALLS; call++)
        before[call] = counted(call);
    char *p = os_pages_map(NULL, bytes);
    os_pages_populate(p, bytes);
    check(os_pages_discard(p, bytes));
    fake_fail_once(FAKE_DISCARD, 1, EINVAL);
    check(!os_pages_discard(p, bytes));
    check(os_pages_resize(p, bytes, bytes / 2));
    os_pages_guard(p, bytes / 4);
    fake_fail_once(FAKE_UNMAP, 1, ENOMEM);
    os_pages_unmap(p, bytes / 2);
    os_pages_unmap(p, bytes / 2);
    static const uint64_t expected[N_OS_CALLS] = {
        [OS_CALL_MAP] = 1,   [OS_CALL_POPULATE] = 1, [OS_CALL_DISCARD] = 3,
        [OS_CALL_REMAP] = 1, [OS_CALL_PROTECT] = 1,  [OS_CALL_UNMAP] = 2,
    };
    for (int call = 0; call < N_OS_CALLS; call++)
        check_equal(counted(call) - before[call], expected[call]);
    check(atomic_get_relaxed(&os_call_counts[OS_CALL_MAP].ns) > 0);
}

#define pages_test(f) cmocka_unit_test_teardown(f, reset)

/* The program's other threads may write to fd 2, closed or not. */
static void open_where_all_are_closed(void *argument)
{
    (void)argument;
    for (int fd = 0; fd < 3; fd++)
        (void)sys_close(fd);
    check(sys_open_read("/proc/self/maps") > 2);
    check(sys_open_read("/") > 2 && sys_close(0) == -EBADF);
}

static void test_files_are_out_of_the_way(void **state)
{
    (void)state;
    child_passes(open_where_all_are_closed, NULL);
}

static void test_pages_that_are_there_are_counted(void **state)
{
    (void)state;
    size_t n = 1000; /* more than one call asks for */
    char *p = os_pages_map(NULL, n * PAGE);
    check(p != NULL);
    check_equal(os_pages_count_present(p, n * PAGE), 0);
    for (size_t i = 0; i < n; i += 3)
        p[i * PAGE] = 1;
    check_equal(os_pages_count_present(p, n * PAGE), (n + 2) / 3);
    check_equal(os_pages_count_present(p, 3 * PAGE), 1);
    os_pages_unmap(p, n * PAGE);
    check_equal(os_pages_count_present(p, n * PAGE), 0);
}

static void test_huge_pages_at_once(void **state)
{
    (void)state;
    char *p = os_pages_map(NULL, BYTES);
    check(p != NULL && os_pages_knows_huge_now() && os_pages_huge_now(p, BYTES));
    fake_fail_once(FAKE_HUGE_PROBE, 1, EINVAL);
    check(!os_pages_knows_huge_now());
    fake_fail_once(FAKE_HUGE_NOW, 1, EINVAL);
    check(os_pages_huge_now(p, BYTES));
    fake_fail_once(FAKE_HUGE_NOW, 1, EAGAIN);
    check(!os_pages_huge_now(p, BYTES));
    os_pages_unmap(p, BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        pages_test(test_page_size_is_the_kernels),
        pages_test(test_new_memory_is_zero_and_at_the_hint),
        pages_test(test_a_failed_map_is_null),
        pages_test(test_a_map_that_the_kernel_refuses_is_null),
        pages_test(test_what_cannot_be_unmapped_is_discarded),
        pages_test(test_discarded_pages_read_as_zero),
        pages_test(test_a_failed_discard_keeps_the_data),
        pages_test(test_resizing_in_place),
        pages_test(test_moving_onto_another_mapping),
        pages_test(test_a_failed_guard_does_no_harm),
        pages_test(test_pages_that_are_there_are_counted),
        pages_test(test_huge_pages_at_once),
        pages_test(test_calls_are_counted),
        cmocka_unit_test(test_files_are_out_of_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
