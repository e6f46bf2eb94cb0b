/* SPDX-License-Identifier: MIT */
/*
 * Handles by number, in 256 buckets with a lock each, as a server keeps logins or a driver its
 * objects. Two threads create handles, look up and close their own and each other's, and let
 * handles expire that nobody closed; so many blocks are freed by the thread that did not allocate
 * them.
 *
 * Which thread closes a handle is a matter of luck. That it is closed exactly once is not: the
 * numbers and the exclusive or of all ids created and all ids closed must agree.
 */
#include "client.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    N_THREADS = 2,
    N_BUCKETS = 256,
    N_STEPS = 1000000,
    N_LIVES = 1500, /* handles a thread creates before its oldest one expires */
    HANDLE_BYTES_MIN = 64,
    HANDLE_BYTES_MAX = 512,
};

struct handle {
    struct handle *next; /* [lock: the bucket's] */
    uint64_t id;         /* [const] */
    uint32_t n_bytes;    /* [const] of the payload */
    uint32_t n_finds;    /* [lock: the bucket's] */
    unsigned char payload[];
};

struct bucket {
    pthread_mutex_t lock;
    struct handle *first; /* [lock] */
};

static struct bucket buckets[N_BUCKETS];

static struct owner {
    uint64_t random;
    uint32_t index;
    uint32_t n_created;
    uint32_t n_closed;
    uint64_t ids_created; /* exclusive or */
    uint64_t ids_closed;
    uint64_t n_finds;
    uint64_t finds_closed; /* n_finds of the handles closed */
} owners[N_THREADS];

/* ---- the registry ---- */

static struct bucket *bucket_of(uint64_t id)
{
    return &buckets[id % N_BUCKETS];
}

static void registry_insert(uint64_t id, uint32_t payload_bytes)
{
    struct bucket *bucket = bucket_of(id);
    struct handle *handle = take(sizeof *handle + payload_bytes);
    handle->id = id;
    handle->n_bytes = payload_bytes;
    handle->n_finds = 0;
    stamp_write(handle->payload, payload_bytes, id);
    (void)pthread_mutex_lock(&bucket->lock);
    handle->next = bucket->first;
    bucket->first = handle;
    (void)pthread_mutex_unlock(&bucket->lock);
}

/* The link that leads to a handle, or to NULL at the end of its bucket. */
static struct handle **find_link_locked(struct bucket *bucket, uint64_t id)
{
    struct handle **link = &bucket->first;
    while (*link != NULL && (*link)->id != id) {
        link = &(*link)->next;
    }
    return link;
}

static bool registry_find(uint64_t id)
{
    struct bucket *bucket = bucket_of(id);
    (void)pthread_mutex_lock(&bucket->lock);
    struct handle *handle = *find_link_locked(bucket, id);
    if (handle != NULL) {
        stamp_check(handle->payload, handle->n_bytes, id, "handle-registry: a payload changed");
        handle->n_finds++;
    }
    (void)pthread_mutex_unlock(&bucket->lock);
    return handle != NULL;
}

static struct handle *registry_remove(uint64_t id)
{
    struct bucket *bucket = bucket_of(id);
    (void)pthread_mutex_lock(&bucket->lock);
    struct handle **link = find_link_locked(bucket, id);
    struct handle *handle = *link;
    if (handle != NULL) {
        *link = handle->next;
    }
    (void)pthread_mutex_unlock(&bucket->lock);
    return handle;
}

/* ---- the threads ---- */

static uint64_t id_of(uint32_t owner, uint32_t number)
{
    return mix_number((uint64_t)owner << 32 | number);
}

/* One of the handles that were created lately, by this thread or as many steps ago by the other. */
static uint64_t draw_id(struct owner *owner)
{
    uint32_t n_recent = owner->n_created < N_LIVES ? owner->n_created : N_LIVES;
    uint32_t age = random_below(&owner->random, n_recent);
    return id_of(random_below(&owner->random, N_THREADS), owner->n_created - 1 - age);
}

static void close_handle(struct owner *owner, uint64_t id)
{
    struct handle *handle = registry_remove(id);
    if (handle == NULL) {
        return; /* closed before, by either thread, or not yet created by the other */
    }
    stamp_check(handle->payload, handle->n_bytes, id, "handle-registry: a payload changed");
    owner->n_closed++;
    owner->ids_closed ^= handle->id;
    owner->finds_closed += handle->n_finds;
    free(handle);
}

static void create_handle(struct owner *owner)
{
    uint32_t n_bytes = random_between(&owner->random, HANDLE_BYTES_MIN, HANDLE_BYTES_MAX);
    uint64_t id = id_of(owner->index, owner->n_created);
    registry_insert(id, n_bytes - (uint32_t)sizeof(struct handle));
    owner->ids_created ^= id;
    owner->n_created++;
    if (owner->n_created > N_LIVES) {
        close_handle(owner, id_of(owner->index, owner->n_created - 1 - N_LIVES));
    }
}

static void *use_handles(void *argument)
{
    struct owner *owner = argument;
    create_handle(owner);
    for (uint32_t step = amount(N_STEPS); step > 0; step--) {
        uint32_t choice = random_below(&owner->random, 8);
        if (choice < 3) {
            create_handle(owner);
        } else if (choice < 5) {
            close_handle(owner, draw_id(owner));
        } else if (registry_find(draw_id(owner))) {
            owner->n_finds++;
        }
    }
    return NULL;
}

/* ---- the workload ---- */

static void close_all(struct owner *owner)
{
    for (int i = 0; i < N_BUCKETS; i++) {
        while (buckets[i].first != NULL) {
            close_handle(owner, buckets[i].first->id);
        }
    }
}

static void check_owners(void)
{
    struct owner sum = {0};
    for (int i = 0; i < N_THREADS; i++) {
        sum.n_created += owners[i].n_created;
        sum.n_closed += owners[i].n_closed;
        sum.ids_created ^= owners[i].ids_created;
        sum.ids_closed ^= owners[i].ids_closed;
        sum.n_finds += owners[i].n_finds;
        sum.finds_closed += owners[i].finds_closed;
    }
    if (sum.n_created != sum.n_closed || sum.ids_created != sum.ids_closed) {
        child_fail("handle-registry: handles created and closed differ");
    }
    if (sum.n_finds != sum.finds_closed) {
        child_fail("handle-registry: finds were lost");
    }
}

void client_run_handle_registry(void)
{
    for (int i = 0; i < N_BUCKETS; i++) {
        (void)pthread_mutex_init(&buckets[i].lock, NULL);
    }
    for (uint32_t i = 0; i < N_THREADS; i++) {
        owners[i] = (struct owner){.random = 130 + i, .index = i};
    }
    measure_begin();
    run_threads(N_THREADS, use_handles, owners, sizeof owners[0]);
    close_all(&owners[0]);
    measure_end();
    check_owners();
    measure_freed();
}
