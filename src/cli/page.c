/* SPDX-License-Identifier: MIT */
#include "cli/page.h"

#include "cli/figure.h"
#include "cli/html.h"
#include "cli/show.h"

#include <stdlib.h>
#include <string.h>

enum { CHART_HEIGHT = 240, LABELS_BELOW = 28, NAMES_BELOW = 58, OBJECTS_MAX = 100, SITES_MAX = 50 };

/* Wider than a small screen they are moved by hand. */
#define TABLE_BEGIN "<div class=\"wide\"><table>\n"
#define TABLE_END   "</table></div>\n"

/* All dumps, and when they were written: how long after the first; 0, 1, 2 where nobody knows. */
struct series {
    struct bytes *out;
    const struct dump *dumps;
    size_t n;
    double *x;
    const char *unit;
    const struct dump *last;
    const struct dump *fullest; /* with the most live memory: the last may be of the exit */
};

static bool times_are_known(const struct series *series)
{
    for (size_t i = 1; i < series->n; i++) {
        if (series->dumps[i - 1].written_ms == 0 ||
            series->dumps[i].written_ms <= series->dumps[i - 1].written_ms)
            return false;
    }
    return series->n > 1;
}

/* In seconds, minutes or hours, so that there are a few of them. */
static void find_times(struct series *series)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{" s", 1e3}, {" min", 60e3}, {" h", 3600e3}};
    if (!times_are_known(series)) {
        for (size_t i = 0; i < series->n; i++)
            series->x[i] = (double)i;
        series->unit = "";
        return;
    }
    const struct dump *first = &series->dumps[0];
    size_t unit = 0;
    while (unit < 2 &&
           (double)(series->last->written_ms - first->written_ms) > 180 * units[unit].ms)
        unit++;
    for (size_t i = 0; i < series->n; i++)
        series->x[i] = (double)(series->dumps[i].written_ms - first->written_ms) / units[unit].ms;
    series->unit = units[unit].name;
}

/* ---- the head ---- */

/* Peaks are of all the time up to a dump: the last one knows the most. */
static void add_tile(const struct series *series, const char *figure, const char *name,
                     const char *peak)
{
    bytes_printf(series->out, "<div><i>%s</i><b>%s</b>", name,
                 as_named(figure, dump_total(series->fullest, figure)).at);
    if (peak != NULL)
        bytes_printf(series->out, "<i>peak %s</i>",
                     as_named(peak, dump_total(series->last, peak)).at);
    bytes_add_text(series->out, "</div>\n");
}

static void add_head(const struct series *series)
{
    struct bytes *out = series->out;
    const struct dump *dump = series->fullest;
    bytes_add_text(out, "<h1>");
    html_add(out, dump->program);
    bytes_printf(out, "</h1>\n<p>Process %llu, ", (unsigned long long)dump->pid);
    if (series->n > 1)
        bytes_printf(
            out, "%zu dumps. Figures and pictures of one moment are of that when most was live: ",
            series->n);
    bytes_printf(out, "dump %llu, written ", (unsigned long long)dump->number);
    html_add(out, dump->why);
    bytes_add_text(out, ".</p>\n<div class=\"tiles\">\n");
    add_tile(series, "live_bytes", "live", "live_peak_bytes");
    add_tile(series, "resident_bytes", "resident", "resident_peak_bytes");
    add_tile(series, "mapped_bytes", "mapped", "mapped_peak_bytes");
    add_tile(series, "live_blocks", "live blocks", NULL);
    add_tile(series, "allocs", "blocks taken", NULL);
    add_tile(series, "system_calls", "system calls", NULL);
    bytes_add_text(out, "</div>\n");
}

static void add_advice(const struct series *series)
{
    const struct dump *dump = series->fullest;
    if (json_first(&dump->json, dump->advice) == NULL)
        return;
    bytes_add_text(series->out, "<h2>Advice</h2>\n<ul>\n");
    EACH_VALUE(&dump->json, line, dump->advice)
    {
        bytes_add_text(series->out, "<li>");
        html_add(series->out, line->kind == JSON_STRING ? line->text : "");
        bytes_add_text(series->out, "</li>\n");
    }
    bytes_add_text(series->out, "</ul>\n");
}

/* ---- over time ---- */

static double most_of(const struct series *series, const char *figure)
{
    double most = 0;
    for (size_t i = 0; i < series->n; i++) {
        double n = (double)dump_total(&series->dumps[i], figure);
        most = n > most ? n : most;
    }
    return most;
}

static void add_line(const struct series *series, const struct chart *chart, const char *figure,
                     int colour)
{
    bytes_printf(series->out, "<polyline class=\"line c%d\" points=\"", colour);
    for (size_t i = 0; i < series->n; i++)
        bytes_printf(series->out, "%.1f,%.1f ", chart_x(chart, series->x[i]),
                     chart_y(chart, (double)dump_total(&series->dumps[i], figure)));
    bytes_add_text(series->out, "\"/>\n");
}

static void add_sizes(const struct series *series)
{
    static const struct html_key keys[] = {
        {"mapped: address space", 5}, {"resident: in memory", 2}, {"live: the program's", 0}};
    struct chart chart = {series->out, "bytes", most_of(series, "mapped_bytes"),
                          series->x[series->n - 1], CHART_HEIGHT};
    bytes_add_text(series->out, "<h2>Memory over time</h2>\n");
    html_legend(series->out, keys, 3);
    chart_begin(&chart, "Memory over time", LABELS_BELOW);
    add_line(series, &chart, "mapped_bytes", 5);
    add_line(series, &chart, "resident_bytes", 2);
    add_line(series, &chart, "live_bytes", 0);
    chart_time(&chart, series->unit);
    chart_end(&chart);
}

/* Of dump i, what is in the shares below `share`, and with it. */
static double share_sum(const struct series *series, size_t i, int n_shares)
{
    struct share shares[N_SHARES];
    double sum = 0;
    dump_shares(&series->dumps[i], shares);
    for (int share = 0; share < n_shares; share++)
        sum += (double)shares[share].bytes;
    return sum;
}

static void add_area(const struct series *series, const struct chart *chart, int share)
{
    bytes_printf(series->out, "<polygon class=\"c%d\" points=\"", share);
    for (size_t i = 0; i < series->n; i++)
        bytes_printf(series->out, "%.1f,%.1f ", chart_x(chart, series->x[i]),
                     chart_y(chart, share_sum(series, i, share + 1)));
    for (size_t i = series->n; i-- > 0;)
        bytes_printf(series->out, "%.1f,%.1f ", chart_x(chart, series->x[i]),
                     chart_y(chart, share_sum(series, i, share)));
    bytes_add_text(series->out, "\"/>\n");
}

static void share_legend(const struct series *series)
{
    struct share shares[N_SHARES];
    struct html_key keys[N_SHARES];
    dump_shares(series->fullest, shares);
    for (int i = 0; i < N_SHARES; i++)
        keys[i] = (struct html_key){shares[i].name, i};
    html_legend(series->out, keys, N_SHARES);
}

static void add_areas(const struct series *series)
{
    struct chart chart = {series->out, "bytes", most_of(series, "resident_bytes"),
                          series->x[series->n - 1], CHART_HEIGHT};
    bytes_add_text(series->out, "<h2>What the resident memory was</h2>\n");
    share_legend(series);
    chart_begin(&chart, "What the resident memory was", LABELS_BELOW);
    for (int share = 0; share < N_SHARES; share++)
        add_area(series, &chart, share);
    chart_time(&chart, series->unit);
    chart_end(&chart);
}

/* ---- of the fullest dump ---- */

static void add_shares(const struct series *series)
{
    struct bytes *out = series->out;
    struct share shares[N_SHARES];
    double whole = (double)dump_total(series->fullest, "resident_bytes");
    double x = 0;
    dump_shares(series->fullest, shares);
    bytes_add_text(out, "<h2>Where the resident memory is</h2>\n"
                        "<svg viewBox=\"0 0 960 36\" role=\"img\">\n");
    for (int i = 0; i < N_SHARES; i++) {
        double width = whole > 0 ? 960 * (double)shares[i].bytes / whole : 0;
        bytes_printf(out,
                     "<rect class=\"c%d\" x=\"%.1f\" width=\"%.1f\" height=\"36\"><title>%s: "
                     "%s</title></rect>\n",
                     i, x, width, shares[i].name, as_bytes(shares[i].bytes).at);
        x += width;
    }
    bytes_add_text(out, "</svg>\n" TABLE_BEGIN);
    for (int i = 0; i < N_SHARES; i++)
        bytes_printf(
            out,
            "<tr><td><svg class=\"key\" viewBox=\"0 0 12 12\"><rect class=\"c%d\" rx=\"3\" "
            "width=\"12\" height=\"12\"/></svg>%s, %s</td><td>%s</td><td>%s</td></tr>\n",
            i, shares[i].name, shares[i].meaning, as_bytes(shares[i].bytes).at,
            as_percent(shares[i].bytes, dump_total(series->fullest, "resident_bytes")).at);
    bytes_add_text(out, TABLE_END);
}

/* A column of several parts, one on the other. */
struct column {
    double x;
    double width;
    double y;
};

static void add_part(const struct chart *chart, struct column *column, int colour, double n,
                     const char *title, struct figure_text figure)
{
    double top = chart_y(chart, column->y + n);
    if (n <= 0)
        return;
    bytes_printf(chart->out,
                 "<rect class=\"c%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.2f\">"
                 "<title>%s %s</title></rect>\n",
                 colour, column->x, top, column->width, chart_y(chart, column->y) - top, title,
                 figure.at);
    column->y += n;
}

static void add_name(const struct chart *chart, const struct column *column, const char *name)
{
    double x = column->x + column->width / 2 + 4;
    double y = CHART_TOP + chart->height + 12;
    bytes_printf(chart->out,
                 "<g class=\"names\"><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\" "
                 "transform=\"rotate(-60 %.1f "
                 "%.1f)\">%s</text></g>\n",
                 x, y, x, y, name);
}

static struct column column_of(size_t i, size_t n)
{
    double step = (double)(CHART_RIGHT - CHART_LEFT) / (double)(n > 8 ? n : 8);
    return (struct column){CHART_LEFT + step * (double)i + step * 0.1, step * 0.8, 0};
}

static const char *const kinds[] = {"live", "at_hand", "slab_free"};
enum { N_KINDS = 3 };

static double class_sum(const struct dump *dump, const struct json_value *class)
{
    double sum = 0;
    for (int i = 0; i < N_KINDS; i++)
        sum += (double)class_bytes_of(dump, class, kinds[i]);
    return sum;
}

static void add_class_column(const struct dump *dump, const struct chart *chart,
                             const struct json_value *class, struct column column)
{
    static const char *const words[] = {"live", "at hand", "free in slabs"};
    struct figure_text name = as_number(json_count(&dump->json, class, "bytes"));
    for (int i = 0; i < N_KINDS; i++) {
        struct bytes title = {0};
        uint64_t n = class_bytes_of(dump, class, kinds[i]);
        bytes_printf(&title, "%s: %s", name.at, words[i]);
        add_part(chart, &column, i, (double)n, title.at, as_bytes(n));
        bytes_free(&title);
    }
    add_name(chart, &column, name.at);
}

static void add_classes(const struct series *series)
{
    static const struct html_key keys[] = {{"live", 0}, {"at hand", 1}, {"free in slabs", 2}};
    const struct dump *dump = series->fullest;
    struct chart chart = {series->out, "bytes", 1, 1, CHART_HEIGHT};
    size_t n = dump_count(dump, dump->classes);
    size_t i = 0;
    if (n == 0)
        return;
    EACH_VALUE(&dump->json, class, dump->classes)
    {
        double sum = class_sum(dump, class);
        chart.y_most = sum > chart.y_most ? sum : chart.y_most;
    }
    bytes_printf(
        series->out,
        "<h2>Memory by block size</h2>\n<p>Larger blocks are whole pages, and of no class: "
        "%s live.</p>\n",
        as_bytes(dump_total(dump, "large_live_bytes")).at);
    html_legend(series->out, keys, N_KINDS);
    chart_begin(&chart, "Memory by block size", NAMES_BELOW);
    EACH_VALUE(&dump->json, class, dump->classes)
    add_class_column(dump, &chart, class, column_of(i++, n));
    chart_end(&chart);
}

/* ---- fragmentation ---- */

static const char *const fillings[] = {"slabs_full", "slabs_to_99", "slabs_to_75", "slabs_to_50",
                                       "slabs_to_25"};
static const struct html_key filling_keys[] = {
    {"full", 0}, {"three quarters out, and more", 1}, {"half", 3}, {"a quarter", 2}, {"less", 5}};
enum { N_FILLINGS = 5 };

static void add_filling(const struct dump *dump, const struct chart *chart,
                        const struct json_value *class, struct column column)
{
    struct figure_text name = as_number(json_count(&dump->json, class, "bytes"));
    double slabs = (double)json_count(&dump->json, class, "slabs");
    for (int i = 0; i < N_FILLINGS && slabs > 0; i++) {
        struct bytes title = {0};
        uint64_t n = json_count(&dump->json, class, fillings[i]);
        bytes_printf(&title, "%s, %s, slabs:", name.at, filling_keys[i].name);
        double share = 100 * (double)n / slabs;
        add_part(chart, &column, filling_keys[i].colour, share < 100 ? share : 100, title.at,
                 as_number(n));
        bytes_free(&title);
    }
    add_name(chart, &column, name.at);
}

static void add_fillings(const struct series *series)
{
    const struct dump *dump = series->fullest;
    struct chart chart = {series->out, "percent", 100, 1, CHART_HEIGHT * 2.0 / 3};
    size_t n = dump_count(dump, dump->classes);
    size_t i = 0;
    if (n == 0)
        return;
    bytes_add_text(series->out,
                   "<h2>Fragmentation: how full slabs are</h2>\n<p>Percent of each block size's "
                   "slabs. A slab goes back to the kernel when it is empty: many slabs of which "
                   "little is out are memory that a few blocks hold on to.</p>\n");
    html_legend(series->out, filling_keys, N_FILLINGS);
    chart_begin(&chart, "How full slabs are", NAMES_BELOW);
    EACH_VALUE(&dump->json, class, dump->classes)
    add_filling(dump, &chart, class, column_of(i++, n));
    chart_end(&chart);
}

static void add_spans(const struct series *series)
{
    const struct dump *dump = series->fullest;
    struct chart chart = {series->out, "spans", 1, 1, CHART_HEIGHT / 2.0};
    size_t n = dump_count(dump, dump->spans);
    size_t i = 0;
    if (n == 0)
        return;
    EACH_VALUE(&dump->json, size, dump->spans)
    {
        double spans = (double)json_count(&dump->json, size, "spans");
        chart.y_most = spans > chart.y_most ? spans : chart.y_most;
    }
    bytes_printf(series->out,
                 "<h2>Fragmentation: free runs of pages</h2>\n<p>%s in %s by their size, the "
                 "largest %s; of that %s are still in memory.</p>\n",
                 as_bytes(dump_total(dump, "free_bytes")).at,
                 as_count(dump_total(dump, "free_spans"), "run").at,
                 as_bytes(dump_total(dump, "free_largest_bytes")).at,
                 as_bytes(dump_total(dump, "dirty_bytes")).at);
    chart_begin(&chart, "Free runs of pages by size", NAMES_BELOW);
    EACH_VALUE(&dump->json, size, dump->spans)
    {
        struct figure_text from = as_bytes_brief(json_count(&dump->json, size, "from_bytes"));
        struct column column = column_of(i++, n);
        uint64_t spans = json_count(&dump->json, size, "spans");
        add_part(&chart, &column, 3, (double)spans, from.at, as_number(spans));
        add_name(&chart, &column, from.at);
    }
    chart_end(&chart);
}

/* ---- tables ---- */

static void add_object(const struct series *series, const struct json_value *object)
{
    const struct json *json = &series->fullest->json;
    struct bytes *out = series->out;
    uint64_t in_use = json_count(json, object, "in_use");
    uint64_t pieces = json_count(json, object, "pieces");
    double width = pieces > 0 ? 160 * (double)in_use / (double)pieces : 0;
    bytes_add_text(out, "<tr><td>");
    html_add(out, json_text(json, object, "kind"));
    bytes_add_text(out, " ");
    html_add(out, json_text(json, object, "name"));
    bytes_printf(out, "</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>", as_number(in_use).at,
                 as_number(json_count(json, object, "in_use_peak")).at, as_number(pieces).at,
                 as_bytes(json_count(json, object, "memory_bytes")).at);
    bytes_printf(
        out,
        "<svg viewBox=\"0 0 160 12\"><rect class=\"c5\" width=\"160\" height=\"12\" "
        "opacity=\".35\"/><rect class=\"c0\" width=\"%.1f\" height=\"12\"/></svg></td></tr>\n",
        width < 160 ? width : 160);
}

typedef void add_row_call(const struct series *series, const struct json_value *row);

/* A table of a list of the fullest dump, if it is not empty. */
static void add_table(const struct series *series, const struct json_value *list, const char *head,
                      add_row_call *add_row, size_t rows_max)
{
    const struct json *json = &series->fullest->json;
    size_t n = 0;
    if (json_first(json, list) == NULL)
        return;
    bytes_add_text(series->out, head);
    EACH_VALUE(json, row, list)
    {
        if (n++ < rows_max)
            add_row(series, row);
    }
    bytes_add_text(series->out, TABLE_END);
    if (n > rows_max)
        bytes_printf(series->out, "<p>And %zu more.</p>\n", n - rows_max);
}

static void add_objects(const struct series *series)
{
    static const char head[] =
        "<h2>Pools, arenas and buffers</h2>\n" TABLE_BEGIN "<tr><th>object</th><th>in use</th>"
        "<th>peak</th><th>pieces</th><th>memory</th><th>in use of what there is</th></tr>\n";
    add_table(series, series->fullest->objects, head, add_object, OBJECTS_MAX);
}

static void add_site(const struct series *series, const struct json_value *site)
{
    const struct dump *dump = series->fullest;
    const struct json_value *all = json_member(&dump->json, site, "frames");
    struct bytes frames = {0};
    bytes_printf(series->out, "<tr><td>%s</td><td>%s</td><td class=\"frames\">",
                 as_bytes(json_count(&dump->json, site, "bytes")).at,
                 as_number(json_count(&dump->json, site, "blocks")).at);
    if (json_first(&dump->json, all) == NULL)
        bytes_add_text(series->out, UNKNOWN_SITE);
    EACH_VALUE(&dump->json, frame, all)
    {
        bytes_clear(&frames);
        add_frame(&frames, dump, frame);
        html_add(series->out, frames.at);
        bytes_add_text(series->out, "<br>\n");
    }
    bytes_add_text(series->out, "</td></tr>\n");
    bytes_free(&frames);
}

static void add_sites(const struct series *series)
{
    static const char head[] =
        "<h2>Live blocks by who allocated them</h2>\n" TABLE_BEGIN
        "<tr><th>bytes</th><th>blocks</th><th class=\"frames\">allocated by</th></tr>\n";
    add_table(series, series->fullest->sites, head, add_site, SITES_MAX);
}

static void add_figures(const struct series *series)
{
    struct bytes *out = series->out;
    const struct dump *first = &series->dumps[0];
    bytes_add_text(out,
                   "<details><summary>All figures</summary>\n" TABLE_BEGIN "<tr><th>figure</th>");
    if (series->n > 1)
        bytes_add_text(out, "<th>first</th><th>growth</th>");
    bytes_add_text(out, "<th>last</th></tr>\n");
    EACH_VALUE(&series->last->json, figure, series->last->totals)
    {
        uint64_t before = dump_total(first, figure->name);
        bytes_add_text(out, "<tr><td>");
        html_add(out, figure->name);
        bytes_add_text(out, "</td>");
        if (series->n > 1)
            bytes_printf(out, "<td>%s</td><td>%s</td>", as_named(figure->name, before).at,
                         as_growth(figure->name, before, figure->count).at);
        bytes_printf(out, "<td>%s</td></tr>\n", as_named(figure->name, figure->count).at);
    }
    bytes_add_text(out, TABLE_END "</details>\n");
}

static const struct dump *find_fullest(const struct dump *dumps, size_t n)
{
    const struct dump *fullest = dumps;
    for (size_t i = 1; i < n; i++) {
        if (dump_total(&dumps[i], "live_bytes") >= dump_total(fullest, "live_bytes"))
            fullest = &dumps[i];
    }
    return fullest;
}

void page_write(struct bytes *out, const struct dump *dumps, size_t n)
{
    struct series series = {.out = out, .dumps = dumps, .n = n, .last = &dumps[n - 1]};
    series.fullest = find_fullest(dumps, n);
    struct bytes title = {0};
    series.x = need(calloc(n, sizeof *series.x));
    find_times(&series);
    bytes_printf(&title, "%s: memory", series.last->program);
    html_begin(out, title.at);
    add_head(&series);
    add_advice(&series);
    if (n > 1) {
        add_sizes(&series);
        add_areas(&series);
    }
    add_shares(&series);
    add_classes(&series);
    add_fillings(&series);
    add_spans(&series);
    add_objects(&series);
    add_sites(&series);
    add_figures(&series);
    html_end(out);
    bytes_free(&title);
    free(series.x);
}
