/* SPDX-License-Identifier: MIT */
/*
 * A vector that is never changed once others can see it: the writer copies it, changes the copy and
 * publishes that, while two readers go over snapshots. Vectors and items count their references;
 * whoever drops the last one frees, so blocks of the writer are often freed by a reader.
 *
 * Checked: every snapshot's items add up to the sum its writer noted, and in the end all items that
 * were created have been freed.
 */
#include "client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    N_READERS = 2,
    N_UPDATES = 40000,
    N_SNAPSHOTS = 40000, /* of each reader */
    N_ITEMS_MIN = 100,
    N_ITEMS_MAX = 700,
    ITEM_BYTES_MIN = 16,
    ITEM_BYTES_MAX = 160,
};

struct item {
    _Atomic uint32_t n_references; /* vectors it is in */
    uint32_t value;                /* [const] */
    unsigned char payload[];       /* [const] */
};

struct vector {
    _Atomic uint32_t n_references;
    uint32_t n_items;     /* [const once published] */
    uint64_t sum;         /* [const once published] of the items' values */
    struct item *items[]; /* [const once published] */
};

/* The lock makes reading the pointer and counting the reference one step. */
static struct shared {
    pthread_mutex_t lock;
    struct vector *vector; /* [lock] */
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct party {
    uint64_t random;
    uint64_t n_items_created;
    uint64_t n_items_freed;
    void (*body)(struct party *party);
} parties[1 + N_READERS];

/* ---- items and vectors ---- */

static struct item *item_new(struct party *party)
{
    struct item *item =
        take(sizeof *item + random_between(&party->random, ITEM_BYTES_MIN, ITEM_BYTES_MAX));
    atomic_init(&item->n_references, 1);
    item->value = (uint32_t)random_next(&party->random);
    stamp_write(item->payload, ITEM_BYTES_MIN, item->value);
    party->n_items_created++;
    return item;
}

/* Only by one who holds a vector with the item, or a vector with the vector's own reference. */
static void item_share(struct item *item)
{
    (void)atomic_fetch_add_explicit(&item->n_references, 1, memory_order_relaxed);
}

/* Release, so that this party's reads come before the free; acquire, so that all others' do. */
static bool drop_reference(_Atomic uint32_t *n_references)
{
    return atomic_fetch_sub_explicit(n_references, 1, memory_order_acq_rel) == 1;
}

static void item_drop(struct party *party, struct item *item)
{
    if (drop_reference(&item->n_references)) {
        stamp_check(item->payload, ITEM_BYTES_MIN, item->value, "cow-vector: an item changed");
        free(item);
        party->n_items_freed++;
    }
}

static struct vector *vector_new(uint32_t n_items)
{
    struct vector *vector = take(sizeof *vector + n_items * sizeof(struct item *));
    atomic_init(&vector->n_references, 1);
    vector->n_items = n_items;
    vector->sum = 0;
    return vector;
}

static void vector_drop(struct party *party, struct vector *vector)
{
    if (drop_reference(&vector->n_references)) {
        for (uint32_t i = 0; i < vector->n_items; i++) {
            item_drop(party, vector->items[i]);
        }
        free(vector);
    }
}

static void copy_items(struct vector *to, uint32_t at, const struct vector *from, uint32_t begin,
                       uint32_t end)
{
    for (uint32_t i = begin; i < end; i++) {
        item_share(from->items[i]);
        to->items[at++] = from->items[i];
    }
}

static struct vector *vector_with(const struct vector *old, uint32_t place, struct item *item)
{
    struct vector *copy = vector_new(old->n_items + 1);
    copy_items(copy, 0, old, 0, place);
    copy->items[place] = item;
    copy_items(copy, place + 1, old, place, old->n_items);
    copy->sum = old->sum + item->value;
    return copy;
}

static struct vector *vector_without(const struct vector *old, uint32_t place)
{
    struct vector *copy = vector_new(old->n_items - 1);
    copy_items(copy, 0, old, 0, place);
    copy_items(copy, place, old, place + 1, old->n_items);
    copy->sum = old->sum - old->items[place]->value;
    return copy;
}

/* ---- writer and readers ---- */

static void publish(struct party *party, struct vector *vector)
{
    (void)pthread_mutex_lock(&shared.lock);
    struct vector *old = shared.vector;
    shared.vector = vector;
    (void)pthread_mutex_unlock(&shared.lock);
    if (old != NULL) {
        vector_drop(party, old);
    }
}

static struct vector *snapshot(void)
{
    (void)pthread_mutex_lock(&shared.lock);
    struct vector *vector = shared.vector;
    (void)atomic_fetch_add_explicit(&vector->n_references, 1, memory_order_relaxed);
    (void)pthread_mutex_unlock(&shared.lock);
    return vector;
}

static bool grows(struct party *party, const struct vector *vector)
{
    uint32_t target = random_between(&party->random, N_ITEMS_MIN, N_ITEMS_MAX);
    return vector->n_items < target;
}

/* The writer alone replaces the vector, so it may read the shared one without the lock. */
static void update_vectors(struct party *party)
{
    struct vector *vector = shared.vector;
    for (uint32_t i = amount(N_UPDATES); i > 0; i--) {
        uint32_t place = random_below(&party->random, vector->n_items);
        if (grows(party, vector)) {
            vector = vector_with(vector, place, item_new(party));
        } else {
            vector = vector_without(vector, place);
        }
        publish(party, vector);
    }
}

static void read_vectors(struct party *party)
{
    for (uint32_t i = amount(N_SNAPSHOTS); i > 0; i--) {
        struct vector *vector = snapshot();
        uint64_t sum = 0;
        for (uint32_t k = 0; k < vector->n_items; k++) {
            sum += vector->items[k]->value;
        }
        if (sum != vector->sum) {
            child_fail("cow-vector: a snapshot does not add up");
        }
        vector_drop(party, vector);
    }
}

static void *run_party(void *argument)
{
    struct party *party = argument;
    party->body(party);
    return NULL;
}

/* ---- the workload ---- */

static void publish_first(struct party *party)
{
    struct vector *vector = vector_new(N_ITEMS_MIN);
    for (int i = 0; i < N_ITEMS_MIN; i++) {
        vector->items[i] = item_new(party);
        vector->sum += vector->items[i]->value;
    }
    publish(party, vector);
}

static void check_parties(void)
{
    uint64_t n_created = 0;
    uint64_t n_freed = 0;
    for (int i = 0; i < 1 + N_READERS; i++) {
        n_created += parties[i].n_items_created;
        n_freed += parties[i].n_items_freed;
    }
    if (n_created != n_freed) {
        child_fail("cow-vector: items created and freed differ");
    }
}

void client_run_cow_vector(void)
{
    for (unsigned i = 0; i < 1 + N_READERS; i++) {
        parties[i] = (struct party){.random = 150 + i};
        parties[i].body = i == 0 ? update_vectors : read_vectors;
    }
    measure_begin();
    publish_first(&parties[0]);
    run_threads(1 + N_READERS, run_party, parties, sizeof parties[0]);
    vector_drop(&parties[0], shared.vector);
    measure_end();
    check_parties();
    measure_freed();
}
