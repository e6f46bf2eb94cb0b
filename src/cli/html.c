/* SPDX-License-Identifier: MIT */
#include "cli/html.h"

#include "cli/figure.h"

#include <stdio.h>
#include <string.h>

static const char style[] =
    ":root{color-scheme:light dark;--paper:#fff;--ink:#1f2328;--faint:#6b7280;--line:#e3e6ea;"
    "--c0:#2f6fb3;--c1:#2a9d8f;--c2:#ee9b3a;--c3:#e6c84f;--c4:#8e6bab;--c5:#b4bac2}"
    "@media(prefers-color-scheme:dark){:root{--paper:#14171b;--ink:#e3e6ea;--faint:#98a1ab;"
    "--line:#30363d;--c0:#5b9bdc;--c1:#3fbfae;--c2:#f0a856;--c3:#e3cc6a;--c4:#b08fd0;--c5:#67707a}}"
    "body{background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif;"
    "max-width:980px;margin:32px auto;padding:0 16px}"
    "h1{font-size:26px;margin:0}h2{font-size:18px;margin:40px 0 4px}"
    "p{margin:4px 0 12px;color:var(--faint)}svg{width:100%;height:auto;display:block}"
    "svg text{fill:var(--faint);font-size:12px}svg .names "
    "text{font-size:10px}.grid{stroke:var(--line)}"
    ".c0{fill:var(--c0)}.c1{fill:var(--c1)}.c2{fill:var(--c2)}.c3{fill:var(--c3)}"
    ".c4{fill:var(--c4)}.c5{fill:var(--c5)}"
    ".line{fill:none;stroke-width:2;stroke-linejoin:round}"
    ".line.c0{stroke:var(--c0)}.line.c1{stroke:var(--c1)}.line.c2{stroke:var(--c2)}"
    ".line.c3{stroke:var(--c3)}.line.c4{stroke:var(--c4)}.line.c5{stroke:var(--c5)}"
    ".legend{margin:4px 0 8px}.legend span{margin-right:18px;white-space:nowrap}"
    ".legend svg{width:12px;height:12px;display:inline-block;margin-right:6px}"
    ".tiles{display:flex;flex-wrap:wrap;gap:12px;margin:20px 0}"
    ".tiles div{flex:1 1 100px;border:1px solid var(--line);border-radius:8px;padding:10px 12px}"
    ".tiles b{display:block;font-size:20px;white-space:nowrap;font-weight:600}.tiles "
    "i{font-style:normal;"
    "color:var(--faint);font-size:13px;display:block}"
    "th.frames,td.frames{text-align:left;padding-left:24px;font-size:13px;white-space:nowrap}"
    ".wide{overflow-x:auto}.wide>svg{min-width:760px}"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
    "th,td{padding:3px 10px;text-align:right;border-bottom:1px solid var(--line)}"
    "td:not(:first-child){white-space:nowrap}th:first-child,td:first-child{text-align:left;padding-"
    "left:0}th{font-weight:600}"
    "td svg{width:160px;height:12px;display:inline-block;vertical-align:middle}"
    "td svg.key{width:12px;margin-right:6px}"
    "details summary{cursor:pointer;font-size:18px;font-weight:600;margin:40px 0 8px}";

void html_begin(struct bytes *out, const char *title)
{
    bytes_add_text(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                        "<meta name=\"viewport\" content=\"width=device-width\">\n<title>");
    html_add(out, title);
    bytes_printf(out, "</title>\n<style>%s</style>\n</head>\n<body>\n", style);
}

void html_end(struct bytes *out)
{
    bytes_add_text(out, "</body>\n</html>\n");
}

void html_add(struct bytes *out, const char *text)
{
    struct bytes shown = {0};
    bytes_add_shown(&shown, text);
    for (const char *at = bytes_text(&shown); *at != '\0'; at++) {
        if (*at == '<')
            bytes_add_text(out, "&lt;");
        else if (*at == '>')
            bytes_add_text(out, "&gt;");
        else if (*at == '&')
            bytes_add_text(out, "&amp;");
        else if (*at == '"')
            bytes_add_text(out, "&quot;");
        else
            bytes_add(out, at, 1);
    }
    bytes_free(&shown);
}

void html_legend(struct bytes *out, const struct html_key *keys, int n)
{
    bytes_add_text(out, "<div class=\"legend\">");
    for (int i = 0; i < n; i++)
        bytes_printf(out,
                     "<span><svg viewBox=\"0 0 12 12\"><rect width=\"12\" height=\"12\" rx=\"3\" "
                     "class=\"c%d\"/></svg>%s</span>",
                     keys[i].colour, keys[i].name);
    bytes_add_text(out, "</div>\n");
}

/* ---- charts ---- */

double chart_x(const struct chart *chart, double x)
{
    return CHART_LEFT + (chart->x_most > 0 ? x / chart->x_most : 0) * (CHART_RIGHT - CHART_LEFT);
}

double chart_y(const struct chart *chart, double y)
{
    return CHART_TOP + (1 - y / chart->y_most) * chart->height;
}

/* The distance of marks of which at most five make up `most`: 1, 2, 4 ... for bytes, else 1, 2, 5,
 * 10 ... */
static double distance_of_marks(double most, bool is_bytes)
{
    static const double decimal[] = {2, 2.5, 2};
    double distance = 1;
    for (int i = 0; most / distance > 5; i++)
        distance *= is_bytes ? 2 : decimal[i % 3];
    return distance;
}

static struct figure_text name_of_level(const struct chart *chart, double y)
{
    bool is_bytes = strcmp(chart->y_figure, "bytes") == 0;
    return is_bytes ? as_bytes_brief(count_from(y)) : as_named(chart->y_figure, count_from(y));
}

static void add_levels(const struct chart *chart, double distance)
{
    for (int i = 0; i * distance <= chart->y_most; i++) {
        double y = i * distance;
        bytes_printf(chart->out,
                     "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                     "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                     CHART_LEFT, CHART_RIGHT, chart_y(chart, y), chart_y(chart, y), CHART_LEFT - 8,
                     chart_y(chart, y) + 4, name_of_level(chart, y).at);
    }
}

void chart_begin(struct chart *chart, const char *title, double room_below)
{
    double distance = distance_of_marks(chart->y_most, strcmp(chart->y_figure, "bytes") == 0);
    double levels = (double)count_from(chart->y_most / distance);
    if (levels * distance < chart->y_most || levels < 1)
        levels++;
    chart->y_most = levels * distance;
    bytes_printf(
        chart->out,
        "<div class=\"wide\"><svg viewBox=\"0 0 %d %.0f\" role=\"img\"><title>%s</title>\n",
        CHART_WIDTH, CHART_TOP + chart->height + room_below, title);
    add_levels(chart, distance);
}

void chart_end(struct chart *chart)
{
    bytes_add_text(chart->out, "</svg></div>\n");
}

void chart_time(struct chart *chart, const char *unit)
{
    double distance = 0.1;
    while (chart->x_most / distance > 10)
        distance *= 2;
    if (distance > 1)
        distance = distance_of_marks(chart->x_most / 2, false);
    for (int i = 0; i * distance <= chart->x_most; i++)
        bytes_printf(chart->out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%g%s</text>\n",
                     chart_x(chart, i * distance), CHART_TOP + chart->height + 18, i * distance,
                     unit);
}
