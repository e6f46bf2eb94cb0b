/* SPDX-License-Identifier: MIT */
#include "cli/figure.h"

#include <stdio.h>
#include <string.h>

uint64_t count_from(double n)
{
    if (!(n > 0))
        return 0;
    return n < 18446744073709551615.0 ? (uint64_t)n : UINT64_MAX;
}

/* In the first unit in which it does not show as `step` or more: 1023.96 KiB would be 1024.0. */
static struct figure_text in_units(uint64_t n, double step, const char *const *units,
                                   size_t n_units)
{
    struct figure_text text;
    double value = (double)n;
    size_t unit = 0;
    while (value >= step - 0.05 && unit + 1 < n_units) {
        value /= step;
        unit++;
    }
    (void)snprintf(text.at, sizeof text.at, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

struct figure_text as_bytes(uint64_t n)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    return in_units(n, 1024, units, sizeof units / sizeof units[0]);
}

struct figure_text as_bytes_brief(uint64_t n)
{
    struct figure_text text = as_bytes(n);
    char *end = strstr(text.at, ".0 ");
    if (end != NULL)
        memmove(end, end + 2, strlen(end + 2) + 1);
    return text;
}

struct figure_text as_time(uint64_t ns)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    return in_units(ns, 1000, units, sizeof units / sizeof units[0]);
}

struct figure_text as_number(uint64_t n)
{
    char plain[24];
    struct figure_text text = {0};
    int digits = snprintf(plain, sizeof plain, "%llu", (unsigned long long)n);
    char *to = text.at;
    for (int i = 0; i < digits; i++) {
        if (i > 0 && (digits - i) % 3 == 0)
            *to++ = ',';
        *to++ = plain[i];
    }
    *to = '\0';
    return text;
}

struct figure_text as_count(uint64_t n, const char *what)
{
    struct figure_text text = as_number(n);
    size_t used = strlen(text.at);
    (void)snprintf(text.at + used, sizeof text.at - used, " %.8s%s", what, n == 1 ? "" : "s");
    return text;
}

struct figure_text as_percent(uint64_t part, uint64_t whole)
{
    struct figure_text text;
    double percent = whole > 0 ? 100 * (double)part / (double)whole : 0;
    (void)snprintf(text.at, sizeof text.at, "%.0f %%", percent);
    return text;
}

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name);
    size_t n_end = strlen(end);
    return n >= n_end && strcmp(name + n - n_end, end) == 0;
}

static bool is_of_bytes(const char *name)
{
    return strcmp(name, "bytes") == 0 || ends_in(name, "_bytes");
}

struct figure_text as_named(const char *name, uint64_t n)
{
    if (is_of_bytes(name))
        return as_bytes(n);
    if (ends_in(name, "_ns"))
        return as_time(n);
    return as_number(n);
}

struct figure_text as_growth(const char *name, uint64_t before, uint64_t after)
{
    struct figure_text size = as_named(name, after > before ? after - before : before - after);
    struct figure_text text;
    const char *sign = after > before ? "+" : after < before ? "-" : "";
    (void)snprintf(text.at, sizeof text.at, "%s%.30s", sign, size.at);
    return text;
}
