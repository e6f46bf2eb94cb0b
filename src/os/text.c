/* SPDX-License-Identifier: MIT */
#include "os/text.h"

#include "base/bits.h"
#include "os/sys.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

void text_init(struct text *text, char *buffer, size_t bytes)
{
    text->begin = buffer;
    text->at = buffer;
    text->end = buffer + bytes;
}

size_t text_bytes(const struct text *text)
{
    return (size_t)(text->at - text->begin);
}

void text_add_span(struct text *text, const char *string, size_t n)
{
    size_t room = (size_t)(text->end - text->at);
    if (n > room)
        n = room;
    memcpy(text->at, string, n);
    text->at += n;
}

void text_add(struct text *text, const char *string)
{
    text_add_span(text, string, strlen(string));
}

enum { DIGITS_MAX = 20 };

/* The digits of n, at the end of `digits`; returns the first. */
static const char *digits_of(char digits[DIGITS_MAX], uint64_t n, unsigned base)
{
    size_t first = DIGITS_MAX;
    do {
        digits[--first] = "0123456789abcdef"[n % base];
        n /= base;
    } while (n != 0);
    return digits + first;
}

void text_add_number(struct text *text, uint64_t n)
{
    text_add_number_wide(text, n, 0);
}

static void add_spaces(struct text *text, int n)
{
    for (int i = 0; i < n; i++)
        text_add_span(text, " ", 1);
}

void text_add_number_wide(struct text *text, uint64_t n, int width)
{
    char digits[DIGITS_MAX];
    const char *first = digits_of(digits, n, 10);
    int length = (int)(digits + DIGITS_MAX - first);
    add_spaces(text, width - length);
    text_add_span(text, first, (size_t)length);
    add_spaces(text, -width - length);
}

void text_add_padded(struct text *text, const char *string, int width)
{
    int length = (int)strlen(string);
    add_spaces(text, width - length);
    text_add(text, string);
    add_spaces(text, -width - length);
}

void text_add_address(struct text *text, const void *p)
{
    char digits[DIGITS_MAX];
    const char *first = digits_of(digits, (uintptr_t)p, 16);
    text_add(text, "0x");
    text_add_span(text, first, (size_t)(digits + DIGITS_MAX - first));
}

void text_add_count(struct text *text, uint64_t n, const char *what)
{
    text_add_number(text, n);
    text_add(text, " ");
    text_add(text, what);
    if (n != 1)
        text_add(text, "s");
}

/* n / one in tenths, rounded; one is at most 2^60. */
static uint64_t tenths_of(uint64_t n, uint64_t one)
{
    return n / one * 10 + (n % one * 10 + one / 2) / one;
}

/* n / 10 with one digit after the point. */
static void add_tenths(struct text *text, uint64_t tenths, const char *unit)
{
    text_add_decimals(text, tenths, 1);
    text_add(text, " ");
    text_add(text, unit);
}

void text_add_size(struct text *text, uint64_t bytes)
{
    static const char units[][4] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        text_add_number(text, bytes);
        text_add(text, " B");
        return;
    }
    size_t unit = 0;
    uint64_t one = 1024;
    while (tenths_of(bytes, one) >= 10240 && unit + 1 < ARRAY_LEN(units)) {
        one *= 1024;
        unit++;
    }
    add_tenths(text, tenths_of(bytes, one), units[unit]);
}

/* What add(part, n) makes, as wide. */
static void add_wide(struct text *text, void (*add)(struct text *, uint64_t), uint64_t n, int width)
{
    char string[32];
    struct text part;
    text_init(&part, string, sizeof string - 1);
    add(&part, n);
    *part.at = '\0';
    text_add_padded(text, string, width);
}

void text_add_size_wide(struct text *text, uint64_t bytes, int width)
{
    add_wide(text, text_add_size, bytes, width);
}

void text_add_time_wide(struct text *text, uint64_t ns, int width)
{
    add_wide(text, text_add_time, ns, width);
}

void text_add_time(struct text *text, uint64_t ns)
{
    static const char units[][4] = {"us", "ms", "s"};
    size_t unit = 0;
    uint64_t one = 1000;
    while (tenths_of(ns, one) >= 10000 && unit + 1 < ARRAY_LEN(units)) {
        one *= 1000;
        unit++;
    }
    add_tenths(text, tenths_of(ns, one), units[unit]);
}

void text_add_decimals(struct text *text, uint64_t n, unsigned n_decimals)
{
    uint64_t one = 1;
    for (unsigned i = 0; i < n_decimals; i++)
        one *= 10;
    text_add_number(text, n / one);
    if (n_decimals > 0)
        text_add(text, ".");
    for (one /= 10; one > 0; one /= 10)
        text_add_number(text, n / one % 10);
}

void text_add_percent(struct text *text, uint64_t n, uint64_t of)
{
    text_add_number(text, of > 0 ? (uint64_t)((double)n * 100 / (double)of + 0.5) : 100);
}

/* Bytes of the UTF-8 sequence at the start of a string that shows as something; 0: there is
 * none. */
static size_t shown_bytes(const char *string)
{
    unsigned char first = (unsigned char)*string;
    size_t n = 1;
    if (first >= 0xc2)
        n = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first < ' ' || first == 0x7f || (first > 0x7f && first < 0xc2) || first > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if (((unsigned char)string[i] & 0xc0) != 0x80)
            return 0;
    }
    unsigned char second = n > 1 ? (unsigned char)string[1] : 0;
    bool is_bad = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                  (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
    return is_bad ? 0 : n;
}

/* With a backslash before these. */
static void add_shown(struct text *text, const char *string, const char *escaped)
{
    while (*string != '\0') {
        size_t n = shown_bytes(string);
        if (strchr(escaped, *string) != NULL)
            text_add(text, "\\");
        text_add_span(text, n > 0 ? string : "?", max_size(n, 1));
        string += max_size(n, 1);
    }
}

void text_add_escaped(struct text *text, const char *string)
{
    add_shown(text, string, "\"\\");
}

void text_add_shown(struct text *text, const char *string, int width)
{
    const char *before = text->at;
    add_shown(text, string, "");
    add_spaces(text, -width - (int)(text->at - before));
}

/* 0, or what stopped it. */
static long write_all(const struct text *text, int fd)
{
    const char *from = text->begin;
    while (from < text->at) {
        long n = sys_write(fd, from, (size_t)(text->at - from));
        if (n == -EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? n : -EIO;
        from += n;
    }
    return 0;
}

/* The signal that came with it, if it is one of these. */
static uint64_t signal_of(long code)
{
    switch (code) {
    case -EPIPE:
        return SIGNAL_BIT(SIGPIPE);
    case -EFBIG:
        return SIGNAL_BIT(SIGXFSZ);
    default:
        return 0;
    }
}

/* Nobody may read any more, or the file be as large as files may be: that shall not end the
 * program. */
bool text_write(const struct text *text, int fd)
{
    const uint64_t ending = SIGNAL_BIT(SIGPIPE) | SIGNAL_BIT(SIGXFSZ);
    uint64_t before = 0;
    bool is_blocked = sys_signals_block(ending, &before) == 0;
    /* Nothing is pending that was not blocked before. */
    uint64_t was_pending = (before & ending) != 0 ? before & sys_signals_pending() : 0;
    long code = write_all(text, fd);
    if (!is_blocked)
        return code == 0;
    uint64_t came = signal_of(code) & ~was_pending;
    if (came != 0)
        (void)sys_signal_take(came, NULL);
    (void)sys_signals_set(before);
    return code == 0;
}
