/* SPDX-License-Identifier: MIT */
#include "os/log.h"

#include "os/fixed.h"
#include "os/path.h"
#include "os/sys.h"

static FIXED const char *log_pattern = "";

void log_open(const char *pattern)
{
    if (os_fixed_open())
        __atomic_store_n(&log_pattern, pattern, __ATOMIC_RELAXED);
}

static void write_to_file(const struct text *text)
{
    struct path path;
    if (!path_expand(&path, log_pattern, 1))
        return;
    long fd = sys_open_end(path.name);
    if (fd < 0)
        return;
    (void)text_write(text, (int)fd);
    (void)sys_close((int)fd);
}

void log_text(const struct text *text)
{
    (void)text_write(text, 2);
    if (log_pattern[0] != '\0')
        write_to_file(text);
}

void log_warn(const char *a, const char *b, const char *c)
{
    char line[256];
    struct text text;
    text_init(&text, line, sizeof line - 1);
    text_add(&text, "poolalloc: ");
    text_add(&text, a);
    if (b != NULL)
        text_add(&text, b);
    if (c != NULL)
        text_add(&text, c);
    text.end++;
    text_add(&text, "\n");
    log_text(&text);
}
