/* SPDX-License-Identifier: MIT */
/*
 * Buffer sets, as poolalloc.h describes them.
 *
 * A buffer is out while it has holders, or in the set's list; the list and the queue of waiters are
 * never both non-empty: who gives a buffer back hands it to the first waiter. Waiters stand in a
 * queue on their own stacks, each with a word of its own to sleep on; that and being handed the
 * buffer under the lock makes them first come, first served.
 *
 * The set lives until its creator has ended it, the last buffer is back and the last waiter has
 * left: n_users counts all of these. It stays in the registry as long.
 *
 * Nobody sleeps inside (heap.h), so that signals come through to those who wait.
 *
 * Fork: prepare takes the lock; in the child there are no other threads, so no waiters.
 */
#ifndef POOLALLOC_OBJECTS_BUFFERS_H
#define POOLALLOC_OBJECTS_BUFFERS_H

#include "objects/registry.h"
#include "poolalloc.h"

enum {
    BUFFERS_ALIGN = 64,
    BUFFERS_ALIGN_MAX = 1 << 20,
    BUFFERS_MAX = 1 << 20,
    BUFFER_MAX_BYTES = 1 << 30,
};

struct poolalloc_buffer {
    void *data;                 /* [const] */
    poolalloc_buffers *set;     /* [const] */
    poolalloc_buffer *next;     /* [lock] in the list */
    _Atomic uint32_t n_holders; /* [atomic] 0: in the list, or on its way there */
    bool was_out;               /* [lock] since its pages were last given back */
};

struct buffers_waiter {
    struct buffers_waiter *next; /* [lock] */
    poolalloc_buffer *buffer;    /* set before is_served; NULL: the set has ended */
    _Atomic uint32_t is_served;
};

struct poolalloc_buffers {
    struct lock lock;
    size_t bytes; /* [const] asked for */
    size_t stride;
    size_t n;
    char *memory;
    poolalloc_buffer *table;
    poolalloc_buffer *first;      /* [lock] of the list, the last that came back */
    struct buffers_waiter *head;  /* [lock] of the queue */
    struct buffers_waiter **tail; /* [lock] where the next one goes */
    size_t n_users;               /* [lock] */
    _Atomic size_t n_out;         /* changes under the lock, like all that follow */
    _Atomic size_t peak;
    _Atomic size_t n_waiting;
    _Atomic uint64_t n_waits;
    _Atomic uint64_t n_failures;
    struct object object;
};

poolalloc_buffers *buffers_create(const struct poolalloc_buffers_options *options);
size_t buffers_destroy(poolalloc_buffers *set);
poolalloc_buffer *buffers_try(poolalloc_buffers *set);

/* deadline NULL: none. */
poolalloc_buffer *buffers_acquire(poolalloc_buffers *set, const struct timespec *deadline);
size_t buffers_trim(poolalloc_buffers *set);
void buffers_get_stats(poolalloc_buffers *set, struct poolalloc_buffers_stats *stats);

poolalloc_buffer *buffer_retain(poolalloc_buffer *buffer);
int buffer_release(poolalloc_buffer *buffer);
int slice_cut(const poolalloc_slice *from, size_t offset, size_t bytes, poolalloc_slice *slice);
int slice_release(poolalloc_slice *slice);

#endif
