/* SPDX-License-Identifier: MIT */
#include "os/panic.h"

#include "os/text.h"

#include <stdlib.h>

_Atomic(panic_observer_call *) panic_observer;

/* It may find fault itself. */
void panic_look(void)
{
    panic_observer_call *observer = atomic_swap_acquire(&panic_observer, NULL);
    if (observer != NULL)
        observer();
}

void panic_say(const char *fault, const void *p, size_t class_bytes)
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
    (void)text_write(&text, 2);
}

void panic_end(void)
{
    panic_look();
    abort();
}

void panic(const char *fault, const void *p, size_t class_bytes)
{
    panic_say(fault, p, class_bytes);
    panic_end();
}
