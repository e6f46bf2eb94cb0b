/* SPDX-License-Identifier: MIT */
/*
 * The dump in Prometheus's text format, as its node exporter reads it from a file.
 */
#include "obs/report.h"

enum { NS_DECIMALS = 9 };

/* Counters are named _total there, and times are in seconds. */
static void add_name(struct text *text, const char *prefix, const struct figure *figure)
{
    text_add(text, "poolalloc_");
    text_add(text, prefix);
    text_add(text, figure->name);
    text_add(text, figure->kind == FIGURE_COUNTER ? "_total" : "");
}

static void add_head(struct report *report, const char *prefix, const struct figure *figure)
{
    struct text *text = out_line(&report->out);
    text_add(text, "# HELP ");
    add_name(text, prefix, figure);
    text_add(text, " ");
    text_add(text, figure->meaning);
    text_add(text, "\n# TYPE ");
    add_name(text, prefix, figure);
    text_add(text, figure->kind == FIGURE_COUNTER ? " counter\n" : " gauge\n");
}

static void add_sample(struct text *text, const char *prefix, const struct figure *figure,
                       const char *label)
{
    add_name(text, prefix, figure);
    text_add(text, "{");
    text_add(text, label);
    text_add(text, "=\"");
}

static void add_value(struct text *text, uint64_t n)
{
    text_add(text, " ");
    text_add_number(text, n);
    text_add(text, "\n");
}

static void add_totals(struct report *report)
{
    for (unsigned i = 0; i < N_TOTALS; i++) {
        add_head(report, "", &total_figures[i]);
        struct text *text = out_line(&report->out);
        add_name(text, "", &total_figures[i]);
        add_value(text, stats_total(&report->stats, i));
    }
}

static void add_class_figure(struct report *report, unsigned i)
{
    add_head(report, "class_", &class_figures[i]);
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        const struct class_stats *s = &report->stats.classes[class];
        if (s->allocs == 0)
            continue;
        struct text *text = out_line(&report->out);
        add_sample(text, "class_", &class_figures[i], "bytes");
        text_add_number(text, class_bytes(class));
        text_add(text, "\"}");
        add_value(text, stats_of_class(s, i));
    }
}

static const struct figure call_count = {"calls_by_kind", FIGURE_COUNTER, UNIT_OF_CALLS,
                                         "system calls"};
static const struct figure call_seconds = {"calls_by_kind_seconds", FIGURE_COUNTER, UNIT_OF_NS,
                                           "time in system calls"};
static const struct figure gap = {"free_spans_by_size", FIGURE_GAUGE, UNIT_OF_SPANS,
                                  "free spans of these bytes up to twice as many"};

static void add_calls(struct report *report)
{
    add_head(report, "", &call_count);
    for (unsigned i = 0; i < N_OS_CALLS; i++) {
        struct text *text = out_line(&report->out);
        add_sample(text, "", &call_count, "call");
        text_add(text, os_call_names[i]);
        text_add(text, "\"}");
        add_value(text, report->stats.calls[i].n);
    }
    add_head(report, "", &call_seconds);
    for (unsigned i = 0; i < N_OS_CALLS; i++) {
        struct text *text = out_line(&report->out);
        add_sample(text, "", &call_seconds, "call");
        text_add(text, os_call_names[i]);
        text_add(text, "\"}");
        text_add(text, " ");
        text_add_decimals(text, report->stats.calls[i].ns, NS_DECIMALS);
        text_add(text, "\n");
    }
}

static void add_process(struct report *report)
{
    for (unsigned i = 0; i < N_PROCESS_FIGURES && report->process_is_known; i++) {
        add_head(report, "process_", &process_figures[i]);
        struct text *text = out_line(&report->out);
        add_name(text, "process_", &process_figures[i]);
        add_value(text, report->process[i]);
    }
}

static void add_gaps(struct report *report)
{
    add_head(report, "", &gap);
    for (unsigned i = 0; i < N_SPAN_SIZES; i++) {
        struct text *text = out_line(&report->out);
        add_sample(text, "", &gap, "bytes");
        text_add_number(text, (uint64_t)PAGE_BYTES << i);
        text_add(text, "\"}");
        add_value(text, report->stats.gaps[i]);
    }
}

static void add_object(struct report *report, const struct object_figures *object)
{
    const struct figure *figure = &object_figures[report->figure];
    struct text *text = out_line(&report->out);
    add_sample(text, "object_", figure, "number");
    text_add_number(text, object->number);
    text_add(text, "\",kind=\"");
    text_add(text, object->kind);
    text_add(text, "\",name=\"");
    text_add_escaped(text, object->name);
    text_add(text, "\"}");
    add_value(text, report_object_figure(object, report->figure));
}

static void add_objects(struct report *report)
{
    for (report->figure = 0; report->figure < N_OBJECT_FIGURES; report->figure++) {
        add_head(report, "object_", &object_figures[report->figure]);
        (void)report_objects(report, add_object);
    }
}

void report_prom(struct report *report)
{
    add_totals(report);
    if (report->what >= DUMP_CLASSES) {
        for (unsigned i = 0; i < N_CLASS_FIGURES; i++)
            add_class_figure(report, i);
    }
    if (report->what >= DUMP_ALL) {
        add_calls(report);
        add_process(report);
        add_gaps(report);
        add_objects(report);
    }
}
