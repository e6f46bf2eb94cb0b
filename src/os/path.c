/* SPDX-License-Identifier: MIT */
#include "os/path.h"

#include "os/process.h"
#include "os/sys.h"
#include "os/text.h"

enum { NAME_BYTES = 64 };

static void add_of_process(struct text *text, char letter, uint64_t number)
{
    char name[NAME_BYTES];
    switch (letter) {
    case 'p':
        text_add_number(text, (uint64_t)sys_getpid());
        break;
    case 'n':
        text_add_number(text, number);
        break;
    case 'e':
        os_program_name(name, sizeof name);
        text_add(text, name);
        break;
    default:
        text_add(text, "%");
        text_add_span(text, &letter, 1);
    }
}

bool path_expand(struct path *path, const char *pattern, uint64_t number)
{
    struct text text;
    text_init(&text, path->name, sizeof path->name - 1);
    for (const char *from = pattern; *from != '\0'; from++) {
        if (from[0] == '%' && from[1] != '\0')
            add_of_process(&text, *++from, number);
        else
            text_add_span(&text, from, 1);
    }
    *text.at = '\0';
    return text.at < text.end;
}
