/* SPDX-License-Identifier: MIT */
/*
 * A comparison as files: JSON with every sample, SVG with the geometric means.
 */
#include "grid.h"

#include <string.h>

static bool close_written(FILE *file)
{
    bool is_whole = ferror(file) == 0;
    return fclose(file) == 0 && is_whole;
}

/* ---- JSON ---- */

/* What a program wrote may be in any encoding, a path too: whatever is not ASCII becomes "?". */
static void write_string(FILE *file, const char *text)
{
    (void)fputc('"', file);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            (void)fputc('\\', file);
        }
        (void)fputc(*text >= ' ' && *text <= '~' ? *text : '?', file);
    }
    (void)fputc('"', file);
}

static void write_string_or_null(FILE *file, const char *text)
{
    if (text != NULL) {
        write_string(file, text);
    } else {
        (void)fputs("null", file);
    }
}

static void write_number(FILE *file, double value)
{
    if (isfinite(value)) {
        (void)fprintf(file, "%.9g", value);
    } else {
        (void)fputs("null", file);
    }
}

static void write_samples(FILE *file, const struct grid_row *row, int allocator)
{
    for (int f = 0; f < N_GRID_FIGURES; f++) {
        const double *samples = results_samples(&row->results, allocator, f);
        (void)fprintf(file, ", \"%s\": {\"median\": ", grid_figures[f].key);
        write_number(file, grid_value(row, allocator, (enum grid_figure)f, stats_median));
        (void)fputs(", \"min\": ", file);
        write_number(file, grid_value(row, allocator, (enum grid_figure)f, stats_min));
        (void)fputs(", \"samples\": [", file);
        for (int rep = 0; rep < row->results.n_reps; rep++) {
            (void)fputs(rep > 0 ? ", " : "", file);
            write_number(file, samples[rep]);
        }
        (void)fputs("]}", file);
    }
}

static void write_details(FILE *file, const struct grid_row *row, int allocator)
{
    (void)fputs(", \"details\": {", file);
    for (int d = 0; d < row->n_details; d++) {
        (void)fputs(d > 0 ? ", " : "", file);
        write_string(file, row->details[d].key);
        (void)fputs(": ", file);
        write_number(file, grid_detail(row, d, allocator));
    }
    (void)fputs("}", file);
}

static void write_row(FILE *file, const struct grid *grid, const struct grid_row *row)
{
    (void)fputs("    {\"name\": ", file);
    write_string(file, row->name);
    (void)fputs(", \"group\": ", file);
    write_string(file, group_names[row->group]);
    (void)fputs(", \"about\": ", file);
    write_string(file, row->about);
    (void)fputs(", \"results\": [\n", file);
    for (int a = 0; a < grid->bench->allocators.n; a++) {
        (void)fputs(a > 0 ? ",\n      {\"allocator\": " : "      {\"allocator\": ", file);
        write_string(file, grid->bench->allocators.items[a].name);
        (void)fprintf(file, ", \"failed\": %s", row->results.has_failed[a] ? "true" : "false");
        (void)fputs(", \"why\": ", file);
        write_string_or_null(file, row->results.has_failed[a] ? row->results.failures[a] : NULL);
        write_samples(file, row, a);
        write_details(file, row, a);
        (void)fputs("}", file);
    }
    (void)fputs("\n    ]}", file);
}

static void write_allocators(FILE *file, const struct bench *bench)
{
    (void)fputs(",\n  \"allocators\": [\n", file);
    for (int a = 0; a < bench->allocators.n; a++) {
        const struct allocator *allocator = &bench->allocators.items[a];
        (void)fputs(a > 0 ? ",\n    {\"name\": " : "    {\"name\": ", file);
        write_string(file, allocator->name);
        (void)fputs(", \"version\": ", file);
        write_string(file, allocator->version);
        (void)fputs(", \"path\": ", file);
        write_string_or_null(file, allocator->path);
        (void)fputs("}", file);
    }
    (void)fputs("\n  ]", file);
}

static void write_means_of(FILE *file, const struct grid *grid, enum grid_figure figure,
                           stats_reduce *reduce, unsigned group_mask)
{
    (void)fputs("{", file);
    for (int a = 0; a < grid->bench->allocators.n; a++) {
        (void)fputs(a > 0 ? ", " : "", file);
        write_string(file, grid->bench->allocators.items[a].name);
        (void)fputs(": ", file);
        write_number(file, grid_geomean(grid, a, figure, reduce, group_mask));
    }
    (void)fputs("}", file);
}

static void write_means(FILE *file, const struct grid *grid)
{
    (void)fputs(",\n  \"geometric_means\": [\n", file);
    for (int u = 0; u < N_GROUP_UNIONS; u++) {
        unsigned mask = group_unions[u].mask;
        (void)fputs(u > 0 ? ",\n    {\"groups\": " : "    {\"groups\": ", file);
        write_string(file, group_unions[u].name);
        (void)fprintf(file, ", \"rows\": %d", grid_count_complete(grid, mask));
        for (int f = 0; f < N_GRID_FIGURES; f++) {
            (void)fprintf(file, ",\n      \"%s\": {\"median\": ", grid_figures[f].key);
            write_means_of(file, grid, (enum grid_figure)f, stats_median, mask);
            (void)fputs(",\n        \"min\": ", file);
            write_means_of(file, grid, (enum grid_figure)f, stats_min, mask);
            (void)fputs("}", file);
        }
        (void)fputs("}", file);
    }
    (void)fputs("\n  ]", file);
}

bool grid_write_json(const struct grid *grid, const char *path)
{
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return false;
    }
    (void)fprintf(file,
                  "{\n  \"repetitions\": %d,\n  \"units\": {\"seconds\": \"s\", \"peak_mib\": "
                  "\"MiB\", \"freed_mib\": \"MiB\", \"faults\": \"page faults\"},\n"
                  "  \"ours\": ",
                  grid->n_reps);
    if (grid->bench->ours >= 0) {
        write_string(file, grid->bench->allocators.items[grid->bench->ours].name);
    } else {
        (void)fputs("null", file);
    }
    write_allocators(file, grid->bench);
    write_means(file, grid);
    (void)fputs(",\n  \"rows\": [\n", file);
    for (int r = 0; r < grid->n_rows; r++) {
        (void)fputs(r > 0 ? ",\n" : "", file);
        write_row(file, grid, &grid->rows[r]);
    }
    (void)fputs("\n  ]\n}\n", file);
    return close_written(file);
}

/* ---- SVG ---- */

enum {
    NAME_WIDTH = 100,
    BAR_WIDTH = 220, /* of the longest bar */
    PANEL_WIDTH = 310,
    LINE_HEIGHT = 24,
    TOP = 64,
    BOTTOM = 30,
};

static const unsigned all_groups = (1U << N_GROUPS) - 1;

static double longest(const struct grid *grid, enum grid_figure figure, double base)
{
    double most = 0;
    for (int a = 0; a < grid->bench->allocators.n; a++) {
        double value = grid_geomean(grid, a, figure, stats_median, all_groups) / base;
        most = value > most ? value : most;
    }
    return most;
}

static void write_bar(FILE *file, const struct grid *grid, int allocator, int x, double value,
                      double scale)
{
    int y = TOP + allocator * LINE_HEIGHT;
    if (isnan(value)) {
        (void)fprintf(file, "<text x=\"%d\" y=\"%d\">failed</text>\n", x, y + 15);
        return;
    }
    (void)fprintf(file,
                  "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\" fill=\"%s\"/>\n",
                  x, y + 2, value * scale, LINE_HEIGHT - 6,
                  allocator == grid->bench->ours ? "#d9480f" : "#8aa4b8");
    (void)fprintf(file, "<text x=\"%.1f\" y=\"%d\">%.2f</text>\n", x + value * scale + 5, y + 15,
                  value);
}

/* libc's own malloc where that took part, else the first allocator: what all is relative to. */
static int base_of(const struct grid *grid)
{
    int glibc = allocators_index(&grid->bench->allocators, "glibc");
    return glibc >= 0 ? glibc : 0;
}

static void write_panel(FILE *file, const struct grid *grid, enum grid_figure figure, int x,
                        const char *title)
{
    double base = grid_geomean(grid, base_of(grid), figure, stats_median, all_groups);
    double scale = BAR_WIDTH / longest(grid, figure, base);
    (void)fprintf(file, "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">%s</text>\n", x, TOP - 12,
                  title);
    for (int a = 0; a < grid->bench->allocators.n; a++) {
        write_bar(file, grid, a, x, grid_geomean(grid, a, figure, stats_median, all_groups) / base,
                  scale);
    }
}

static void write_xml(FILE *file, const char *text)
{
    for (; *text != '\0'; text++) {
        (void)fputs(*text == '<' ? "&lt;" : *text == '&' ? "&amp;" : "", file);
        if (*text != '<' && *text != '&') {
            (void)fputc(*text, file);
        }
    }
}

static void write_names(FILE *file, const struct grid *grid)
{
    for (int a = 0; a < grid->bench->allocators.n; a++) {
        (void)fprintf(file, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\"%s>", NAME_WIDTH - 8,
                      TOP + a * LINE_HEIGHT + 15,
                      a == grid->bench->ours ? " font-weight=\"bold\"" : "");
        write_xml(file, grid->bench->allocators.items[a].name);
        (void)fputs("</text>\n", file);
    }
}

bool grid_write_svg(const struct grid *grid, const char *path)
{
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return false;
    }
    /* Charts end up in documents of this tree, where every file names its licence. */
    static const char licence[] = {"SPDX-License-"
                                   "Identifier: MIT"};
    int height = TOP + grid->bench->allocators.n * LINE_HEIGHT + BOTTOM;
    int width = NAME_WIDTH + 2 * PANEL_WIDTH;
    (void)fprintf(file,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                  "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"13\">\n"
                  "<!-- %s -->\n"
                  "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n"
                  "<text x=\"%d\" y=\"22\" font-size=\"15\">Geometric mean of %d workloads, ",
                  width, height, width, height, licence, NAME_WIDTH,
                  grid_count_complete(grid, all_groups));
    write_xml(file, grid->bench->allocators.items[base_of(grid)].name);
    (void)fputs(" = 1, less is better</text>\n", file);
    write_names(file, grid);
    write_panel(file, grid, GRID_SECONDS, NAME_WIDTH, "time");
    write_panel(file, grid, GRID_PEAK, NAME_WIDTH + PANEL_WIDTH, "peak memory");
    (void)fprintf(file,
                  "<text x=\"%d\" y=\"%d\" font-size=\"11\" fill=\"#555555\">ratios, one machine; "
                  "medians of %d runs</text>\n</svg>\n",
                  NAME_WIDTH, height - 10, grid->n_reps);
    return close_written(file);
}
