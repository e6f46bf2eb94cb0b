/* SPDX-License-Identifier: MIT */
/*
 * Reads JSON (RFC 8259) of any origin. What is not JSON is refused with the place and the reason,
 * as is what is nested deeper than 64 or has more than a million values. Strings come out as UTF-8
 * without zero bytes: what is no UTF-8 in them becomes '?', an escaped zero U+FFFD.
 */
#ifndef POOLALLOC_CLI_JSON_H
#define POOLALLOC_CLI_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_DEPTH_MAX = 64, JSON_VALUES_MAX = 1000000 };

enum json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_COUNT, /* a number that is a uint64_t, written without fraction or exponent */
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json_value {
    enum json_kind kind;
    uint64_t count;
    const char *text; /* of a string */
    const char *name; /* of a member of an object, else NULL */
    uint32_t first;   /* index of the first value inside, 0: none */
    uint32_t next;    /* of the next in the same array or object, 0: none */
};

struct json {
    struct json_value *values; /* the first is the document */
    size_t n_values;
    size_t room;
};

struct json_fault {
    size_t line;
    size_t column; /* in bytes */
    const char *what;
};

/* text[n] must be a zero byte. The text is changed, and strings lie in it: it must live as long as
 * they are used. False: see fault. json_free in either case. */
bool json_parse(struct json *json, char *text, size_t n, struct json_fault *fault);
void json_free(struct json *json);

/* NULL: there is none, or `value` is NULL or holds none. */
const struct json_value *json_first(const struct json *json, const struct json_value *value);
const struct json_value *json_next(const struct json *json, const struct json_value *value);
const struct json_value *json_member(const struct json *json, const struct json_value *value,
                                     const char *name);

/* The member's count or text, or 0 or "" where it has none. */
uint64_t json_count(const struct json *json, const struct json_value *value, const char *name);
const char *json_text(const struct json *json, const struct json_value *value, const char *name);

#endif
