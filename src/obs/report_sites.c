/* SPDX-License-Identifier: MIT */
#include "heap/live.h"
#include "obs/report.h"

enum { TEXT_SITES_MAX = 100, JSON_SITES_MAX = 1000 };

/* ---- text ---- */

static void add_frame(struct report *report, uintptr_t address)
{
    struct text *text = out_line(&report->out);
    text_add(text, "        ");
    os_symbol_add(text, address);
    text_add(text, "\n");
}

static void add_site(struct report *report, const struct live_site *live)
{
    struct site site = sites_get(live->number);
    struct text *text = out_line(&report->out);
    text_add(text, "  ");
    text_add_size_wide(text, live->n_bytes, 12);
    text_add(text, " in ");
    text_add_count(text, live->n_blocks, "block");
    text_add(text, site.n == 0 ? ", from where is not known\n" : ", allocated by\n");
    for (size_t i = 0; i < site.n; i++)
        add_frame(report, site.frames[i]);
}

static void add_end(struct report *report, size_t n)
{
    if (n > TEXT_SITES_MAX)
        out_add(&report->out, "  and more\n");
    if (sites_lost() > 0)
        out_add(&report->out, "  the table of sites is full: later ones are not known\n");
}

void report_sites_text(struct report *report)
{
    size_t n;
    const struct live_site *live = live_begin(&n);
    if (live == NULL)
        return;
    out_add(&report->out, "poolalloc: live blocks by who allocated them, most bytes first\n");
    for (size_t i = 0; i < n && i < TEXT_SITES_MAX; i++)
        add_site(report, &live[i]);
    add_end(report, n);
    live_end();
}

/* ---- JSON ---- */

static void add_json_frame(struct report *report, uintptr_t address, const char *comma)
{
    struct os_symbol symbol = os_symbol_at(address - 1);
    struct text *text = out_line(&report->out);
    text_add(text, comma);
    text_add(text, "\n      {\"address\": ");
    text_add_number(text, address);
    text_add(text, ", \"object\": \"");
    text_add_escaped(text, symbol.object);
    text_add(text, "\", \"symbol\": \"");
    text_add_escaped(text, symbol.name != NULL ? symbol.name : "");
    text_add(text, "\", \"offset\": ");
    text_add_number(text, symbol.offset + 1);
    text_add(text, "}");
}

static void add_json_site(struct report *report, const struct live_site *live, const char *comma)
{
    struct site site = sites_get(live->number);
    struct text *text = out_line(&report->out);
    text_add(text, comma);
    text_add(text, "\n    {\"bytes\": ");
    text_add_number(text, live->n_bytes);
    text_add(text, ", \"blocks\": ");
    text_add_number(text, live->n_blocks);
    text_add(text, ", \"frames\": [");
    for (size_t i = 0; i < site.n; i++)
        add_json_frame(report, site.frames[i], i > 0 ? "," : "");
    out_add(&report->out, "]}");
}

void report_sites_json(struct report *report)
{
    size_t n;
    const struct live_site *live = live_begin(&n);
    if (live == NULL)
        return;
    out_add(&report->out, ",\n  \"sites\": [");
    for (size_t i = 0; i < n && i < JSON_SITES_MAX; i++)
        add_json_site(report, &live[i], i > 0 ? "," : "");
    out_add(&report->out, "]");
    live_end();
}
