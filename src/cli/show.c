/* SPDX-License-Identifier: MIT */
#include "cli/show.h"

#include "cli/figure.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void add_title(struct bytes *out, const struct dump *dump)
{
    bytes_add_shown(out, *dump->program != '\0' ? dump->program : "?");
    bytes_printf(out, ", process %llu: ", (unsigned long long)dump->pid);
    if (dump->number > 0)
        bytes_printf(out, "dump %llu, ", (unsigned long long)dump->number);
    bytes_add_shown(out, *dump->why != '\0' ? dump->why : "when it was asked");
}

/* ---- what there is room for ---- */

/* Rows of each part; SIZE_MAX: all. */
struct plan {
    bool is_small; /* the totals in a few rows, without headings */
    size_t classes;
    size_t objects;
    size_t advice;
    size_t sites;
};

enum { TOTALS_ROWS = 21, TOTALS_ROWS_SMALL = 8, TABLES_ROWS = 16, SITES_MAX = 5, FRAMES_MAX = 4 };

static size_t at_most(size_t n, size_t most)
{
    return n < most ? n : most;
}

/* Classes get what the others leave: advice three rows at most, objects a third. Each of these has
 * a heading, in a large screen below an empty row, and maybe a row about what was left out. */
static struct plan plan_rows(const struct dump *dump, int rows)
{
    struct plan plan = {.is_small = rows < TOTALS_ROWS + TABLES_ROWS};
    size_t n_objects = dump_count(dump, dump->objects);
    size_t n_advice = dump_count(dump, dump->advice);
    int heading = plan.is_small ? 1 : 2;
    int left = rows - (plan.is_small ? TOTALS_ROWS_SMALL : TOTALS_ROWS + (dump->process != NULL));
    if (n_advice > 0) {
        plan.advice = at_most(n_advice, 3);
        left -= heading + (int)plan.advice;
    }
    if (n_objects > 0) {
        plan.objects = at_most(n_objects, left > 12 ? (size_t)left / 3 : 3);
        left -= heading + (int)plan.objects + (plan.objects < n_objects);
    }
    left -= heading + 2 + !plan.is_small;
    plan.classes = left > 1 ? (size_t)left : 1;
    return plan;
}

static struct plan plan_of(const struct dump *dump, const struct showing *how)
{
    size_t all = how->rows_max > 0 ? how->rows_max : SIZE_MAX;
    if (how->rows > 0)
        return plan_rows(dump, how->rows);
    return (struct plan){.classes = all,
                         .objects = all,
                         .advice = SIZE_MAX,
                         .sites = how->rows_max > 0 ? SITES_MAX : SIZE_MAX};
}

static void add_section(struct bytes *out, const struct showing *how, const struct plan *plan,
                        const char *heading)
{
    if (!plan->is_small)
        bytes_add_text(out, "\n");
    add_heading(out, &how->screen, heading);
}

/* ---- memory ---- */

/* Four sizes, each part of the next. */
static void add_sizes(struct bytes *out, const struct dump *dump, const struct showing *how)
{
    static const struct {
        const char *name;
        const char *figure;
        const char *peak;
    } rows[] = {
        {"live", "live_bytes", "live_peak_bytes"},
        {"active", "active_bytes", NULL},
        {"resident", "resident_bytes", "resident_peak_bytes"},
        {"mapped", "mapped_bytes", "mapped_peak_bytes"},
    };
    uint64_t whole = dump_total(dump, "mapped_bytes");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t n = dump_total(dump, rows[i].figure);
        bytes_printf(out, "  %-14s %10s         ", rows[i].name, as_bytes(n).at);
        add_bar(out, &how->screen, n, whole, how->screen.columns - 56);
        if (rows[i].peak != NULL)
            bytes_printf(out, "  peak %10s", as_bytes(dump_total(dump, rows[i].peak)).at);
        end_line(out);
    }
}

/* Not a part of the others: the kernel does not tell ours from the rest of the process's. */
static void add_huge(struct bytes *out, const struct dump *dump)
{
    if (dump->process == NULL)
        return;
    uint64_t n = json_count(&dump->json, dump->process, "huge_bytes");
    bytes_printf(out, "  %-14s %10s  of the whole process\n", "in huge pages", as_bytes(n).at);
}

static void add_shares(struct bytes *out, const struct dump *dump, const struct showing *how)
{
    struct share shares[N_SHARES];
    uint64_t whole = dump_total(dump, "resident_bytes");
    dump_shares(dump, shares);
    for (int i = 0; i < N_SHARES; i++) {
        bytes_printf(out, "  %-14s %10s  %5s  ", shares[i].name, as_bytes(shares[i].bytes).at,
                     as_percent(shares[i].bytes, whole).at);
        add_bar(out, &how->screen, shares[i].bytes, whole, how->screen.columns - 73);
        bytes_printf(out, "  %s\n", shares[i].meaning);
    }
}

/* The same in one row, without what is none. */
static void add_shares_small(struct bytes *out, const struct dump *dump)
{
    struct share shares[N_SHARES];
    uint64_t whole = dump_total(dump, "resident_bytes");
    const char *before = "  of resident: ";
    dump_shares(dump, shares);
    for (int i = 0; i < N_SHARES; i++) {
        if (shares[i].bytes == 0)
            continue;
        bytes_printf(out, "%s%s %s", before, shares[i].name, as_percent(shares[i].bytes, whole).at);
        before = ", ";
    }
    bytes_add_text(out, "\n");
}

/* ---- calls ---- */

static uint64_t grown(const struct dump *dump, const struct dump *before, const char *name)
{
    uint64_t now = dump_total(dump, name);
    uint64_t then = dump_total(before, name);
    return now > then ? now - then : 0;
}

static void add_rate(struct bytes *out, const struct dump *dump, const struct showing *how,
                     const char *name)
{
    if (how->before == NULL || how->seconds <= 0)
        return;
    double rate = (double)grown(dump, how->before, name) / how->seconds;
    bytes_printf(out, " (%s a second)", as_number(count_from(rate)).at);
}

static void add_calls(struct bytes *out, const struct dump *dump, const struct showing *how)
{
    bytes_printf(out, "  %-14s %10s", "live", as_number(dump_total(dump, "live_blocks")).at);
    bytes_printf(out, "\n  %-14s %10s", "taken", as_number(dump_total(dump, "allocs")).at);
    add_rate(out, dump, how, "allocs");
    bytes_printf(out, "\n  %-14s %10s", "given back", as_number(dump_total(dump, "frees")).at);
    add_rate(out, dump, how, "frees");
    bytes_printf(out, "\n  %-14s %10s in %s", "system calls",
                 as_number(dump_total(dump, "system_calls")).at,
                 as_time(dump_total(dump, "system_call_ns")).at);
    add_rate(out, dump, how, "system_calls");
    bytes_add_text(out, "\n");
}

static void add_calls_small(struct bytes *out, const struct dump *dump, const struct showing *how)
{
    bytes_printf(out, "  blocks: %s live", as_number(dump_total(dump, "live_blocks")).at);
    bytes_printf(out, ", %s taken", as_number(dump_total(dump, "allocs")).at);
    add_rate(out, dump, how, "allocs");
    bytes_printf(out, ", %s given back", as_number(dump_total(dump, "frees")).at);
    bytes_printf(out, "\n  system calls: %s in %s", as_number(dump_total(dump, "system_calls")).at,
                 as_time(dump_total(dump, "system_call_ns")).at);
    add_rate(out, dump, how, "system_calls");
    bytes_add_text(out, "\n");
}

static void add_totals(struct bytes *out, const struct dump *dump, const struct showing *how,
                       const struct plan *plan)
{
    if (plan->is_small) {
        add_sizes(out, dump, how);
        add_shares_small(out, dump);
        add_calls_small(out, dump, how);
        return;
    }
    add_section(out, how, plan, "memory");
    add_sizes(out, dump, how);
    add_huge(out, dump);
    add_section(out, how, plan, "where the resident memory is");
    add_shares(out, dump, how);
    add_section(out, how, plan, "blocks");
    add_calls(out, dump, how);
}

/* ---- classes ---- */

struct row {
    const struct json_value *value;
    uint64_t order;
};

static int more_first(const void *a, const void *b)
{
    uint64_t of_a = ((const struct row *)a)->order;
    uint64_t of_b = ((const struct row *)b)->order;
    return (of_a < of_b) - (of_a > of_b);
}

static uint64_t class_memory(const struct dump *dump, const struct json_value *class)
{
    uint64_t sum;
    if (__builtin_add_overflow(class_bytes_of(dump, class, "live"),
                               class_bytes_of(dump, class, "at_hand"), &sum) ||
        __builtin_add_overflow(sum, class_bytes_of(dump, class, "slab_free"), &sum))
        return UINT64_MAX;
    return sum;
}

static uint64_t object_memory(const struct dump *dump, const struct json_value *object)
{
    return json_count(&dump->json, object, "memory_bytes");
}

typedef uint64_t memory_function(const struct dump *dump, const struct json_value *value);

/* Those of an array, those with the most memory first; free() them. */
static struct row *rows_sorted(const struct dump *dump, const struct json_value *array,
                               memory_function *memory, size_t *n)
{
    *n = dump_count(dump, array);
    struct row *rows = need(calloc(*n + 1, sizeof *rows));
    size_t i = 0;
    EACH_VALUE(&dump->json, value, array)
    {
        rows[i++] = (struct row){.value = value, .order = memory(dump, value)};
    }
    qsort(rows, *n, sizeof *rows, more_first);
    return rows;
}

static void add_rest(struct bytes *out, size_t n, size_t shown, const char *what)
{
    if (shown < n)
        bytes_printf(out, "  and %zu %s with less\n", n - shown, what);
}

static void add_class(struct bytes *out, const struct dump *dump, const struct row *row,
                      const struct showing *how)
{
    const struct json_value *class = row->value;
    uint64_t live = class_bytes_of(dump, class, "live");
    bytes_printf(out, "  %6s %14s %10s %10s %10s %6s  ",
                 as_number(json_count(&dump->json, class, "bytes")).at,
                 as_number(json_count(&dump->json, class, "live")).at, as_bytes(live).at,
                 as_bytes(class_bytes_of(dump, class, "at_hand")).at,
                 as_bytes(class_bytes_of(dump, class, "slab_free")).at,
                 as_number(json_count(&dump->json, class, "slabs")).at);
    add_bar(out, &how->screen, live, row->order, 10);
    end_line(out);
}

static void add_class_headings(struct bytes *out, const struct showing *how,
                               const struct plan *plan)
{
    if (!plan->is_small)
        add_section(out, how, plan, "classes, most memory first");
    add_heading(out, &how->screen,
                "   class    live blocks      bytes    at hand    in slabs  slabs  live");
}

static void add_classes(struct bytes *out, const struct dump *dump, const struct showing *how,
                        const struct plan *plan)
{
    size_t n;
    struct row *rows = rows_sorted(dump, dump->classes, class_memory, &n);
    size_t shown = at_most(n, plan->classes);
    if (dump->classes != NULL)
        add_class_headings(out, how, plan);
    for (size_t i = 0; i < shown; i++)
        add_class(out, dump, &rows[i], how);
    add_rest(out, n, shown, "classes");
    if (dump->classes != NULL)
        bytes_printf(out, "   large %14s %10s\n", as_number(dump_large_live(dump)).at,
                     as_bytes(dump_total(dump, "large_live_bytes")).at);
    free(rows);
}

/* ---- objects ---- */

static void add_object(struct bytes *out, const struct dump *dump, const struct json_value *object)
{
    const struct json *json = &dump->json;
    struct bytes name = {0};
    bytes_add_shown(&name, json_text(json, object, "kind"));
    bytes_add_text(&name, " ");
    bytes_add_shown(&name, json_text(json, object, "name"));
    bytes_add_text(out, "  ");
    add_fitted(out, name.at, 28);
    bytes_printf(out, " %12s %12s %12s %10s\n", as_number(json_count(json, object, "in_use")).at,
                 as_number(json_count(json, object, "in_use_peak")).at,
                 as_number(json_count(json, object, "pieces")).at,
                 as_bytes(object_memory(dump, object)).at);
    bytes_free(&name);
}

static void add_objects(struct bytes *out, const struct dump *dump, const struct showing *how,
                        const struct plan *plan)
{
    size_t n;
    struct row *rows = rows_sorted(dump, dump->objects, object_memory, &n);
    size_t shown = at_most(n, plan->objects);
    if (n > 0)
        add_section(
            out, how, plan,
            "  object                             in use         peak       pieces     memory");
    for (size_t i = 0; i < shown; i++)
        add_object(out, dump, rows[i].value);
    add_rest(out, n, shown, "objects");
    free(rows);
}

/* ---- who allocated it ---- */

void add_frame(struct bytes *out, const struct dump *dump, const struct json_value *frame)
{
    const struct json *json = &dump->json;
    bytes_add_shown(out, json_text(json, frame, "symbol"));
    bytes_printf(out, "+0x%llx ", (unsigned long long)json_count(json, frame, "offset"));
    bytes_add_shown(out, json_text(json, frame, "object"));
}

static void add_site(struct bytes *out, const struct dump *dump, const struct json_value *site,
                     size_t n_frames)
{
    size_t n = 0;
    const struct json_value *frames = json_member(&dump->json, site, "frames");
    bytes_printf(out, "  %s in %s, %s\n", as_bytes(json_count(&dump->json, site, "bytes")).at,
                 as_count(json_count(&dump->json, site, "blocks"), "block").at,
                 json_first(&dump->json, frames) != NULL ? "allocated by" : UNKNOWN_SITE);
    EACH_VALUE(&dump->json, frame, frames)
    {
        if (n++ >= n_frames)
            break;
        bytes_add_text(out, "      ");
        add_frame(out, dump, frame);
        bytes_add_text(out, "\n");
    }
}

/* They come with most bytes first. */
static void add_sites(struct bytes *out, const struct dump *dump, const struct showing *how,
                      const struct plan *plan)
{
    size_t n = dump_count(dump, dump->sites);
    size_t shown = at_most(n, plan->sites);
    size_t i = 0;
    if (shown == 0)
        return;
    add_section(out, how, plan, "live blocks by who allocated them");
    EACH_VALUE(&dump->json, site, dump->sites)
    {
        if (i++ < shown)
            add_site(out, dump, site, how->rows_max > 0 ? FRAMES_MAX : SIZE_MAX);
    }
    add_rest(out, n, shown, "stacks");
}

/* ---- all of it ---- */

static void add_advice(struct bytes *out, const struct dump *dump, const struct showing *how,
                       const struct plan *plan)
{
    size_t n = 0;
    if (json_first(&dump->json, dump->advice) != NULL)
        add_section(out, how, plan, "advice");
    EACH_VALUE(&dump->json, line, dump->advice)
    {
        if (line->kind != JSON_STRING || n++ >= plan->advice)
            continue;
        bytes_add_text(out, "  ");
        bytes_add_shown(out, line->text);
        bytes_add_text(out, "\n");
    }
}

void show_dump(struct bytes *out, const struct dump *dump, const struct showing *how)
{
    struct plan plan = plan_of(dump, how);
    add_title(out, dump);
    bytes_add_text(out, "\n");
    add_totals(out, dump, how, &plan);
    add_classes(out, dump, how, &plan);
    add_objects(out, dump, how, &plan);
    add_sites(out, dump, how, &plan);
    add_advice(out, dump, how, &plan);
}
