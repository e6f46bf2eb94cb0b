/* SPDX-License-Identifier: MIT */
/*
 * The report's page: text with its special characters escaped, and pictures in SVG. No scripts,
 * nothing that is loaded from elsewhere.
 */
#ifndef POOLALLOC_CLI_HTML_H
#define POOLALLOC_CLI_HTML_H

#include "cli/bytes.h"

#include <stdint.h>

void html_begin(struct bytes *out, const char *title);
void html_end(struct bytes *out);
void html_add(struct bytes *out, const char *text);

/* The colours of the style sheet: class "c0" and on. */
struct html_key {
    const char *name;
    int colour;
};
void html_legend(struct bytes *out, const struct html_key *keys, int n);

/* A picture with axes. Values of y from 0 to y_most; named by a figure's name, as in
 * cli/figure.h. */
struct chart {
    struct bytes *out;
    const char *y_figure;
    double y_most;
    double x_most;
    double height;
};

/* Where a value lies in the picture. */
double chart_x(const struct chart *chart, double x);
double chart_y(const struct chart *chart, double y);
enum { CHART_LEFT = 76, CHART_RIGHT = 950, CHART_TOP = 12, CHART_WIDTH = 960 };

/* Room for labels below; y_most is rounded up. `title` is for who can't see it. */
void chart_begin(struct chart *chart, const char *title, double room_below);
void chart_end(struct chart *chart);
/* Marks on the lower edge: seconds, or numbers. */
void chart_time(struct chart *chart, const char *unit);

#endif
