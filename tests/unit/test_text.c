/* SPDX-License-Identifier: MIT */
#include "os/text.h"

#include "fake_sys.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static char buffer[128];
static struct text text;

static void begin(size_t bytes)
{
    memset(buffer, '#', sizeof buffer);
    text_init(&text, buffer, bytes);
}

static void check_text(const char *expected)
{
    check_equal(text_bytes(&text), strlen(expected));
    check(memcmp(buffer, expected, strlen(expected)) == 0);
    check(buffer[strlen(expected)] == '#');
}

static void test_strings(void **state)
{
    (void)state;
    begin(sizeof buffer);
    text_add(&text, "one");
    text_add(&text, "");
    text_add_span(&text, " two three", 4);
    check_text("one two");
}

static void test_what_does_not_fit_is_cut(void **state)
{
    (void)state;
    begin(5);
    text_add(&text, "1234");
    text_add(&text, "567");
    check_text("12345");
    text_add(&text, "8");
    text_add_number(&text, 9);
    text_add_padded(&text, "x", 20);
    check_text("12345");
    begin(0);
    text_add(&text, "x");
    check_text("");
}

static void check_number(uint64_t n)
{
    char expected[32];
    (void)snprintf(expected, sizeof expected, "%llu", (unsigned long long)n);
    begin(sizeof buffer);
    text_add_number(&text, n);
    check_text(expected);
}

static void test_numbers(void **state)
{
    (void)state;
    check_number(0);
    for (uint64_t n = 1; n < UINT64_MAX / 10; n *= 10) {
        check_number(n - 1);
        check_number(n);
    }
    check_number(UINT64_MAX);
}

static void check_wide(uint64_t n, int width, const char *expected)
{
    begin(sizeof buffer);
    text_add_number_wide(&text, n, width);
    check_text(expected);
}

static void test_numbers_of_a_width(void **state)
{
    (void)state;
    check_wide(42, 5, "   42");
    check_wide(42, -5, "42   ");
    check_wide(42, 2, "42");
    check_wide(42, 1, "42");
    check_wide(42, -1, "42");
    check_wide(0, 3, "  0");
}

static void check_padded(const char *string, int width, const char *expected)
{
    begin(sizeof buffer);
    text_add_padded(&text, string, width);
    check_text(expected);
}

static void test_padding(void **state)
{
    (void)state;
    check_padded("ab", 4, "  ab");
    check_padded("ab", -4, "ab  ");
    check_padded("ab", 0, "ab");
    check_padded("abc", 2, "abc");
    check_padded("abc", -2, "abc");
    check_padded("", -2, "  ");
}

static void check_address(uintptr_t address, const char *expected)
{
    begin(sizeof buffer);
    text_add_address(&text, (const void *)address);
    check_text(expected);
}

static void test_addresses(void **state)
{
    (void)state;
    check_address(0, "0x0");
    check_address(0x7fff12345678, "0x7fff12345678");
    check_address(UINTPTR_MAX, "0xffffffffffffffff");
}

static void check_size(uint64_t bytes, const char *expected)
{
    begin(sizeof buffer);
    text_add_size(&text, bytes);
    check_text(expected);
}

static void test_sizes(void **state)
{
    (void)state;
    check_size(0, "0 B");
    check_size(1023, "1023 B");
    check_size(KIB, "1.0 KiB");
    check_size(KIB + 512, "1.5 KiB");
    check_size(MIB - 1, "1.0 MiB");
    check_size(MIB - 100, "1023.9 KiB");
    check_size(MIB, "1.0 MiB");
    check_size(12 * MIB + 300 * KIB, "12.3 MiB");
    check_size(GIB, "1.0 GiB");
    check_size(1024 * GIB, "1.0 TiB");
    check_size(MIB * GIB, "1.0 PiB");
    check_size(MIB * GIB * 1024, "1.0 EiB");
    check_size(UINT64_MAX, "16.0 EiB");
}

static void write_captured(size_t write_max)
{
    begin(sizeof buffer);
    text_add(&text, "all of this line\n");
    fake_capture_begin(write_max);
    text_write(&text, 2);
}

static void check_time(uint64_t ns, const char *expected)
{
    begin(sizeof buffer);
    text_add_time(&text, ns);
    check_text(expected);
}

static void test_times(void **state)
{
    (void)state;
    check_time(0, "0.0 us");
    check_time(49, "0.0 us");
    check_time(99, "0.1 us");
    check_time(1249, "1.2 us");
    check_time(999949, "999.9 us");
    check_time(999999, "1.0 ms");
    check_time(1000000, "1.0 ms");
    check_time(999949999, "999.9 ms");
    check_time(1000000000, "1.0 s");
    check_time(3600000000000, "3600.0 s");
    begin(sizeof buffer);
    text_add_time_wide(&text, 1150, 8);
    text_add_size_wide(&text, 1536, 9);
    text_add_size_wide(&text, 1536, -9);
    text_add(&text, "|");
    check_text("  1.2 us  1.5 KiB1.5 KiB  |");
}

static void check_decimals(uint64_t n, unsigned n_decimals, const char *expected)
{
    begin(sizeof buffer);
    text_add_decimals(&text, n, n_decimals);
    check_text(expected);
}

static void test_decimals(void **state)
{
    (void)state;
    check_decimals(1234, 0, "1234");
    check_decimals(1234, 3, "1.234");
    check_decimals(1004, 3, "1.004");
    check_decimals(4, 3, "0.004");
    check_decimals(UINT64_MAX, 9, "18446744073.709551615");
}

static void check_percent(uint64_t n, uint64_t of, const char *expected)
{
    begin(sizeof buffer);
    text_add_percent(&text, n, of);
    check_text(expected);
}

static void test_percents(void **state)
{
    (void)state;
    check_percent(0, 7, "0");
    check_percent(1, 3, "33");
    check_percent(2, 3, "67");
    check_percent(7, 7, "100");
    check_percent(0, 0, "100");
    check_percent(UINT64_MAX, UINT64_MAX, "100");
    check_percent(UINT64_MAX / 2 + 1, UINT64_MAX, "50");
}

static void test_quoted_text(void **state)
{
    (void)state;
    begin(sizeof buffer);
    text_add_escaped(&text, "a\"b\\c\nd\x7f\xc3\xa4");
    check_text("a\\\"b\\\\c?d?\xc3\xa4");
}

/* Others' names: cut anywhere, in any encoding. */
static void test_text_of_any_bytes(void **state)
{
    static const char *const pairs[][2] = {
        {"\xc2\x80\xdf\xbf", "\xc2\x80\xdf\xbf"},
        {"\xe0\xa0\x80\xed\x9f\xbf\xef\xbf\xbf", "\xe0\xa0\x80\xed\x9f\xbf\xef\xbf\xbf"},
        {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
        {"\xc3", "?"},
        {"\xc3(", "?("},
        {"\xe2\x82", "??"},
        {"\xc0\x80\xc1\xbf", "????"},
        {"\xe0\x9f\xbf", "???"},
        {"\xed\xa0\x80", "???"},
        {"\xf0\x8f\xbf\xbf", "????"},
        {"\xf4\x90\x80\x80", "????"},
        {"\xf5\xff\x80", "???"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        begin(sizeof buffer);
        text_add_escaped(&text, pairs[i][0]);
        check_text(pairs[i][1]);
    }
    begin(sizeof buffer);
    text_add_shown(&text, "a\"\n", -5);
    text_add_shown(&text, "long", -3);
    check_text("a\"?  long");
}

static void test_writing_goes_on_until_all_is_out(void **state)
{
    (void)state;
    for (size_t write_max = 1; write_max < 20; write_max++) {
        write_captured(write_max);
        check(strcmp(fake_capture_end(), "all of this line\n") == 0);
    }
}

static void test_writing_goes_on_after_a_signal(void **state)
{
    (void)state;
    for (size_t nth = 1; nth < 4; nth++) {
        fake_fail_once(FAKE_WRITE, nth, EINTR);
        write_captured(6);
        check(strcmp(fake_capture_end(), "all of this line\n") == 0);
    }
    fake_fail_none();
}

static void test_writing_ends_with_an_error(void **state)
{
    (void)state;
    fake_fail_from(FAKE_WRITE, 2, EIO);
    size_t before = fake_count(FAKE_WRITE);
    write_captured(6);
    check(strcmp(fake_capture_end(), "all of") == 0);
    check_equal(fake_count(FAKE_WRITE), before + 2);
    fake_fail_none();
}

static void test_errno_is_left_alone(void **state)
{
    (void)state;
    begin(sizeof buffer);
    text_add(&text, "to nowhere");
    errno = EXDEV;
    check(!text_write(&text, -1));
    check_equal((unsigned)errno, EXDEV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_what_does_not_fit_is_cut),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_numbers_of_a_width),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_decimals),
        cmocka_unit_test(test_percents),
        cmocka_unit_test(test_quoted_text),
        cmocka_unit_test(test_text_of_any_bytes),
        cmocka_unit_test(test_writing_goes_on_until_all_is_out),
        cmocka_unit_test(test_writing_goes_on_after_a_signal),
        cmocka_unit_test(test_writing_ends_with_an_error),
        cmocka_unit_test(test_errno_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
