/* SPDX-License-Identifier: MIT */
/*
 * A dump that a process has written with dump_format=json, as LD_PRELOAD.md describes it. Figures
 * are asked for by name: one that a newer library has added is there, one that is missing is 0.
 */
#ifndef POOLALLOC_CLI_DUMP_H
#define POOLALLOC_CLI_DUMP_H

#include "cli/bytes.h"
#include "cli/json.h"

struct dump {
    struct json json;
    struct bytes text;               /* json's strings lie in it */
    const struct json_value *totals; /* the only part that is always there */
    const struct json_value *classes;
    const struct json_value *calls;
    const struct json_value *spans;
    const struct json_value *objects;
    const struct json_value *advice;
    const struct json_value *sites;   /* with track=on */
    const struct json_value *process; /* where the kernel says so much */
    const char *program;
    const char *why;
    uint64_t pid;
    uint64_t number;
    int64_t
        written_ms; /* since 1970; what does not say it: when the file was last written to, or 0 */
};

/* "-" is stdin. False: why_not says why. dump_free in either case. */
bool dump_read(struct dump *dump, const char *file, struct bytes *why_not);
/* Of dump->text, which is there already; `file` is for why_not. */
bool dump_parse(struct dump *dump, const char *file, struct bytes *why_not);
/* dump_read, but ends the command if it is no dump. */
void dump_need(struct dump *dump, const char *file);
void dump_free(struct dump *dump);

uint64_t dump_total(const struct dump *dump, const char *name);

/* Blocks. */
uint64_t dump_large_live(const struct dump *dump);

/* a * b, or the most there is. */
uint64_t times(uint64_t a, uint64_t b);

/* Figures of a class in bytes: its blocks of a kind ("live", "at_hand", "slab_free"). */
uint64_t class_bytes_of(const struct dump *dump, const struct json_value *class, const char *kind);

/* How many values are in it; it may be NULL. */
size_t dump_count(const struct dump *dump, const struct json_value *array);

/* The class of the same size, or the object of the same number, kind and name; or NULL. */
const struct json_value *dump_class(const struct dump *dump, uint64_t bytes);
const struct json_value *dump_object(const struct dump *dump, const struct dump *other,
                                     const struct json_value *object);

/* What resident memory consists of. */
struct share {
    const char *name;
    const char *meaning;
    uint64_t bytes;
};
enum {
    SHARE_LIVE,
    SHARE_AT_HAND,
    SHARE_SLAB_FREE,
    SHARE_DIRTY,
    SHARE_RECORDS,
    SHARE_REST,
    N_SHARES
};
void dump_shares(const struct dump *dump, struct share shares[N_SHARES]);

/* NOLINTBEGIN(bugprone-macro-parentheses): a name is declared */
#define EACH_VALUE(json, value, parent)                                                            \
    for (const struct json_value *value = json_first(json, parent); (value) != NULL;               \
         (value) = json_next(json, value))
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
