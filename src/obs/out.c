/* SPDX-License-Identifier: MIT */
#include "obs/out.h"

#include "base/bits.h"

void out_init(struct out *out, int fd)
{
    text_init(&out->text, out->buffer, sizeof out->buffer);
    out->fd = fd;
    out->failed = false;
}

bool out_flush(struct out *out)
{
    out->failed = out->failed || !text_write(&out->text, out->fd);
    text_init(&out->text, out->buffer, sizeof out->buffer);
    return !out->failed;
}

struct text *out_line(struct out *out)
{
    if (out->text.end - out->text.at < OUT_LINE_BYTES)
        (void)out_flush(out);
    return &out->text;
}

void out_add_span(struct out *out, const char *bytes, size_t n)
{
    while (n > 0) {
        size_t part = min_size(n, OUT_LINE_BYTES);
        text_add_span(out_line(out), bytes, part);
        bytes += part;
        n -= part;
    }
}

void out_add(struct out *out, const char *string)
{
    text_add(out_line(out), string);
}
