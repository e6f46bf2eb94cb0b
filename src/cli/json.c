/* SPDX-License-Identifier: MIT */
#include "cli/json.h"

#include "cli/bytes.h"

#include <stdlib.h>
#include <string.h>

/* Strings are decoded where they are: no escape is shorter than what it stands for. */
struct reader {
    struct json *json;
    char *at;
    char *end; /* a zero byte is there */
    char *line_start;
    size_t line;
    unsigned depth;
    const char *fault;
};

static bool refuse(struct reader *reader, const char *what)
{
    if (reader->fault == NULL)
        reader->fault = what;
    return false;
}

static void skip_space(struct reader *reader)
{
    while (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\n' ||
           *reader->at == '\r') {
        /* The only place where a line may end. */
        if (*reader->at++ == '\n') {
            reader->line++;
            reader->line_start = reader->at;
        }
    }
}

static bool skip_if(struct reader *reader, char c)
{
    if (*reader->at != c)
        return false;
    reader->at++;
    return true;
}

/* ---- values ---- */

static bool value_add(struct reader *reader, uint32_t *index)
{
    struct json *json = reader->json;
    if (json->n_values == JSON_VALUES_MAX)
        return refuse(reader, "too many values");
    if (json->n_values == json->room) {
        json->room = json->room * 2 + 256;
        json->values = need(realloc(json->values, json->room * sizeof *json->values));
    }
    *index = (uint32_t)json->n_values++;
    json->values[*index] = (struct json_value){.kind = JSON_NULL};
    return true;
}

static struct json_value *value_at(struct reader *reader, uint32_t index)
{
    return &reader->json->values[index];
}

/* ---- strings ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

/* Four digits at reader->at. */
static bool read_hex(struct reader *reader, uint32_t *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(*reader->at);
        if (digit < 0)
            return refuse(reader, "\\u without four digits");
        *code = *code * 16 + (uint32_t)digit;
        reader->at++;
    }
    return true;
}

static char *put_code(char *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
        return to;
    }
    if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *to++ = (char)(0xe0 | code >> 12);
        } else {
            *to++ = (char)(0xf0 | code >> 18);
            *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        }
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
    }
    *to++ = (char)(0x80 | (code & 0x3f));
    return to;
}

static bool is_low_surrogate(uint32_t code)
{
    return code >= 0xdc00 && code <= 0xdfff;
}

/* After "\u". Half of a pair stands for nothing, and zero would end the string. */
static bool read_code(struct reader *reader, uint32_t *code)
{
    if (!read_hex(reader, code))
        return false;
    if (*code >= 0xd800 && *code <= 0xdbff && reader->at[0] == '\\' && reader->at[1] == 'u') {
        char *second = reader->at;
        uint32_t low;
        reader->at += 2;
        if (!read_hex(reader, &low))
            return false;
        if (is_low_surrogate(low)) {
            *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
            return true;
        }
        reader->at = second;
    }
    if (*code == 0 || (*code >= 0xd800 && *code <= 0xdfff))
        *code = 0xfffd;
    return true;
}

/* After the backslash. */
static bool read_escape(struct reader *reader, char **to)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    char c = *reader->at;
    const char *found = c != '\0' ? strchr(letters, c) : NULL;
    if (found != NULL) {
        reader->at++;
        *(*to)++ = meant[found - letters];
        return true;
    }
    uint32_t code;
    if (c != 'u')
        return refuse(reader, "an escape that there is not");
    reader->at++;
    if (!read_code(reader, &code))
        return false;
    *to = put_code(*to, code);
    return true;
}

/* Bytes of the character at `at` if it is UTF-8 as it should be, else 0. */
static size_t utf8_length(const unsigned char *at)
{
    if (at[0] < 0x80)
        return 1;
    size_t n = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    bool is_bad = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] >= 0xa0) ||
                  (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] >= 0x90);
    return is_bad ? 0 : n;
}

/* One character that is no escape. The zero byte at the end is no part of UTF-8's longer ones. */
static void copy_character(struct reader *reader, char **to)
{
    size_t n = utf8_length((const unsigned char *)reader->at);
    if (n == 0) {
        *(*to)++ = '?';
        reader->at++;
        return;
    }
    memmove(*to, reader->at, n);
    *to += n;
    reader->at += n;
}

static bool read_string(struct reader *reader, const char **string)
{
    if (!skip_if(reader, '"'))
        return refuse(reader, "a string was expected");
    char *to = reader->at;
    *string = to;
    while (*reader->at != '"') {
        if (reader->at == reader->end)
            return refuse(reader, "the string does not end");
        if ((unsigned char)*reader->at < 0x20)
            return refuse(reader, "a control character in a string");
        if (skip_if(reader, '\\')) {
            if (!read_escape(reader, &to))
                return false;
        } else {
            copy_character(reader, &to);
        }
    }
    reader->at++;
    *to = '\0';
    return true;
}

/* ---- numbers ---- */

static bool skip_digits(struct reader *reader)
{
    char *first = reader->at;
    while (*reader->at >= '0' && *reader->at <= '9')
        reader->at++;
    return reader->at > first || refuse(reader, "a digit was expected");
}

static bool count_of_digits(const char *from, const char *end, uint64_t *count)
{
    *count = 0;
    for (; from < end; from++) {
        if (__builtin_mul_overflow(*count, 10, count) ||
            __builtin_add_overflow(*count, (uint64_t)(*from - '0'), count))
            return false;
    }
    return true;
}

static bool read_number(struct reader *reader, struct json_value *value)
{
    bool is_negative = skip_if(reader, '-');
    char *first = reader->at;
    if (!skip_digits(reader))
        return false;
    if (*first == '0' && reader->at > first + 1)
        return refuse(reader, "a number that begins with 0");
    char *integer_end = reader->at;
    if (skip_if(reader, '.') && !skip_digits(reader))
        return false;
    if (*reader->at == 'e' || *reader->at == 'E') {
        reader->at++;
        if (!skip_if(reader, '+'))
            (void)skip_if(reader, '-');
        if (!skip_digits(reader))
            return false;
    }
    bool is_count = !is_negative && reader->at == integer_end &&
                    count_of_digits(first, integer_end, &value->count);
    value->kind = is_count ? JSON_COUNT : JSON_NUMBER;
    if (!is_count)
        value->count = 0;
    return true;
}

/* ---- all kinds ---- */

static bool read_value(struct reader *reader, uint32_t *index);

static bool read_name(struct reader *reader, const char **name)
{
    skip_space(reader);
    if (!read_string(reader, name))
        return false;
    skip_space(reader);
    return skip_if(reader, ':') || refuse(reader, "':' was expected");
}

/* What is inside of an array or an object, after its bracket. */
static bool read_inside(struct reader *reader, uint32_t parent, char close)
{
    uint32_t last = 0;
    skip_space(reader);
    if (skip_if(reader, close))
        return true;
    do {
        const char *name = NULL;
        uint32_t index;
        if (close == '}' && !read_name(reader, &name))
            return false;
        if (!read_value(reader, &index))
            return false;
        value_at(reader, index)->name = name;
        if (last == 0)
            value_at(reader, parent)->first = index;
        else
            value_at(reader, last)->next = index;
        last = index;
        skip_space(reader);
    } while (skip_if(reader, ','));
    return skip_if(reader, close) || refuse(reader, "',' or a closing bracket was expected");
}

static bool read_nested(struct reader *reader, uint32_t index, enum json_kind kind)
{
    value_at(reader, index)->kind = kind;
    if (++reader->depth > JSON_DEPTH_MAX)
        return refuse(reader, "nested too deeply");
    if (!read_inside(reader, index, kind == JSON_OBJECT ? '}' : ']'))
        return false;
    reader->depth--;
    return true;
}

static bool read_word(struct reader *reader, struct json_value *value)
{
    static const struct {
        const char *word;
        enum json_kind kind;
    } words[] = {{"null", JSON_NULL}, {"false", JSON_FALSE}, {"true", JSON_TRUE}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t n = strlen(words[i].word);
        if (strncmp(reader->at, words[i].word, n) == 0) {
            reader->at += n;
            value->kind = words[i].kind;
            return true;
        }
    }
    return refuse(reader, "a value was expected");
}

static bool read_value(struct reader *reader, uint32_t *index)
{
    if (!value_add(reader, index))
        return false;
    skip_space(reader);
    char c = *reader->at;
    if (c == '{' || c == '[') {
        reader->at++;
        return read_nested(reader, *index, c == '{' ? JSON_OBJECT : JSON_ARRAY);
    }
    struct json_value *value = value_at(reader, *index);
    if (c == '"') {
        value->kind = JSON_STRING;
        return read_string(reader, &value->text);
    }
    if (c == '-' || (c >= '0' && c <= '9'))
        return read_number(reader, value);
    return read_word(reader, value);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): it is written to */
bool json_parse(struct json *json, char *text, size_t n, struct json_fault *fault)
{
    struct reader reader = {
        .json = json, .at = text, .end = text + n, .line_start = text, .line = 1};
    uint32_t root;
    *json = (struct json){0};
    bool is_read = read_value(&reader, &root);
    if (is_read) {
        skip_space(&reader);
        is_read = reader.at == reader.end || refuse(&reader, "something after the end");
    }
    *fault = (struct json_fault){
        .line = reader.line,
        .column = (size_t)(reader.at - reader.line_start) + 1,
        .what = reader.fault,
    };
    return is_read;
}

void json_free(struct json *json)
{
    free(json->values);
    *json = (struct json){0};
}

/* ---- looking ---- */

const struct json_value *json_first(const struct json *json, const struct json_value *value)
{
    return value != NULL && value->first != 0 ? &json->values[value->first] : NULL;
}

const struct json_value *json_next(const struct json *json, const struct json_value *value)
{
    return value != NULL && value->next != 0 ? &json->values[value->next] : NULL;
}

const struct json_value *json_member(const struct json *json, const struct json_value *value,
                                     const char *name)
{
    const struct json_value *member = json_first(json, value);
    while (member != NULL && (member->name == NULL || strcmp(member->name, name) != 0))
        member = json_next(json, member);
    return member;
}

uint64_t json_count(const struct json *json, const struct json_value *value, const char *name)
{
    const struct json_value *member = json_member(json, value, name);
    return member != NULL && member->kind == JSON_COUNT ? member->count : 0;
}

const char *json_text(const struct json *json, const struct json_value *value, const char *name)
{
    const struct json_value *member = json_member(json, value, name);
    return member != NULL && member->kind == JSON_STRING ? member->text : "";
}
