/* SPDX-License-Identifier: MIT */
/*
 * The dump as one JSON object; LD_PRELOAD.md describes it.
 */
#include "obs/report.h"
#include "os/process.h"
#include "os/sys.h"

static void add_key(struct text *text, const char *comma, const char *name)
{
    text_add(text, comma);
    text_add(text, "\"");
    text_add(text, name);
    text_add(text, "\": ");
}

static void add_member(struct text *text, const char *comma, const char *name, uint64_t n)
{
    add_key(text, comma, name);
    text_add_number(text, n);
}

static void add_head(struct report *report)
{
    char name[64];
    os_program_name(name, sizeof name);
    struct text *text = out_line(&report->out);
    text_add(text, "{\n  \"schema\": \"poolalloc\"");
    add_member(text, ",\n  ", "version", REPORT_JSON_VERSION);
    add_member(text, ",\n  ", "pid", (uint64_t)sys_getpid());
    add_key(text, ",\n  ", "program");
    text_add(text, "\"");
    text_add_escaped(text, name);
    text_add(text, "\"");
    add_key(text, ",\n  ", "why");
    text_add(text, "\"");
    text_add_escaped(text, report->why);
    text_add(text, "\"");
    add_member(text, ",\n  ", "number", report->number);
}

static void add_totals(struct report *report)
{
    out_add(&report->out, ",\n  \"totals\": {");
    for (unsigned i = 0; i < N_TOTALS; i++)
        add_member(out_line(&report->out), i > 0 ? ",\n    " : "\n    ", total_figures[i].name,
                   stats_total(&report->stats, i));
    out_add(&report->out, "\n  }");
}

static void add_class(struct report *report, unsigned class, const char *comma)
{
    struct text *text = out_line(&report->out);
    text_add(text, comma);
    add_member(text, "{", "bytes", class_bytes(class));
    for (unsigned i = 0; i < N_CLASS_FIGURES; i++)
        add_member(out_line(&report->out), ", ", class_figures[i].name,
                   stats_of_class(&report->stats.classes[class], i));
    out_add(&report->out, "}");
}

static void add_classes(struct report *report)
{
    const char *comma = "\n    ";
    out_add(&report->out, ",\n  \"classes\": [");
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        if (report->stats.classes[class].allocs == 0)
            continue;
        add_class(report, class, comma);
        comma = ",\n    ";
    }
    out_add(&report->out, "\n  ]");
}

static void add_calls(struct report *report)
{
    out_add(&report->out, ",\n  \"system_calls\": {");
    for (unsigned i = 0; i < N_OS_CALLS; i++) {
        struct text *text = out_line(&report->out);
        add_key(text, i > 0 ? ",\n    " : "\n    ", os_call_names[i]);
        add_member(text, "{", "calls", report->stats.calls[i].n);
        add_member(text, ", ", "ns", report->stats.calls[i].ns);
        text_add(text, "}");
    }
    out_add(&report->out, "\n  }");
}

static void add_gaps(struct report *report)
{
    out_add(&report->out, ",\n  \"free_spans_by_size\": [");
    for (unsigned i = 0; i < N_SPAN_SIZES; i++) {
        struct text *text = out_line(&report->out);
        text_add(text, i > 0 ? ",\n    " : "\n    ");
        add_member(text, "{", "from_bytes", (uint64_t)PAGE_BYTES << i);
        add_member(text, ", ", "spans", report->stats.gaps[i]);
        text_add(text, "}");
    }
    out_add(&report->out, "\n  ]");
}

static void add_advice(struct report *report)
{
    const char *comma = "\n    \"";
    out_add(&report->out, ",\n  \"advice\": [");
    for (unsigned i = 0; i < N_ADVICE; i++) {
        char line[128];
        struct text advice;
        text_init(&advice, line, sizeof line - 1);
        if (!advice_say(&report->stats, i, &advice))
            continue;
        *advice.at = '\0';
        struct text *text = out_line(&report->out);
        text_add(text, comma);
        text_add_escaped(text, line);
        text_add(text, "\"");
        comma = ",\n    \"";
    }
    out_add(&report->out, "]");
}

void report_json(struct report *report)
{
    add_head(report);
    add_totals(report);
    if (report->what >= DUMP_CLASSES)
        add_classes(report);
    if (report->what >= DUMP_ALL) {
        add_calls(report);
        add_gaps(report);
        add_advice(report);
    }
    out_add(&report->out, "\n}\n");
}
