/* SPDX-License-Identifier: MIT */
/*
 * An interner as a compiler or a build tool has it: one block per distinct string, found by an open
 * table of pointers that doubles. One name in four is a path, joined in a block of its own before
 * it is looked up. References favour some names, as source text does.
 *
 * Names are spelt from their numbers as they are needed, so nothing but the interner keeps them.
 * Checked: a number always yields the same symbol, and in the end every symbol has the text and the
 * number of uses that were asked for.
 */
#include "client.h"

#include <stdlib.h>
#include <string.h>

enum {
    N_NAMES = 120000,
    N_REFERENCES = 350000,
    N_ROUNDS = 3,
    N_FIRST_SLOTS = 64,
    NAME_BYTES = 128,
};

struct symbol {
    uint64_t hash;
    uint32_t n_uses;
    uint32_t length;
    char text[];
};

struct interner {
    struct symbol **slots; /* at most half of them in use */
    size_t n_slots;        /* a power of two */
    size_t n_symbols;
};

/* What must come out, kept apart from the structure. */
static struct expected {
    uint32_t n_uses[N_NAMES];
    const struct symbol *symbols[N_NAMES];
} expected;

/* ---- the interner ---- */

static uint64_t hash_text(const char *text, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325U;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3U;
    }
    return hash ^ (hash >> 32);
}

static void interner_init(struct interner *interner)
{
    interner->n_slots = N_FIRST_SLOTS;
    interner->n_symbols = 0;
    interner->slots = take(N_FIRST_SLOTS * sizeof(struct symbol *));
    memset(interner->slots, 0, N_FIRST_SLOTS * sizeof(struct symbol *));
}

static void interner_drop(struct interner *interner)
{
    for (size_t i = 0; i < interner->n_slots; i++) {
        free(interner->slots[i]);
    }
    free(interner->slots);
}

static struct symbol **empty_slot(struct interner *interner, uint64_t hash)
{
    size_t i = hash & (interner->n_slots - 1);
    while (interner->slots[i] != NULL) {
        i = (i + 1) & (interner->n_slots - 1);
    }
    return &interner->slots[i];
}

static void interner_grow(struct interner *interner)
{
    struct interner old = *interner;
    size_t n_bytes = old.n_slots * 2 * sizeof(struct symbol *);
    interner->n_slots = old.n_slots * 2;
    interner->slots = take(n_bytes);
    memset(interner->slots, 0, n_bytes);
    for (size_t i = 0; i < old.n_slots; i++) {
        if (old.slots[i] != NULL) {
            *empty_slot(interner, old.slots[i]->hash) = old.slots[i];
        }
    }
    free(old.slots);
}

static struct symbol *interner_find(const struct interner *interner, uint64_t hash,
                                    const char *text, size_t length)
{
    size_t i = hash & (interner->n_slots - 1);
    for (; interner->slots[i] != NULL; i = (i + 1) & (interner->n_slots - 1)) {
        struct symbol *symbol = interner->slots[i];
        if (symbol->hash == hash && symbol->length == length &&
            memcmp(symbol->text, text, length) == 0) {
            return symbol;
        }
    }
    return NULL;
}

static struct symbol *interner_add(struct interner *interner, uint64_t hash, const char *text,
                                   size_t length)
{
    if (interner->n_symbols * 2 >= interner->n_slots) {
        interner_grow(interner);
    }
    struct symbol *symbol = take(sizeof *symbol + length + 1);
    symbol->hash = hash;
    symbol->n_uses = 0;
    symbol->length = (uint32_t)length;
    memcpy(symbol->text, text, length);
    symbol->text[length] = '\0';
    *empty_slot(interner, hash) = symbol;
    interner->n_symbols++;
    return symbol;
}

static const struct symbol *intern(struct interner *interner, const char *text, size_t length)
{
    uint64_t hash = hash_text(text, length);
    struct symbol *symbol = interner_find(interner, hash, text, length);
    if (symbol == NULL) {
        symbol = interner_add(interner, hash, text, length);
    }
    symbol->n_uses++;
    return symbol;
}

/* ---- names ---- */

static const char *const words[] = {
    "node", "list", "parse",   "buffer", "config", "handle", "render",   "a",
    "io",   "size", "context", "value",  "index",  "begin",  "iterator", "implementation",
};

enum { N_WORDS = sizeof words / sizeof words[0] };

static size_t put_word(char *out, size_t at, uint64_t choice, char before)
{
    out[at++] = before;
    for (const char *word = words[choice % N_WORDS]; *word != '\0'; word++) {
        out[at++] = *word;
    }
    return at;
}

static size_t put_number(char *out, size_t at, uint32_t number)
{
    for (; number != 0; number /= 10) {
        out[at++] = (char)('0' + number % 10);
    }
    return at;
}

static bool is_path(uint32_t name)
{
    return name % 4 == 0;
}

/* Distinct for distinct names: the digits at the end tell them apart. */
static size_t spell_identifier(char *out, uint32_t name)
{
    uint64_t choices = mix_number(name);
    size_t at = put_word(out, 0, choices, '_');
    if (choices & 0x100) {
        at = put_word(out, at, choices >> 9, '_');
    }
    return put_number(out, at, name + 1);
}

static size_t spell_path(char *out, uint32_t name)
{
    uint64_t choices = mix_number(name);
    size_t at = 0;
    for (uint64_t depth = 1 + choices % 5; depth > 0; depth--) {
        choices >>= 4;
        at = put_word(out, at, choices, '/');
    }
    out[at] = '/';
    return at + 1 + spell_identifier(out + at + 1, name);
}

static const struct symbol *intern_name(struct interner *interner, uint32_t name)
{
    if (is_path(name)) {
        char *joined = take(NAME_BYTES);
        const struct symbol *symbol = intern(interner, joined, spell_path(joined, name));
        free(joined);
        return symbol;
    }
    char text[NAME_BYTES];
    return intern(interner, text, spell_identifier(text, name));
}

/* ---- the workload ---- */

static void refer_to_names(struct interner *interner, uint64_t *random)
{
    for (int i = 0; i < N_REFERENCES; i++) {
        uint32_t name = random_below(random, random_between(random, 1, N_NAMES));
        const struct symbol *symbol = intern_name(interner, name);
        if (expected.n_uses[name]++ == 0) {
            expected.symbols[name] = symbol;
        } else if (symbol != expected.symbols[name]) {
            child_fail("interner: a string has two symbols");
        }
    }
}

static void check_names(const struct interner *interner)
{
    size_t n_symbols = 0;
    for (uint32_t name = 0; name < N_NAMES; name++) {
        if (expected.n_uses[name] == 0) {
            continue;
        }
        char text[NAME_BYTES];
        size_t length = is_path(name) ? spell_path(text, name) : spell_identifier(text, name);
        const struct symbol *symbol = expected.symbols[name];
        if (symbol->n_uses != expected.n_uses[name] || symbol->length != length ||
            memcmp(symbol->text, text, length) != 0) {
            child_fail("interner: a symbol changed");
        }
        n_symbols++;
    }
    if (n_symbols != interner->n_symbols) {
        child_fail("interner: wrong number of symbols");
    }
}

void client_run_interner(void)
{
    uint64_t random = 11;
    for (uint32_t round = amount(N_ROUNDS); round > 0; round--) {
        struct interner interner;
        memset(&expected, 0, sizeof expected);
        measure_begin();
        interner_init(&interner);
        refer_to_names(&interner, &random);
        measure_end();
        check_names(&interner);
        measure_begin();
        interner_drop(&interner);
        measure_end();
    }
    measure_freed();
}
