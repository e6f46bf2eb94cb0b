/* SPDX-License-Identifier: MIT */
/*
 * The dump as one JSON object; LD_PRELOAD.md describes it.
 */
#include "obs/report.h"
#include "os/clock.h"
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

static void add_string(struct text *text, const char *comma, const char *name, const char *string)
{
    add_key(text, comma, name);
    text_add(text, "\"");
    text_add_escaped(text, string);
    text_add(text, "\"");
}

static void add_head(struct report *report)
{
    char name[64];
    os_program_name(name, sizeof name);
    struct text *text = out_line(&report->out);
    text_add(text, "{\n  \"schema\": \"poolalloc\"");
    add_member(text, ",\n  ", "version", REPORT_JSON_VERSION);
    add_member(text, ",\n  ", "pid", (uint64_t)sys_getpid());
    add_string(text, ",\n  ", "program", name);
    add_string(text, ",\n  ", "why", report->why);
    add_member(text, ",\n  ", "number", report->number);
    add_member(text, ",\n  ", "time_ms", os_clock_of_day_ms());
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

static void add_process(struct report *report)
{
    if (!report->process_is_known)
        return;
    out_add(&report->out, ",\n  \"process\": {");
    report->n_items = 0;
    for (unsigned i = 0; i < N_PROCESS_FIGURES; i++)
        add_member(out_line(&report->out), report->n_items++ > 0 ? ",\n    " : "\n    ",
                   process_figures[i].name, report->process[i]);
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

static void add_object(struct report *report, const struct object_figures *object)
{
    struct text *text = out_line(&report->out);
    text_add(text, report->n_items++ > 0 ? ",\n    " : "\n    ");
    add_member(text, "{", "number", object->number);
    add_string(text, ", ", "kind", object->kind);
    add_string(text, ", ", "name", object->name);
    for (unsigned i = 0; i < N_OBJECT_FIGURES; i++)
        add_member(out_line(&report->out), ", ", object_figures[i].name,
                   report_object_figure(object, i));
    out_add(&report->out, "}");
}

static void add_objects(struct report *report)
{
    out_add(&report->out, ",\n  \"objects\": [");
    report->n_items = 0;
    bool is_all = report_objects(report, add_object);
    out_add(&report->out, "\n  ]");
    add_key(out_line(&report->out), ",\n  ", "objects_are_all");
    out_add(&report->out, is_all ? "true" : "false");
}

static void add_advice(struct report *report, const char *line)
{
    struct text *text = out_line(&report->out);
    text_add(text, report->n_items++ > 0 ? ",\n    \"" : "\n    \"");
    text_add_escaped(text, line);
    text_add(text, "\"");
}

static void add_all_advice(struct report *report)
{
    out_add(&report->out, ",\n  \"advice\": [");
    report->n_items = 0;
    advice_each(&report->stats, add_advice, report);
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
        add_process(report);
        add_gaps(report);
        add_objects(report);
        add_all_advice(report);
        report_sites_json(report);
    }
    out_add(&report->out, "\n}\n");
}
