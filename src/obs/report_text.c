/* SPDX-License-Identifier: MIT */
/*
 * The dump for people: what matters first, then all of it in columns, at most 100 characters a
 * line.
 */
#include "obs/report.h"
#include "os/process.h"
#include "os/sys.h"

enum { LABEL_WIDTH = -26, N_BIGGEST = 3, BAR_WIDTH = 10 };

static void add_label(struct text *text, const char *label)
{
    text_add(text, "  ");
    text_add_padded(text, label, LABEL_WIDTH);
}

static void add_heading(struct report *report, const char *heading)
{
    struct text *text = out_line(&report->out);
    text_add(text, "\n");
    text_add(text, report->is_terminal ? "\033[1m" : "");
    text_add(text, heading);
    text_add(text, report->is_terminal ? "\033[0m\n" : "\n");
}

static void add_head(struct report *report)
{
    char name[64];
    struct text *text = out_line(&report->out);
    os_program_name(name, sizeof name);
    text_add(text, "poolalloc: dump of process ");
    text_add_number(text, (uint64_t)sys_getpid());
    text_add(text, "\n  ");
    text_add(text, name);
    text_add(text, ", ");
    text_add(text, report->why);
    text_add(text, ", number ");
    text_add_number(text, report->number);
    text_add(text, "\n");
}

/* ---- the facts that matter first ---- */

static void add_peak(struct text *text, const struct stats *stats)
{
    add_label(text, "peak");
    text_add_size(text, stats->used_peak_bytes);
    text_add(text, " in slabs and large blocks; ");
    text_add_size(text, stats->mapped_peak_bytes);
    text_add(text, " mapped\n");
}

static void add_live(struct text *text, const struct stats *stats)
{
    add_label(text, "live");
    text_add_size(text, stats->live_bytes);
    text_add(text, " in ");
    text_add_count(text, stats->live_blocks, "block");
    text_add(text, "\n");
}

/* Bytes in live blocks of a class, or in large ones: the class after the last. */
static uint64_t live_bytes_of(const struct stats *stats, unsigned class)
{
    return class < N_CLASSES ? stats->classes[class].live * class_bytes(class)
                             : stats->large_live_bytes;
}

/* The biggest below, in the order of (bytes, class); N_CLASSES + 1: there is none. */
static unsigned next_biggest(const struct stats *stats, unsigned than)
{
    unsigned best = N_CLASSES + 1;
    for (unsigned class = 0; class <= N_CLASSES; class ++) {
        uint64_t bytes = live_bytes_of(stats, class);
        bool is_below = than > N_CLASSES || bytes < live_bytes_of(stats, than) ||
                        (bytes == live_bytes_of(stats, than) && class > than);
        if (bytes > 0 && is_below && (best > N_CLASSES || bytes > live_bytes_of(stats, best)))
            best = class;
    }
    return best;
}

static void add_biggest(struct text *text, const struct stats *stats)
{
    add_label(text, "biggest classes");
    unsigned class = next_biggest(stats, N_CLASSES + 1);
    if (class > N_CLASSES)
        text_add(text, "none");
    for (unsigned i = 0; i < N_BIGGEST && class <= N_CLASSES; i++) {
        text_add(text, i > 0 ? ", " : "");
        if (class < N_CLASSES)
            text_add_number(text, class_bytes(class));
        else
            text_add(text, "large");
        text_add(text, ": ");
        text_add_size(text, live_bytes_of(stats, class));
        class = next_biggest(stats, class);
    }
    text_add(text, "\n");
}

static void add_waste(struct text *text, const struct stats *stats)
{
    uint64_t waste = stats->resident_bytes - stats->live_bytes;
    add_label(text, "waste");
    text_add_size(text, waste);
    text_add(text, " of ");
    text_add_size(text, stats->resident_bytes);
    text_add(text, " resident, ");
    text_add_percent(text, waste, stats->resident_bytes);
    text_add(text, " %\n");
}

static void add_system_time(struct text *text, const struct stats *stats)
{
    add_label(text, "system calls");
    text_add_time(text, stats->system_call_ns);
    text_add(text, " in ");
    text_add_count(text, stats->system_calls, "call");
    text_add(text, "\n");
}

static void add_facts(struct report *report)
{
    static void (*const facts[])(struct text *, const struct stats *) = {
        add_peak, add_live, add_biggest, add_waste, add_system_time,
    };
    add_heading(report, "in short");
    for (size_t i = 0; i < ARRAY_LEN(facts); i++)
        facts[i](out_line(&report->out), &report->stats);
}

/* ---- totals ---- */

static void add_total(struct text *text, const struct figure *figure, uint64_t n)
{
    add_label(text, figure->name);
    text_add_number_wide(text, n, 20);
    if (figure->unit == UNIT_OF_BYTES)
        text_add_size_wide(text, n, 14);
    if (figure->unit == UNIT_OF_NS)
        text_add_time_wide(text, n, 14);
    text_add(text, "\n");
}

static void add_totals(struct report *report)
{
    add_heading(report, "totals");
    for (unsigned i = 0; i < N_TOTALS; i++)
        add_total(out_line(&report->out), &total_figures[i], stats_total(&report->stats, i));
}

/* ---- classes ---- */

static void add_bar(struct text *text, uint64_t n, uint64_t of)
{
    unsigned length = of > 0 ? (unsigned)((n * BAR_WIDTH + of / 2) / of) : 0;
    text_add(text, "  ");
    for (unsigned i = 0; i < BAR_WIDTH; i++)
        text_add(text, i < length ? "#" : ".");
}

static void add_calls_of(struct text *text, uint64_t allocs, uint64_t frees, uint64_t live,
                         uint64_t bytes)
{
    text_add_number_wide(text, allocs, 15);
    text_add_number_wide(text, frees, 15);
    text_add_number_wide(text, live, 11);
    text_add_size_wide(text, bytes, 12);
}

static void add_class(struct text *text, unsigned class, const struct class_stats *s)
{
    text_add_number_wide(text, class_bytes(class), 8);
    add_calls_of(text, s->allocs, s->frees, s->live, s->live * class_bytes(class));
    text_add_number_wide(text, s->slabs, 8);
    add_bar(text, s->live, s->slabs * class_blocks_a_slab(class));
    text_add_size_wide(text, s->at_hand * class_bytes(class), 12);
    text_add(text, "\n");
}

static void add_large(struct text *text, const struct stats *stats)
{
    text_add_padded(text, "large", 8);
    add_calls_of(text, stats->large_allocs, stats->large_frees,
                 stats->large_allocs - stats->large_frees, stats->large_live_bytes);
    text_add(text, "\n");
}

static void add_classes(struct report *report)
{
    add_heading(report, "   class         allocs          frees       live       bytes   slabs"
                        "  in use     at hand");
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        if (report->stats.classes[class].allocs > 0)
            add_class(out_line(&report->out), class, &report->stats.classes[class]);
    }
    add_large(out_line(&report->out), &report->stats);
}

/* ---- system calls ---- */

static void add_calls(struct report *report)
{
    add_heading(report, "system calls                             calls          time");
    for (unsigned i = 0; i < N_OS_CALLS; i++) {
        struct text *text = out_line(&report->out);
        add_label(text, os_call_names[i]);
        text_add_number_wide(text, report->stats.calls[i].n, 18);
        text_add_time_wide(text, report->stats.calls[i].ns, 14);
        text_add(text, "\n");
    }
}

/* ---- the process ---- */

static void add_process(struct report *report)
{
    if (!report->process_is_known)
        return;
    add_heading(report, "the whole process, as the kernel says");
    for (unsigned i = 0; i < N_PROCESS_FIGURES; i++)
        add_total(out_line(&report->out), &process_figures[i], report->process[i]);
}

/* ---- fragmentation ---- */

static void add_share(struct report *report, const char *label, uint64_t bytes, uint64_t of)
{
    struct text *text = out_line(&report->out);
    add_label(text, label);
    text_add_size_wide(text, bytes, 12);
    text_add_number_wide(text, of > 0 ? (uint64_t)((double)bytes * 100 / (double)of + 0.5) : 0, 8);
    text_add(text, " %\n");
}

static void add_ratio(struct report *report)
{
    const struct stats *stats = &report->stats;
    struct text *text = out_line(&report->out);
    add_label(text, "resident / live");
    text_add(text, "        ");
    if (stats->live_bytes > 0)
        text_add_decimals(
            text, (uint64_t)((double)stats->resident_bytes * 100 / (double)stats->live_bytes + 0.5),
            2);
    text_add(text, "\n");
}

static void add_gaps(struct report *report)
{
    struct text *text = out_line(&report->out);
    add_label(text, "largest free run");
    text_add_size_wide(text, report->stats.free_largest_bytes, 12);
    text_add(text, "\n");
    for (unsigned i = 0; i < N_SPAN_SIZES; i++) {
        if (report->stats.gaps[i] == 0)
            continue;
        text = out_line(&report->out);
        text_add(text, "  free runs from ");
        text_add_size_wide(text, (uint64_t)PAGE_BYTES << i, -11);
        text_add_number_wide(text, report->stats.gaps[i], 12);
        text_add(text, "\n");
    }
}

static void add_advice(struct report *report, const char *line)
{
    struct text *text = out_line(&report->out);
    text_add(text, "  ! ");
    text_add(text, line);
    text_add(text, "\n");
}

static void add_fragmentation(struct report *report)
{
    const struct stats *stats = &report->stats;
    uint64_t resident = stats->resident_bytes;
    add_heading(report, "fragmentation                     bytes   of resident");
    add_share(report, "not asked for, estimated", stats->slack_bytes, resident);
    add_share(report, "free in used slabs", stats->slab_free_bytes, resident);
    add_share(report, "at hand", stats->at_hand_bytes, resident);
    add_share(report, "free pages held back", stats->dirty_bytes, resident);
    add_share(report, "our own records", stats->record_used_bytes, resident);
    add_ratio(report);
    add_gaps(report);
    advice_each(stats, add_advice, report);
}

/* ---- objects ---- */

/* Bytes, where a piece is one. */
static void add_pieces(struct text *text, const struct object_figures *object, uint64_t n)
{
    if (object->piece_bytes == 1)
        text_add_size_wide(text, n, 12);
    else
        text_add_number_wide(text, n, 12);
}

static void add_object(struct report *report, const struct object_figures *object)
{
    if (report->n_items++ == 0)
        add_heading(report, "objects                                        bytes      in use"
                            "        peak      pieces      memory");
    struct text *text = out_line(&report->out);
    text_add(text, "  ");
    text_add_padded(text, object->kind, -8);
    text_add_shown(text, object->name, -OBJECT_NAME_BYTES);
    text_add_number_wide(text, object->piece_bytes, 10);
    add_pieces(text, object, object->in_use);
    add_pieces(text, object, object->in_use_peak);
    add_pieces(text, object, object->pieces);
    text_add_size_wide(text, object->memory_bytes, 12);
    text_add(text, "\n");
    if (object->failures + object->waits == 0)
        return;
    text_add(text, "          calls that got nothing: ");
    text_add_number(text, object->failures);
    text_add(text, ", that waited: ");
    text_add_number(text, object->waits);
    text_add(text, "\n");
}

static void add_objects(struct report *report)
{
    report->n_items = 0;
    if (!report_objects(report, add_object))
        out_add(&report->out, "  and more\n");
}

void report_text(struct report *report)
{
    add_head(report);
    add_facts(report);
    add_totals(report);
    if (report->what >= DUMP_CLASSES)
        add_classes(report);
    if (report->what >= DUMP_ALL) {
        add_calls(report);
        add_process(report);
        add_fragmentation(report);
        add_objects(report);
        report_sites_text(report);
    }
}
