/* SPDX-License-Identifier: MIT */
/*
 * A hash table with one node for each entry, as std::unordered_map and most C programs have it. It
 * doubles its buckets as it grows from nothing to two million entries, answers lookups of keys that
 * are there and of keys that are not, and is emptied key by key in another order.
 */
#include "client.h"

#include <stdlib.h>
#include <string.h>

enum {
    N_ENTRIES = 2000000,
    N_LOOKUPS = 200000,
    N_FIRST_BUCKETS = 16,
    STRIDE = 1000003, /* prime: its multiples pass over all the entries */
};

struct node {
    struct node *next;
    uint64_t key;
    uint64_t value;
};

struct table {
    struct node **buckets;
    size_t n_buckets; /* a power of two */
    size_t n_nodes;
};

/* ---- the table ---- */

static struct node **new_buckets(size_t n_buckets)
{
    struct node **buckets = take(n_buckets * sizeof(struct node *));
    memset(buckets, 0, n_buckets * sizeof(struct node *));
    return buckets;
}

static void table_init(struct table *table)
{
    table->buckets = new_buckets(N_FIRST_BUCKETS);
    table->n_buckets = N_FIRST_BUCKETS;
    table->n_nodes = 0;
}

/* Keys are mixed already. */
static struct node **bucket_of(const struct table *table, uint64_t key)
{
    return &table->buckets[key & (table->n_buckets - 1)];
}

static void table_grow(struct table *table)
{
    struct table old = *table;
    table->buckets = new_buckets(old.n_buckets * 2);
    table->n_buckets = old.n_buckets * 2;
    for (size_t i = 0; i < old.n_buckets; i++) {
        struct node *node = old.buckets[i];
        while (node != NULL) {
            struct node *next = node->next;
            struct node **bucket = bucket_of(table, node->key);
            node->next = *bucket;
            *bucket = node;
            node = next;
        }
    }
    free(old.buckets);
}

static void table_insert(struct table *table, uint64_t key, uint64_t value)
{
    if (table->n_nodes == table->n_buckets) {
        table_grow(table);
    }
    struct node **bucket = bucket_of(table, key);
    struct node *node = take(sizeof *node);
    *node = (struct node){.next = *bucket, .key = key, .value = value};
    *bucket = node;
    table->n_nodes++;
}

static struct node **table_find(const struct table *table, uint64_t key)
{
    struct node **link = bucket_of(table, key);
    while (*link != NULL && (*link)->key != key) {
        link = &(*link)->next;
    }
    return link;
}

static void table_remove(struct table *table, struct node **link)
{
    struct node *node = *link;
    *link = node->next;
    free(node);
    table->n_nodes--;
}

/* ---- the workload ---- */

/* Distinct for distinct numbers: entries have the low ones, absent keys those above. */
static uint64_t key_of(uint64_t number)
{
    return mix_number(number);
}

static uint64_t value_of(uint64_t number)
{
    return ~number;
}

static void insert_all(struct table *table)
{
    uint32_t n_entries = amount(N_ENTRIES);
    for (uint64_t number = 0; number < n_entries; number++) {
        table_insert(table, key_of(number), value_of(number));
    }
}

static void look_up(const struct table *table, uint64_t *random)
{
    uint32_t n_entries = amount(N_ENTRIES);
    for (uint32_t i = amount(N_LOOKUPS); i > 0; i--) {
        uint64_t number = random_below(random, n_entries + n_entries / 4);
        const struct node *node = *table_find(table, key_of(number));
        if ((node != NULL) != (number < n_entries)) {
            child_fail("hash-table: a lookup went wrong");
        }
        if (node != NULL && node->value != value_of(number)) {
            child_fail("hash-table: a value changed");
        }
    }
}

static void remove_all(struct table *table)
{
    uint32_t n_entries = amount(N_ENTRIES);
    for (uint64_t i = 0; i < n_entries; i++) {
        uint64_t number = i * STRIDE % n_entries;
        struct node **link = table_find(table, key_of(number));
        if (*link == NULL || (*link)->value != value_of(number)) {
            child_fail("hash-table: an entry was lost");
        }
        table_remove(table, link);
    }
}

void client_run_hash_table(void)
{
    struct table table;
    uint64_t random = 18;
    measure_begin();
    table_init(&table);
    insert_all(&table);
    look_up(&table, &random);
    remove_all(&table);
    measure_end();
    if (table.n_nodes != 0) {
        child_fail("hash-table: not empty in the end");
    }
    free(table.buckets);
    measure_freed();
}
