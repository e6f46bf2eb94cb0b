/* SPDX-License-Identifier: MIT */
/*
 * A parser of a JSON-like text: one node for each value, one block for each string and name, arrays
 * and objects that grow by doubling. The text is generated once; then it is parsed, written out
 * again into a checksum and dropped, over and over. The checksum must be the generator's.
 */
#include "client.h"

#include <stdlib.h>
#include <string.h>

enum {
    N_ROUNDS = 15,
    N_FIRST_ROOM = 4,
};

enum kind { KIND_NULL, KIND_FALSE, KIND_TRUE, KIND_NUMBER, KIND_STRING, KIND_ARRAY, KIND_OBJECT };

/* The text of null, false and true, by kind. */
static const char *const literals[] = {"null", "false", "true"};

struct member {
    char *name; /* NULL in an array */
    struct node *value;
};

struct node {
    enum kind kind;
    uint32_t n_members;
    uint32_t n_room;
    union {
        int64_t number;
        char *string;
        struct member *members;
    };
};

/* ---- the parser ---- */

static void skip_space(const char **at)
{
    while (**at == ' ' || **at == '\n') {
        (*at)++;
    }
}

static bool accept(const char **at, char c)
{
    skip_space(at);
    if (**at != c) {
        return false;
    }
    (*at)++;
    return true;
}

static void expect(const char **at, char c)
{
    if (!accept(at, c)) {
        child_fail("document-parser: the text changed");
    }
}

/* The characters up to the closing quote, escapes and all: no less than the string needs. */
static size_t string_room(const char *at)
{
    const char *end = at;
    while (*end != '"' && *end != '\0') {
        end += *end == '\\' ? 2 : 1;
    }
    return (size_t)(end - at);
}

static char *parse_string(const char **at)
{
    expect(at, '"');
    char *string = take(string_room(*at) + 1);
    char *end = string;
    for (; **at != '"'; (*at)++) {
        bool is_escape = **at == '\\';
        *at += is_escape;
        *end++ = is_escape && **at == 'n' ? '\n' : **at;
    }
    *end = '\0';
    (*at)++;
    return string;
}

static enum kind kind_at(const char *at)
{
    switch (*at) {
    case 'n':
        return KIND_NULL;
    case 'f':
        return KIND_FALSE;
    case 't':
        return KIND_TRUE;
    case '"':
        return KIND_STRING;
    case '[':
        return KIND_ARRAY;
    case '{':
        return KIND_OBJECT;
    default:
        return KIND_NUMBER;
    }
}

static struct member *add_member(struct node *node)
{
    if (node->n_members == node->n_room) {
        node->n_room = node->n_room == 0 ? N_FIRST_ROOM : node->n_room * 2;
        node->members = retake(node->members, node->n_room * sizeof(struct member));
    }
    return &node->members[node->n_members++];
}

static struct node *parse_value(const char **at);

static void parse_members(const char **at, struct node *node, char close)
{
    (*at)++;
    node->members = NULL;
    while (!accept(at, close)) {
        if (node->n_members > 0) {
            expect(at, ',');
        }
        struct member *member = add_member(node);
        member->name = NULL;
        if (node->kind == KIND_OBJECT) {
            skip_space(at);
            member->name = parse_string(at);
            expect(at, ':');
        }
        member->value = parse_value(at);
    }
}

static int64_t parse_number(const char **at)
{
    bool is_negative = **at == '-';
    int64_t number = 0;
    for (*at += is_negative; **at >= '0' && **at <= '9'; (*at)++) {
        number = number * 10 + (**at - '0');
    }
    return is_negative ? -number : number;
}

static struct node *parse_value(const char **at)
{
    skip_space(at);
    struct node *node = take(sizeof *node);
    *node = (struct node){.kind = kind_at(*at)};
    if (node->kind == KIND_ARRAY || node->kind == KIND_OBJECT) {
        parse_members(at, node, node->kind == KIND_ARRAY ? ']' : '}');
    } else if (node->kind == KIND_STRING) {
        node->string = parse_string(at);
    } else if (node->kind == KIND_NUMBER) {
        node->number = parse_number(at);
    } else {
        *at += strlen(literals[node->kind]);
    }
    return node;
}

static void drop_value(struct node *node)
{
    if (node->kind == KIND_ARRAY || node->kind == KIND_OBJECT) {
        for (uint32_t i = 0; i < node->n_members; i++) {
            free(node->members[i].name);
            drop_value(node->members[i].value);
        }
        free(node->members);
    } else if (node->kind == KIND_STRING) {
        free(node->string);
    }
    free(node);
}

/* ---- the writer: each adds to a checksum ---- */

static uint64_t write_literal(uint64_t checksum, const char *literal)
{
    for (; *literal != '\0'; literal++) {
        checksum = document_checksum_add(checksum, *literal);
    }
    return checksum;
}

static uint64_t write_number(uint64_t checksum, int64_t number)
{
    char digits[24];
    char *first = digits + sizeof digits - 1;
    *first = '\0';
    for (int64_t rest = number < 0 ? -number : number; rest > 0; rest /= 10) {
        *--first = (char)('0' + rest % 10);
    }
    checksum = number < 0 ? document_checksum_add(checksum, '-') : checksum;
    return write_literal(checksum, first);
}

static uint64_t write_string(uint64_t checksum, const char *string)
{
    checksum = document_checksum_add(checksum, '"');
    for (; *string != '\0'; string++) {
        if (*string == '"' || *string == '\\' || *string == '\n') {
            checksum = document_checksum_add(checksum, '\\');
        }
        checksum = document_checksum_add(checksum, *string == '\n' ? 'n' : *string);
    }
    return document_checksum_add(checksum, '"');
}

static uint64_t write_value(uint64_t checksum, const struct node *node);

static uint64_t write_members(uint64_t checksum, const struct node *node)
{
    checksum = document_checksum_add(checksum, node->kind == KIND_ARRAY ? '[' : '{');
    for (uint32_t i = 0; i < node->n_members; i++) {
        const struct member *member = &node->members[i];
        checksum = i > 0 ? document_checksum_add(checksum, ',') : checksum;
        if (member->name != NULL) {
            checksum = document_checksum_add(write_string(checksum, member->name), ':');
        }
        checksum = write_value(checksum, member->value);
    }
    return document_checksum_add(checksum, node->kind == KIND_ARRAY ? ']' : '}');
}

static uint64_t write_value(uint64_t checksum, const struct node *node)
{
    switch (node->kind) {
    case KIND_ARRAY:
    case KIND_OBJECT:
        return write_members(checksum, node);
    case KIND_STRING:
        return write_string(checksum, node->string);
    case KIND_NUMBER:
        return write_number(checksum, node->number);
    default:
        return write_literal(checksum, literals[node->kind]);
    }
}

/* ---- the workload ---- */

void client_run_document_parser(void)
{
    struct document_text text = document_text_generate();
    for (uint32_t round = amount(N_ROUNDS); round > 0; round--) {
        const char *at = text.bytes;
        measure_begin();
        struct node *document = parse_value(&at);
        uint64_t checksum = write_value(0, document);
        drop_value(document);
        measure_end();
        if (checksum != text.checksum || at != text.bytes + text.n_bytes) {
            child_fail("document-parser: not the document that was generated");
        }
    }
    measure_freed();
}
