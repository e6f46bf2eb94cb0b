/* SPDX-License-Identifier: MIT */
/* The formats of the dump, of figures that are made up. What real ones look like: tests/stats. */
#include "obs/report.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_MAX = 1 << 20 };

static struct report report;
static char shown[TEXT_MAX];

/* All of stats is made of uint64_t. */
static uint64_t *figure_at(size_t i)
{
    return (uint64_t *)(void *)&report.stats + i;
}

static void fill(uint64_t first, uint64_t step)
{
    for (size_t i = 0; i < sizeof report.stats / sizeof(uint64_t); i++)
        *figure_at(i) = first + i * step;
    report.why = "in a test";
    report.number = 7;
    report.what = DUMP_ALL;
    report.is_terminal = false;
}

static const char *show(void (*format)(struct report *))
{
    FILE *file = tmpfile();
    check(file != NULL);
    out_init(&report.out, fileno(file));
    format(&report);
    check(out_flush(&report.out));
    rewind(file);
    shown[fread(shown, 1, sizeof shown - 1, file)] = '\0';
    (void)fclose(file);
    return shown;
}

static size_t longest_line(const char *text)
{
    size_t longest = 0;
    for (const char *end = strchr(text, '\n'); end != NULL; end = strchr(text, '\n')) {
        longest = max_size(longest, (size_t)(end - text));
        text = end + 1;
    }
    check(*text == '\0');
    return longest;
}

/* A terabyte of 16-byte blocks, taken and freed a thousand times. */
static void test_text_fits_its_columns(void **state)
{
    (void)state;
    fill(UINT64_C(68719476736), 0);
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        report.stats.classes[class].allocs = UINT64_C(99999999999999);
        report.stats.classes[class].frees = UINT64_C(99999999999999);
        report.stats.classes[class].slabs = 9999999;
        report.stats.classes[class].live = 9999999999;
    }
    check(longest_line(show(report_text)) <= 100);
    report.is_terminal = true;
    check(strstr(show(report_text), "\033[1mtotals\033[0m\n") != NULL);
}

static void check_shows(const char *before, const char *name, const char *between, uint64_t n)
{
    char line[128];
    (void)snprintf(line, sizeof line, "%s%s%s%llu", before, name, between, (unsigned long long)n);
    if (strstr(shown, line) == NULL)
        check_failed(__FILE__, __LINE__, line);
}

/* Each figure is another number. */
static void test_all_figures_are_in_all_formats(void **state)
{
    (void)state;
    fill(1000, 3);
    (void)show(report_text);
    for (unsigned i = 0; i < N_TOTALS; i++) {
        char spaces[64];
        (void)snprintf(spaces, sizeof spaces, "%*s", 42 - (int)strlen(total_figures[i].name), "");
        check_shows("\n  ", total_figures[i].name, spaces, 1000 + i * 3);
    }
    (void)show(report_json);
    for (unsigned i = 0; i < N_TOTALS; i++)
        check_shows("    \"", total_figures[i].name, "\": ", 1000 + i * 3);
    for (unsigned i = 0; i < N_CLASS_FIGURES; i++)
        check_shows(", \"", class_figures[i].name, "\": ", 1000 + (N_TOTALS + i) * 3);
    (void)show(report_prom);
    for (unsigned i = 0; i < N_TOTALS; i++)
        check_shows("\npoolalloc_", total_figures[i].name,
                    total_figures[i].kind == FIGURE_COUNTER ? "_total " : " ", 1000 + i * 3);
}

static void test_no_more_than_is_asked_for(void **state)
{
    (void)state;
    static void (*const formats[])(struct report *) = {report_text, report_json, report_prom};
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        fill(1000, 3);
        report.what = DUMP_SUMMARY;
        size_t summary = strlen(show(formats[i]));
        report.what = DUMP_CLASSES;
        size_t classes = strlen(show(formats[i]));
        report.what = DUMP_ALL;
        check(summary < classes && classes < strlen(show(formats[i])));
    }
}

/* Of the process: only where the kernel has said so. */
static void test_figures_of_the_process(void **state)
{
    (void)state;
    fill(1000, 3);
    report.process[PROCESS_huge_bytes] = UINT64_C(98765432);
    report.process_is_known = false;
    check(strstr(show(report_text), "huge_bytes") == NULL);
    check(strstr(show(report_json), "\"process\"") == NULL);
    check(strstr(show(report_prom), "poolalloc_process") == NULL);
    report.process_is_known = true;
    check(strstr(show(report_text), "\nthe whole process, as the kernel says\n  huge_bytes ") !=
          NULL);
    check(strstr(shown, " 98765432 ") != NULL);
    check(strstr(show(report_json), "\"process\": {\n    \"huge_bytes\": 98765432\n  }") != NULL);
    check(strstr(show(report_prom), "\npoolalloc_process_huge_bytes 98765432\n") != NULL);
    report.what = DUMP_CLASSES;
    check(strstr(show(report_json), "\"process\"") == NULL);
}

static void test_figures_of_nothing(void **state)
{
    (void)state;
    fill(0, 0);
    const char *text = show(report_text);
    check(strstr(text, "  biggest classes           none\n") != NULL);
    check(strstr(text, "  waste                     0 B of 0 B resident, 100 %\n") != NULL);
    check(strstr(text, "  ! ") == NULL);
    check(strstr(show(report_json), "\"classes\": [\n  ]") != NULL);
}

static void test_one_is_one(void **state)
{
    (void)state;
    fill(1, 0);
    check(strstr(show(report_text), " in 1 block\n") != NULL);
    check(strstr(shown, " in 1 call\n") != NULL);
    fill(2, 0);
    check(strstr(show(report_text), " in 2 blocks\n") != NULL);
    check(strstr(shown, " in 2 calls\n") != NULL);
}

/* Of equals the smaller class comes first; large blocks are a class like others. */
static void test_the_biggest_classes(void **state)
{
    (void)state;
    fill(0, 0);
    report.stats.classes[class_of(64)].live = 1024;
    report.stats.classes[class_of(128)].live = 512;
    report.stats.classes[class_of(16)].live = 1;
    report.stats.large_live_bytes = 80 * 1024;
    check(strstr(show(report_text),
                 "  biggest classes           large: 80.0 KiB, 64: 64.0 KiB, 128: 64.0 KiB\n") !=
          NULL);
}

static void check_advice(const char *words)
{
    check(strstr(show(report_text), words) != NULL);
    check(strstr(show(report_json), words) != NULL);
}

static void test_advice(void **state)
{
    (void)state;
    fill(0, 0);
    struct class_stats *class = &report.stats.classes[class_of(96)];
    *class = (struct class_stats){.allocs = 1, .slabs = 200, .live = 682 * 50, .at_hand = 1};
    report.stats.resident_bytes = 100 * MIB;
    check_advice("class 96: 149 of 200 slabs could be free; ");
    class->live = 682 * 190;
    check(strstr(show(report_text), "  ! ") == NULL);

    report.stats.at_hand_bytes = 30 * MIB;
    check_advice("threads keep 30.0 MiB of free blocks at hand; ");
    report.stats.at_hand_bytes = 20 * MIB;
    report.stats.dirty_bytes = 50 * MIB;
    check_advice("50.0 MiB of free pages are held back; ");
    report.stats.dirty_bytes = 0;
    report.stats.page_ins_caused = 30000;
    check_advice("30000 pages were needed again soon after they were given back; ");
    report.stats.page_ins_avoided = 30001;
    report.stats.slack_bytes = 5 * MIB;
    report.stats.small_live_bytes = 20 * MIB;
    check_advice("blocks have 5.0 MiB more than was asked for; ");
    report.stats.slack_bytes = 2 * MIB;
    report.stats.free_bytes = 64 * MIB;
    report.stats.free_largest_bytes = 2 * MIB;
    check_advice("free pages are scattered, 2.0 MiB at most together; ");
    report.stats.free_largest_bytes = 32 * MIB;
    check(strstr(show(report_text), "  ! ") == NULL);
}

static void test_what_cannot_be_written_is_noticed(void **state)
{
    (void)state;
    fill(1, 1);
    out_init(&report.out, -1);
    report_json(&report);
    check(!out_flush(&report.out));
    /* Not even when the end of it could be. */
    int ends[2];
    check(pipe(ends) == 0);
    report.out.fd = ends[1];
    out_add(&report.out, "the end");
    check(!out_flush(&report.out));
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_fits_its_columns),
        cmocka_unit_test(test_all_figures_are_in_all_formats),
        cmocka_unit_test(test_no_more_than_is_asked_for),
        cmocka_unit_test(test_figures_of_the_process),
        cmocka_unit_test(test_figures_of_nothing),
        cmocka_unit_test(test_one_is_one),
        cmocka_unit_test(test_the_biggest_classes),
        cmocka_unit_test(test_advice),
        cmocka_unit_test(test_what_cannot_be_written_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
