/* SPDX-License-Identifier: MIT */
/*
 * What the command reads may be anything: texts that are JSON and that are not, dumps and programs
 * with bytes changed, cut and doubled at random. None may do harm; what is still a dump is shown.
 */
#include "cli/dump.h"
#include "cli/elf.h"
#include "cli/figure.h"
#include "cli/page.h"
#include "cli/show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static const char good_dump[] =
    "{\"schema\": \"poolalloc\", \"version\": 1, \"pid\": 12, \"program\": \"p\\u00e9\", "
    "\"why\": \"at exit\", \"number\": 3, \"totals\": {\"live_bytes\": 1000, \"active_bytes\": "
    "2000, \"resident_bytes\": 3000, \"mapped_bytes\": 65536, \"dirty_bytes\": 500, "
    "\"at_hand_bytes\": 64, \"large_allocs\": 3, \"large_frees\": 1, \"system_call_ns\": 12345}, "
    "\"classes\": [{\"bytes\": 16, \"allocs\": 9, \"frees\": 4, \"live\": 5, \"at_hand\": 3, "
    "\"slab_free\": 1, \"slabs\": 2, \"slabs_to_25\": 1, \"slabs_full\": 1}, {\"bytes\": 32768, "
    "\"live\": 1, \"slabs\": 1}], \"system_calls\": {\"mmap\": {\"calls\": 2, \"ns\": 300}}, "
    "\"free_spans_by_size\": [{\"from_bytes\": 4096, \"spans\": 1}, {\"from_bytes\": 8192, "
    "\"spans\": 0}], \"objects\": [{\"number\": 1, \"kind\": \"pool\", \"name\": \"<n>\", "
    "\"memory_bytes\": 4096, \"in_use\": 3, \"pieces\": 10}], \"objects_are_all\": true, "
    "\"advice\": [\"do & don't\"]}";

/* ---- a source of numbers that is the same every time ---- */

static uint64_t state;

static uint64_t draw(uint64_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
}

/* ---- JSON ---- */

/* The outcome of reading a text that stands in memory of just its size. */
static bool parse(const char *text, size_t n, struct json *json, char **copy,
                  struct json_fault *fault)
{
    *copy = malloc(n + 1);
    assert_non_null(*copy);
    memcpy(*copy, text, n);
    (*copy)[n] = '\0';
    return json_parse(json, *copy, n, fault);
}

static void check_refused(const char *text, size_t line, size_t column, const char *what)
{
    struct json json;
    struct json_fault fault = {0};
    char *copy;
    assert_false(parse(text, strlen(text), &json, &copy, &fault));
    assert_string_equal(fault.what, what);
    assert_int_equal(fault.line, line);
    assert_int_equal(fault.column, column);
    json_free(&json);
    free(copy);
}

static void check_string(const char *text, const char *expected)
{
    struct json json;
    struct json_fault fault;
    char *copy;
    assert_true(parse(text, strlen(text), &json, &copy, &fault));
    assert_int_equal(json.values->kind, JSON_STRING);
    assert_string_equal(json.values->text, expected);
    json_free(&json);
    free(copy);
}

static void check_kind(const char *text, enum json_kind kind, uint64_t count)
{
    struct json json;
    struct json_fault fault;
    char *copy;
    assert_true(parse(text, strlen(text), &json, &copy, &fault));
    assert_int_equal(json.values->kind, kind);
    assert_int_equal(json.values->count, count);
    json_free(&json);
    free(copy);
}

static void test_values(void **unused)
{
    (void)unused;
    check_kind(" null ", JSON_NULL, 0);
    check_kind("false", JSON_FALSE, 0);
    check_kind("true\n", JSON_TRUE, 0);
    check_kind("0", JSON_COUNT, 0);
    check_kind("18446744073709551615", JSON_COUNT, UINT64_MAX);
    check_kind("18446744073709551616", JSON_NUMBER, 0);
    check_kind("-1", JSON_NUMBER, 0);
    check_kind("1.5", JSON_NUMBER, 0);
    check_kind("1e3", JSON_NUMBER, 0);
    check_kind("[]", JSON_ARRAY, 0);
    check_kind("{ }", JSON_OBJECT, 0);
}

static void test_strings(void **unused)
{
    (void)unused;
    check_string("\"\"", "");
    check_string("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "a\"\\/\b\f\n\r\t");
    check_string("\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"",
                 "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    check_string("\"\\u0000\"", "\xef\xbf\xbd");
    check_string("\"\\ud83dx\\ude00\"", "\xef\xbf\xbdx\xef\xbf\xbd");
    check_string("\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
                                       "A");
    check_string("\"\xc3\xa9\xff\xc3\"", "\xc3\xa9??");
    check_string("\"\xed\xa0\x80\xc0\x80\xf4\x90\x80\x80\"", "?????????");
}

static void test_what_is_no_json(void **unused)
{
    (void)unused;
    check_refused("", 1, 1, "a value was expected");
    check_refused("nul", 1, 1, "a value was expected");
    check_refused("[1,]", 1, 4, "a value was expected");
    check_refused("[1 2]", 1, 4, "',' or a closing bracket was expected");
    check_refused("{\"a\"}", 1, 5, "':' was expected");
    check_refused("{1:2}", 1, 2, "a string was expected");
    check_refused("{\n\"a\": \"\\n\\n\",\n x}", 3, 2, "a string was expected");
    check_refused("01", 1, 3, "a number that begins with 0");
    check_refused("1.", 1, 3, "a digit was expected");
    check_refused("-", 1, 2, "a digit was expected");
    check_refused("1e+", 1, 4, "a digit was expected");
    check_refused("\"abc", 1, 5, "the string does not end");
    check_refused("\"\\", 1, 3, "an escape that there is not");
    check_refused("\"\\x\"", 1, 3, "an escape that there is not");
    check_refused("\"\\u12g4\"", 1, 6, "\\u without four digits");
    check_refused("\"\\ud800\\u1\"", 1, 11, "\\u without four digits");
    check_refused("\"a\tb\"", 1, 3, "a control character in a string");
    check_refused("{} {}", 1, 4, "something after the end");
}

static void test_depth(void **unused)
{
    char text[2 * JSON_DEPTH_MAX + 3];
    (void)unused;
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    text[2 * JSON_DEPTH_MAX] = '\0';
    check_kind(text, JSON_ARRAY, 0);
    memset(text, '[', JSON_DEPTH_MAX + 1);
    text[JSON_DEPTH_MAX + 1] = '\0';
    check_refused(text, 1, JSON_DEPTH_MAX + 2, "nested too deeply");
}

/* What is side by side is no deeper for it. */
static void test_many_side_by_side(void **unused)
{
    struct bytes text = {0};
    (void)unused;
    bytes_add_text(&text, "[[]");
    for (int i = 0; i < 2 * JSON_DEPTH_MAX; i++)
        bytes_add_text(&text, ",[]");
    bytes_add_text(&text, "]");
    check_kind(text.at, JSON_ARRAY, 0);
    bytes_free(&text);
}

static void test_too_many_values(void **unused)
{
    size_t n = 2 * (size_t)JSON_VALUES_MAX + 2;
    char *text = malloc(n + 1);
    (void)unused;
    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        text[i] = i % 2 == 0 ? ',' : '1';
    text[0] = '[';
    text[n] = '\0';
    check_refused(text, 1, n - 2, "too many values");
    free(text);
}

static void test_members(void **unused)
{
    struct json json;
    struct json_fault fault;
    char *copy;
    static const char text[] = "{\"a\": 7, \"b\": {\"a\": \"x\"}, \"c\": [1, 2]}";
    (void)unused;
    assert_true(parse(text, strlen(text), &json, &copy, &fault));
    const struct json_value *b = json_member(&json, json.values, "b");
    assert_int_equal(json_count(&json, json.values, "a"), 7);
    assert_int_equal(json_count(&json, b, "a"), 0);
    assert_string_equal(json_text(&json, b, "a"), "x");
    assert_string_equal(json_text(&json, json.values, "none"), "");
    assert_null(json_member(&json, json_member(&json, json.values, "c"), "a"));
    assert_null(json_member(&json, NULL, "a"));
    json_free(&json);
    free(copy);
}

/* ---- dumps ---- */

/* What a dump of this text is shown as, in all ways; false: it is none. */
static bool show_all(const char *text, size_t n)
{
    char name[64];
    struct dump dump;
    struct bytes out = {0};
    struct bytes why_not = {0};
    struct showing how = {.screen = {.columns = 80, .is_utf8 = true}, .rows_max = 5};
    int fd = memfd_create("dump", MFD_CLOEXEC);
    assert_true(fd >= 0 && write(fd, text, n) == (ssize_t)n);
    (void)snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    bool is_dump = dump_read(&dump, name, &why_not);
    assert_true(is_dump || why_not.n > 0);
    if (is_dump) {
        show_dump(&out, &dump, &how);
        show_differences(&out, &dump, &dump, &how);
        page_write(&out, &dump, 1);
        for (size_t i = 0; i < out.n; i++)
            assert_true(out.at[i] == '\n' || (unsigned char)out.at[i] >= 0x20);
    }
    dump_free(&dump);
    bytes_free(&out);
    bytes_free(&why_not);
    (void)close(fd);
    return is_dump;
}

static void test_what_is_no_dump(void **unused)
{
    static const char *const texts[] = {
        "",
        "{}",
        "[]",
        "1",
        "{\"schema\": \"other\", \"version\": 1, \"totals\": {}}",
        "{\"schema\": \"poolalloc\", \"version\": 2, \"totals\": {}}",
        "{\"schema\": \"poolalloc\", \"version\": 1}",
        "{\"schema\": \"poolalloc\", \"version\": 1, \"totals\": []}",
        "poolalloc: dump of process 3\n",
    };
    (void)unused;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_false(show_all(texts[i], strlen(texts[i])));
    assert_true(show_all(good_dump, strlen(good_dump)));
}

/* Figures that no heap has. */
static void test_absurd_figures(void **unused)
{
    static const char text[] =
        "{\"schema\": \"poolalloc\", \"version\": 1, \"totals\": {\"live_bytes\": "
        "18446744073709551615, \"mapped_bytes\": 18446744073709551615, \"resident_bytes\": "
        "18446744073709551615, \"a\": -1, \"b\": [1], \"large_frees\": 1}, \"classes\": "
        "[{\"bytes\": "
        "18446744073709551615, \"live\": 18446744073709551615, \"at_hand\": 18446744073709551615, "
        "\"slabs\": 1, \"slabs_full\": 18446744073709551615}, 3, null, [], \"x\"], \"objects\": "
        "[{\"in_use\": 18446744073709551615, \"pieces\": 1}, 7], \"free_spans_by_size\": "
        "[{\"spans\": 18446744073709551615}, {}], \"advice\": [3, null, {}]}";
    (void)unused;
    assert_true(show_all(text, strlen(text)));
}

static void test_figures(void **unused)
{
    (void)unused;
    assert_int_equal(count_from(-1), 0);
    assert_int_equal(count_from(2.9), 2);
    assert_int_equal(count_from(2e19), UINT64_MAX);
    assert_string_equal(as_bytes(0).at, "0 B");
    assert_string_equal(as_bytes(1023).at, "1023 B");
    assert_string_equal(as_bytes(1024).at, "1.0 KiB");
    assert_string_equal(as_bytes(1024 * 1024 - 1).at, "1.0 MiB");
    assert_string_equal(as_bytes(UINT64_MAX).at, "16.0 EiB");
    assert_string_equal(as_bytes_brief(65536).at, "64 KiB");
    assert_string_equal(as_number(999).at, "999");
    assert_string_equal(as_number(1234567).at, "1,234,567");
    assert_string_equal(as_number(UINT64_MAX).at, "18,446,744,073,709,551,615");
    assert_string_equal(as_time(1500).at, "1.5 us");
    assert_string_equal(as_percent(1, 3).at, "33 %");
    assert_string_equal(as_percent(1, 0).at, "0 %");
    assert_string_equal(as_named("free_spans", 12).at, "12");
    assert_string_equal(as_named("system_call_ns", 12).at, "12 ns");
    assert_string_equal(as_growth("n", 3, 1).at, "-2");
    assert_string_equal(as_growth("n", 1, 1).at, "0");
    assert_string_equal(as_growth("n", 0, UINT64_MAX).at, "+18,446,744,073,709,551,615");
}

/* ---- at random ---- */

static const char *const tokens[] = {
    "{",          "}",           "[",    "]",
    ",",          ":",           "\"",   "\\",
    "\\u",        "\\ud800",     "null", "true",
    "-",          "0",           "1e9",  "99999999999999999999",
    "\"totals\"", "\"classes\"", "\xff", "\xf0\x9f",
    "\x1b[31m",   "\n",
};

/* One change. Returns the new length, at most `room`. */
static size_t damage(char *text, size_t n, size_t room)
{
    size_t at = n > 0 ? draw(n) : 0;
    size_t bytes = 1 + draw(40);
    const char *token = tokens[draw(sizeof tokens / sizeof tokens[0])];
    switch (n > 0 ? draw(5) : 4) {
    case 0:
        text[at] = (char)draw(256);
        return n;
    case 1:
        return at;
    case 2:
        bytes = bytes < n - at ? bytes : n - at;
        memmove(text + at, text + at + bytes, n - at - bytes);
        return n - bytes;
    case 3:
        bytes = bytes < n - at ? bytes : n - at;
        if (n + bytes > room)
            return n;
        memmove(text + at + bytes, text + at, n - at);
        return n + bytes;
    default:
        bytes = strlen(token);
        if (n + bytes > room)
            return n;
        memmove(text + at + bytes, text + at, n - at);
        memcpy(text + at, token, bytes);
        return n + bytes;
    }
}

static void test_damaged_dumps(void **unused)
{
    enum { TIMES = 4000, ROOM = 8192 };
    char text[ROOM];
    int n_dumps = 0;
    (void)unused;
    state = 1;
    for (int i = 0; i < TIMES; i++) {
        size_t n = strlen(good_dump);
        memcpy(text, good_dump, n);
        for (uint64_t changes = 1 + draw(3); changes > 0; changes--)
            n = damage(text, n, sizeof text);
        n_dumps += show_all(text, n);
    }
    /* Else nothing was shown, or nothing refused. */
    assert_in_range(n_dumps, TIMES / 100, TIMES / 2);
}

static void look_at(const void *at, size_t n)
{
    struct elf elf;
    elf_look(&elf, at, n);
    (void)elf_needs(&elf, "libnone.so");
    (void)elf_exports(&elf, "none");
    if (elf.interpreter != NULL)
        assert_non_null(strchr(elf.interpreter, '/'));
}

/* This program, its headers damaged; what the damage may lead to is all in memory of just its
 * size. */
static void test_damaged_programs(void **unused)
{
    enum { TIMES = 400, HEAD = 4096 };
    struct bytes program = {0};
    struct elf elf;
    (void)unused;
    assert_true(bytes_read_file(&program, "/proc/self/exe", (size_t)1 << 30));
    unsigned char *copy = malloc(program.n);
    assert_non_null(copy);
    memcpy(copy, program.at, program.n);
    elf_look(&elf, copy, program.n);
    assert_int_equal(elf.kind, ELF_NATIVE);
    assert_non_null(elf.interpreter);
    assert_true(elf_needs(&elf, "libc.so"));
    assert_false(elf_needs(&elf, "libd.so"));
    assert_true(elf_defines(&elf, "main"));
    assert_false(elf_defines(&elf, "no such symbol"));
    state = 2;
    for (int i = 0; i < TIMES; i++) {
        memcpy(copy, program.at, program.n);
        for (uint64_t changes = 1 + draw(6); changes > 0; changes--)
            copy[4 + draw(draw(2) == 0 ? 60 : HEAD)] = (unsigned char)draw(256);
        elf_look(&elf, copy, program.n);
        (void)elf_needs(&elf, "libnone.so");
        (void)elf_exports(&elf, "none");
    }
    for (size_t n = 0; n < HEAD; n += 1 + draw(60)) {
        unsigned char *part = malloc(n > 0 ? n : 1);
        assert_non_null(part);
        memcpy(part, program.at, n);
        look_at(part, n);
        free(part);
    }
    free(copy);
    bytes_free(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_what_is_no_json),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_many_side_by_side),
        cmocka_unit_test(test_too_many_values),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_what_is_no_dump),
        cmocka_unit_test(test_absurd_figures),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_damaged_dumps),
        cmocka_unit_test(test_damaged_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
