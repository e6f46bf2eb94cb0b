/* SPDX-License-Identifier: MIT */
#include "heap/tell.h"

#include "heap/sites.h"
#include "os/log.h"
#include "os/stack.h"

struct text *tell_begin(struct told *line, const char *words)
{
    text_init(&line->text, line->buffer, sizeof line->buffer - 1);
    text_add(&line->text, "poolalloc:   ");
    text_add(&line->text, words);
    return &line->text;
}

void tell_end(struct told *line)
{
    line->text.end++;
    text_add(&line->text, "\n");
    log_text(&line->text);
}

void tell(const char *words)
{
    struct told line;
    (void)tell_begin(&line, words);
    tell_end(&line);
}

static void tell_frame(uintptr_t address)
{
    struct told line;
    os_symbol_add(tell_begin(&line, "    "), address);
    tell_end(&line);
}

void tell_frames(const uintptr_t *frames, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tell_frame(frames[i]);
}

void tell_site(const char *words, uint32_t thread, uint32_t number)
{
    struct told line;
    struct site site = sites_get(number);
    if (thread == 0 && site.n == 0)
        return;
    struct text *text = tell_begin(&line, words);
    if (thread != 0) {
        text_add(text, " by thread ");
        text_add_number(text, thread);
    }
    tell_end(&line);
    tell_frames(site.frames, site.n);
}
