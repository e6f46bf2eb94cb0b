/* SPDX-License-Identifier: MIT */
#include "conf/options.h"

#include "fake_sys.h"
#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* What every option of the table takes and refuses. */
struct number_row {
    const char *name;
    uint64_t *value;
    uint64_t min;
    uint64_t max;
    bool is_bytes;
    const char *unit;
};

struct choice_row {
    const char *name;
    uint64_t *value;
    const char *choices[5];
};

static const struct number_row numbers[] = {
    {"cache_bytes", &options.cache_bytes, 64 * KIB, 1024 * GIB, true, "bytes"},
    {"cache_thread_bytes", &options.cache_thread_bytes, 64 * KIB, GIB, true, "bytes"},
    {"cache_class_bytes", &options.cache_class_bytes, 4 * KIB, 64 * MIB, true, "bytes"},
    {"dirty_bytes", &options.dirty_bytes, 0, 1024 * GIB, true, "bytes"},
    {"dirty_percent", &options.dirty_percent, 0, 1000, false, "percent"},
    {"guest_calls", &options.guest_calls, 0, UINT32_MAX - 1, false, "calls"},
    {"purge_ms", &options.purge_ms, 0, 3600000, false, "milliseconds"},
    {"direct_bytes", &options.direct_bytes, MIB, 1024 * GIB, true, "bytes"},
    {"quarantine_bytes", &options.quarantine_bytes, 0, GIB, true, "bytes"},
    {"quarantine_large_bytes", &options.quarantine_large_bytes, 0, 1024 * GIB, true, "bytes"},
    {"dump_signal", &options.dump_signal, 0, 64, false,
     "signal number, HUP, QUIT, USR1, USR2, TERM, URG, WINCH, PWR"},
    {"dump_pid", &options.dump_pid, 0, INT32_MAX, false, "process id"},
    {"dump_every_ms", &options.dump_every_ms, 0, UINT32_MAX, false, "milliseconds"},
    {"guard_every", &options.guard_every, 0, UINT32_MAX, false, "calls"},
    {"profile_bytes", &options.profile_bytes, 0, 1024 * GIB, true, "bytes"},
    {"limit", &options.limit, MIB, 1024 * 1024 * GIB, true, "bytes, or 1% to 100%"},
    {"limit_reserve", &options.limit_reserve, 0, GIB, true, "bytes"},
    {"limit_signal", &options.limit_signal, 1, 64, false,
     "signal number, HUP, QUIT, USR1, USR2, TERM, URG, WINCH, PWR"},
    {"pressure_percent", &options.pressure_percent, 10, 99, false, "percent"},
    {"pressure_every_ms", &options.pressure_every_ms, 0, 3600000, false, "milliseconds"},
    {"dump_live_bytes", &options.dump_live_bytes, 0, 1024 * 1024 * GIB, true, "bytes"},
};

static const struct choice_row choices[] = {
    {"verbose", &options.verbose, {"off", "on", NULL}},
    {"foreign", &options.foreign, {"forward", "ignore", "abort", NULL}},
    {"zero_realloc", &options.zero_realloc, {"free", "alloc", "abort", NULL}},
    {"deepbind", &options.deepbind, {"off", "on", NULL}},
    {"background", &options.background, {"off", "on", NULL}},
    {"huge", &options.huge, {"system", "on", "off", NULL}},
    {"guard_handlers", &options.guard_handlers, {"off", "on", NULL}},
    {"check", &options.check, {"0", "1", "2", "3", NULL}},
    {"check_fill", &options.check_fill, {"junk", "zero", NULL}},
    {"track", &options.track, {"off", "on", NULL}},
    {"on_fault", &options.on_fault, {"abort", "report", "trap", NULL}},
    {"dump_exit", &options.dump_exit, {"off", "on", "quick", NULL}},
    {"dump_fatal", &options.dump_fatal, {"off", "on", NULL}},
    {"dump_pressure", &options.dump_pressure, {"off", "on", NULL}},
    {"limit_action", &options.limit_action, {"refuse", "abort", "signal", "watch", NULL}},
    {"pressure", &options.pressure, {"auto", "on", "off", NULL}},
    {"dump_what", &options.dump_what, {"summary", "classes", "all", NULL}},
    {"dump_format", &options.dump_format, {"text", "json", "prom", NULL}},
    {"dump_replace", &options.dump_replace, {"off", "on", "dumps", NULL}},
};

enum { N_TEXT_OPTIONS = 3, N_OPTIONS = ARRAY_LEN(numbers) + ARRAY_LEN(choices) + N_TEXT_OPTIONS };

static struct options defaults;

static int remember_defaults(void **state)
{
    (void)state;
    defaults = options;
    return 0;
}

static int restore_defaults(void **state)
{
    (void)state;
    options = defaults;
    return 0;
}

/* Parses, and returns what was written to fd 2. */
static const char *parse(const char *conf)
{
    fake_capture_begin(SIZE_MAX);
    options_parse(conf);
    return fake_capture_end();
}

static const char *parse_number(const struct number_row *row, uint64_t n, const char *suffix)
{
    char conf[128];
    (void)snprintf(conf, sizeof conf, "%s=%llu%s", row->name, (unsigned long long)n, suffix);
    return parse(conf);
}

static size_t count_lines(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

/* Refused: one line that names the item, and nothing has changed. */
static void check_refused(const char *conf, const char *expected_line)
{
    struct options before = options;
    const char *line = parse(conf);
    check(strcmp(line, expected_line) == 0);
    check(memcmp(&before, &options, sizeof options) == 0);
}

static void check_bad_value(const char *conf)
{
    char line[256];
    (void)snprintf(line, sizeof line, "poolalloc: POOLALLOC_CONF: bad value, ignored: %s\n", conf);
    check_refused(conf, line);
}

static void check_unknown(const char *conf)
{
    char line[256];
    (void)snprintf(line, sizeof line, "poolalloc: POOLALLOC_CONF: unknown option, ignored: %s\n",
                   conf);
    check_refused(conf, line);
}

static void test_numbers_take_their_whole_range(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const struct number_row *row = &numbers[i];
        const uint64_t values[] = {row->min, row->min + 1, row->max - 1, row->max};
        for (size_t j = 0; j < ARRAY_LEN(values); j++) {
            check(*parse_number(row, values[j], "") == '\0');
            check_equal(*row->value, values[j]);
        }
    }
}

static void test_signals_have_names(void **state)
{
    (void)state;
    check(*parse("dump_signal=USR2") == '\0');
    check_equal(options.dump_signal, SIGUSR2);
    check(*parse("dump_signal=HUP") == '\0');
    check_equal(options.dump_signal, SIGHUP);
    check_bad_value("dump_signal=SIGHUP");
    check_bad_value("dump_signal=USR");
    check_bad_value("purge_ms=HUP");
}

static void test_numbers_beyond_their_range_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const struct number_row *row = &numbers[i];
        char conf[128];
        if (row->min > 0) {
            (void)snprintf(conf, sizeof conf, "%s=%llu", row->name,
                           (unsigned long long)row->min - 1);
            check_bad_value(conf);
        }
        (void)snprintf(conf, sizeof conf, "%s=%llu", row->name, (unsigned long long)row->max + 1);
        check_bad_value(conf);
    }
}

static void test_a_number_changes_no_other_option(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        options = defaults;
        uint64_t before = *numbers[i].value;
        (void)parse_number(&numbers[i], numbers[i].max, "");
        check_equal(*numbers[i].value, numbers[i].max);
        *numbers[i].value = before;
        check(memcmp(&options, &defaults, sizeof options) == 0);
    }
}

static void test_suffixes(void **state)
{
    (void)state;
    static const struct {
        const char *suffix;
        uint64_t factor;
    } suffixes[] = {
        {"K", KIB}, {"k", KIB},  {"KB", KIB},  {"KiB", KIB}, {"kiB", KIB},
        {"M", MIB}, {"m", MIB},  {"MB", MIB},  {"MiB", MIB}, {"G", GIB},
        {"g", GIB}, {"GB", GIB}, {"GiB", GIB},
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        for (size_t j = 0; j < ARRAY_LEN(suffixes); j++) {
            uint64_t n = numbers[i].max / suffixes[j].factor;
            if (!numbers[i].is_bytes || n == 0)
                continue;
            options = defaults;
            check(*parse_number(&numbers[i], n, suffixes[j].suffix) == '\0');
            check_equal(*numbers[i].value, n * suffixes[j].factor);
        }
    }
}

static void test_bad_numbers_are_refused(void **state)
{
    (void)state;
    static const char *const values[] = {
        "",
        " ",
        "x",
        "-1",
        "+1",
        "0x10",
        "1.5M",
        "1 M",
        "M",
        "10T",
        "10MM",
        "10Mi",
        "10MiBs",
        "10B",
        "10b",
        "10+",
        "10kb",
        "1e6",
        "18446744073709551616", /* 2^64 */
        "18014398509481985K",   /* 2^64 + 1 KiB, which is 1 KiB if the sum wraps */
        "17179869185G",         /* 2^64 + 1 GiB */
        "99999999999999999999999999999999",
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        for (size_t j = 0; j < ARRAY_LEN(values); j++) {
            char conf[128];
            (void)snprintf(conf, sizeof conf, "%s=%s", numbers[i].name, values[j]);
            check_bad_value(conf);
        }
    }
    check_bad_value("purge_ms=1K");
}

static void test_choices(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
        for (uint64_t n = 0; choices[i].choices[n] != NULL; n++) {
            char conf[128];
            (void)snprintf(conf, sizeof conf, "%s=%s", choices[i].name, choices[i].choices[n]);
            (void)parse(conf);
            check_equal(*choices[i].value, n);
        }
    }
    (void)parse("verbose=1");
    check_equal(options.verbose, 1);
    (void)parse("verbose=0");
    check_equal(options.verbose, 0);
    options = defaults;
    check_bad_value("verbose=yes");
    check_bad_value("verbose=ON");
    check_bad_value("verbose=o");
    check_bad_value("verbose=onn");
    check_bad_value("verbose=2");
    check_bad_value("verbose=");
    check_bad_value("foreign=ab");
    check_bad_value("foreign=abort ");
}

static void test_texts(void **state)
{
    (void)state;
    check(*parse("dump=/some/where/%p.txt") == '\0');
    check(strcmp(options.dump, "/some/where/%p.txt") == 0);
    check(*parse("log=/var/log/%e") == '\0');
    check(strcmp(options.log, "/var/log/%e") == 0);
    check(*parse("profile=%n.heap") == '\0');
    check(strcmp(options.profile, "%n.heap") == 0);
    check(*parse("dump=a=b") == '\0');
    check(strcmp(options.dump, "a=b") == 0);
    check(*parse("dump=") == '\0');
    check(options.dump[0] == '\0');
}

static void test_texts_of_the_longest_length(void **state)
{
    (void)state;
    char conf[300] = "dump=";
    memset(conf + 5, 'x', OPTION_TEXT_MAX - 1);
    check(*parse(conf) == '\0');
    check(strcmp(options.dump, conf + 5) == 0);
    struct options before = options;
    conf[5 + OPTION_TEXT_MAX - 1] = 'x';
    check_equal(count_lines(parse(conf)), 1);
    check(memcmp(&before, &options, sizeof options) == 0);
}

static void test_unknown_keys_are_refused(void **state)
{
    (void)state;
    check_unknown("nothing=1");
    check_unknown("nothing");
    check_unknown("=1");
    check_unknown("=");
    check_unknown("purge_m=1");
    check_unknown("purge_mss=1");
    check_unknown("PURGE_MS=1");
    check_unknown(" purge_ms=1");
    check_unknown("help=1");
    check_unknown("helpme");
}

static void test_a_key_without_a_value_is_refused(void **state)
{
    (void)state;
    check_bad_value("purge_ms");
    check_bad_value("verbose");
    check_bad_value("dump");
}

static void test_a_long_bad_item_is_one_line(void **state)
{
    (void)state;
    char conf[1000];
    memset(conf, 'x', sizeof conf - 1);
    conf[sizeof conf - 1] = '\0';
    const char *line = parse(conf);
    check_equal(count_lines(line), 1);
    check(strncmp(line, "poolalloc: ", 11) == 0);
    check(line[strlen(line) - 1] == '\n');
}

static void test_empty_configurations(void **state)
{
    (void)state;
    static const char *const confs[] = {NULL, "", ",", ",,,"};
    for (size_t i = 0; i < ARRAY_LEN(confs); i++) {
        check(*parse(confs[i]) == '\0');
        check(memcmp(&options, &defaults, sizeof options) == 0);
    }
}

static void test_several_options_at_once(void **state)
{
    (void)state;
    const char *lines = parse(",purge_ms=7,,bad=1,dirty_bytes=3M,purge_ms=x,dump=f,foreign=abort,");
    check(strcmp(lines, "poolalloc: POOLALLOC_CONF: unknown option, ignored: bad=1\n"
                        "poolalloc: POOLALLOC_CONF: bad value, ignored: purge_ms=x\n") == 0);
    check_equal(options.purge_ms, 7);
    check_equal(options.dirty_bytes, 3 * MIB);
    check_equal(options.foreign, FOREIGN_ABORT);
    check(strcmp(options.dump, "f") == 0);
}

static void test_the_last_of_equal_keys_wins(void **state)
{
    (void)state;
    check(*parse("purge_ms=7,purge_ms=8") == '\0');
    check_equal(options.purge_ms, 8);
}

static void test_a_limit_may_be_in_percent(void **state)
{
    (void)state;
    check(*parse("limit=80%") == '\0');
    check_equal(options.limit, 80);
    check(strstr(parse("help"), "= 80%  (") != NULL);
    check(*parse("limit=100%") == '\0');
    check_equal(options.limit, 100);
    check(*parse("limit=101%") != '\0');
    check(*parse("limit=0%") != '\0');
    check(*parse("limit=%") != '\0');
    check(*parse("limit=80") != '\0');
    check(*parse("dirty_percent=80%") != '\0');
    check(*parse("cache_bytes=80%") != '\0');
    check_equal(options.limit, 100);
    check(*parse("limit=2G") == '\0');
    check_equal(options.limit, 2 * GIB);
}

static bool help_has(const char *help, const char *name, const char *value)
{
    char begin[OPTION_TEXT_MAX + 64];
    (void)snprintf(begin, sizeof begin, "poolalloc: %-23s= %s  (", name, value);
    const char *found = strstr(help, begin);
    return found != NULL && (found == help || found[-1] == '\n');
}

static void check_help(const char *help)
{
    check_equal(count_lines(help), N_OPTIONS);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        char value[32];
        (void)snprintf(value, sizeof value, "%llu", (unsigned long long)*numbers[i].value);
        check(help_has(help, numbers[i].name, value));
    }
    for (size_t i = 0; i < ARRAY_LEN(choices); i++)
        check(help_has(help, choices[i].name, choices[i].choices[*choices[i].value]));
    check(help_has(help, "dump", options.dump[0] != '\0' ? options.dump : "(none)"));
}

static void test_help_shows_every_option_and_its_value(void **state)
{
    (void)state;
    check_help(parse("help"));
    check_help(parse("help,purge_ms=17,dump=somewhere,foreign=ignore"));
    check_equal(options.purge_ms, 17);
    check_help(parse("direct_bytes=2M,verbose=on"));
}

static void test_help_shows_ranges(void **state)
{
    (void)state;
    const char *help = parse("help");
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        char range[128];
        (void)snprintf(range, sizeof range,
                       "  (%llu to %llu %s): ", (unsigned long long)numbers[i].min,
                       (unsigned long long)numbers[i].max, numbers[i].unit);
        check(strstr(help, range) != NULL);
    }
    check(strstr(help, "  (off|on): ") != NULL);
    check(strstr(help, "  (forward|ignore|abort): ") != NULL);
    check(strstr(help, "  (free|alloc|abort): ") != NULL);
}

#define option_test(f) cmocka_unit_test_teardown(f, restore_defaults)

int main(void)
{
    const struct CMUnitTest tests[] = {
        option_test(test_numbers_take_their_whole_range),
        option_test(test_signals_have_names),
        option_test(test_numbers_beyond_their_range_are_refused),
        option_test(test_a_number_changes_no_other_option),
        option_test(test_suffixes),
        option_test(test_bad_numbers_are_refused),
        option_test(test_choices),
        option_test(test_texts),
        option_test(test_texts_of_the_longest_length),
        option_test(test_unknown_keys_are_refused),
        option_test(test_a_key_without_a_value_is_refused),
        option_test(test_a_long_bad_item_is_one_line),
        option_test(test_empty_configurations),
        option_test(test_several_options_at_once),
        option_test(test_the_last_of_equal_keys_wins),
        option_test(test_a_limit_may_be_in_percent),
        option_test(test_help_shows_every_option_and_its_value),
        option_test(test_help_shows_ranges),
    };
    return cmocka_run_group_tests(tests, remember_defaults, NULL);
}
