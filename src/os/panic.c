/* SPDX-License-Identifier: MIT */
#include "os/panic.h"

#include "os/log.h"
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

_Atomic(panic_describe_call *) panic_describe;

const char panic_fatal[] = "fatal";

void panic_end(void)
{
    panic_look();
    abort();
}

void panic_line(const char *word, const char *fault, const void *p, size_t class_bytes)
{
    char line[256];
    struct text text;
    if (word == panic_fatal)
        log_last_words();
    text_init(&text, line, sizeof line);
    text_add(&text, "poolalloc: ");
    text_add(&text, word);
    text_add(&text, ": ");
    text_add(&text, fault);
    text_add(&text, ": ");
    text_add_address(&text, p);
    text_add(&text, ", class ");
    if (class_bytes != 0)
        text_add_number(&text, class_bytes);
    else
        text_add(&text, "none");
    text_add(&text, "\n");
    log_text(&text);
}

void panic(const char *fault, const void *p, size_t class_bytes)
{
    panic_line(panic_fatal, fault, p, class_bytes);
    panic_describe_call *describe = atomic_swap_acquire(&panic_describe, NULL); /* once */
    if (describe != NULL)
        describe(p);
    panic_end();
}
