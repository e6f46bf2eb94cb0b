/* SPDX-License-Identifier: MIT */
/*
 * Generates the text that the document parser works on, once, into a static buffer: an array of
 * objects, nested to a few levels, with the white space that people leave in.
 *
 * What was put in other than white space goes into a checksum as well, which a writer of the parsed
 * document has to arrive at.
 */
#include "client.h"

enum {
    TEXT_BYTES = 1 << 20, /* a record more, at most */
    RECORD_BYTES_MAX = 1 << 18,
    DEPTH_MAX = 5,
    N_MEMBERS_MAX = 8,
    NAME_MAX_BYTES = 16,
    STRING_USUAL = 40,
    STRING_MAX = 400, /* one string in 16 is as long as this */
};

enum container { ARRAY, OBJECT };

static struct text {
    char bytes[TEXT_BYTES + RECORD_BYTES_MAX];
    size_t n_bytes;
    uint64_t checksum;
} text;

static void put_space(char c)
{
    if (text.n_bytes == sizeof text.bytes - 1) {
        child_fail("document-parser: the text is too long");
    }
    text.bytes[text.n_bytes++] = c;
}

static void put(char c)
{
    put_space(c);
    text.checksum = document_checksum_add(text.checksum, c);
}

static void put_line(int depth)
{
    put_space('\n');
    for (int i = 0; i < depth; i++) {
        put_space(' ');
    }
}

static void put_literal(const char *literal)
{
    for (; *literal != '\0'; literal++) {
        put(*literal);
    }
}

static void put_number(uint64_t *random)
{
    uint32_t n_digits = random_between(random, 1, 15);
    if (random_below(random, 4) == 0) {
        put('-');
    }
    put((char)('1' + random_below(random, 9)));
    while (--n_digits > 0) {
        put((char)('0' + random_below(random, 10)));
    }
}

/* One character in 32 needs an escape. */
static void put_string(uint64_t *random, uint32_t length_max)
{
    put('"');
    for (uint32_t i = random_between(random, 1, length_max); i > 0; i--) {
        if (random_below(random, 32) == 0) {
            put('\\');
            put("\"\\n"[random_below(random, 3)]);
        } else {
            put((char)('a' + random_below(random, 26)));
        }
    }
    put('"');
}

static void put_value(uint64_t *random, int depth);

static void put_members(uint64_t *random, int depth, enum container container)
{
    put(container == ARRAY ? '[' : '{');
    uint32_t n = random_below(random, N_MEMBERS_MAX + 1);
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0) {
            put(',');
        }
        put_line(depth);
        if (container == OBJECT) {
            put_string(random, NAME_MAX_BYTES);
            put(':');
            put_space(' ');
        }
        put_value(random, depth + 1);
    }
    put(container == ARRAY ? ']' : '}');
}

static void put_scalar(uint64_t *random)
{
    static const char *const literals[] = {"null", "false", "true"};
    uint32_t kind = random_below(random, 5);
    if (kind < 3) {
        put_literal(literals[kind]);
    } else if (kind == 3) {
        put_number(random);
    } else {
        put_string(random, random_below(random, 16) == 0 ? STRING_MAX : STRING_USUAL);
    }
}

static void put_value(uint64_t *random, int depth)
{
    if (depth < DEPTH_MAX && random_below(random, 2) == 0) {
        put_members(random, depth, random_below(random, 3) == 0 ? ARRAY : OBJECT);
    } else {
        put_scalar(random);
    }
}

struct document_text document_text_generate(void)
{
    uint64_t random = 20;
    put('[');
    put_members(&random, 1, OBJECT);
    while (text.n_bytes < TEXT_BYTES) {
        put(',');
        put_line(1);
        put_members(&random, 1, OBJECT);
    }
    put(']');
    text.bytes[text.n_bytes] = '\0';
    return (struct document_text){text.bytes, text.n_bytes, text.checksum};
}
