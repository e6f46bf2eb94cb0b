/* SPDX-License-Identifier: MIT */
#include "os/panic.h"

#include "os/text.h"

#include <stdlib.h>

void panic(const char *fault, const void *p, size_t class_bytes)
{
    char line[256];
    struct text text;
    text_init(&text, line, sizeof line);
    text_add(&text, "poolalloc: fatal: ");
    text_add(&text, fault);
    text_add(&text, ": ");
    text_add_address(&text, p);
    text_add(&text, ", class ");
    if (class_bytes != 0)
        text_add_number(&text, class_bytes);
    else
        text_add(&text, "none");
    text_add(&text, "\n");
    text_write(&text, 2);
    abort();
}
