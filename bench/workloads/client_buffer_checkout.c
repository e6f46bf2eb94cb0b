/* SPDX-License-Identifier: MIT */
/*
 * A pool of I/O buffers of 4, 16 and 64 KiB. Four threads serve requests: a request checks out some
 * buffers, fills them, hands a few of them to the next thread, as a completion would, and returns
 * the rest. The pool keeps a few idle buffers of each size and gives the others back to malloc, so
 * bursts of one thread reach malloc and calm times do not.
 *
 * Checked: a buffer's stamps when it is returned, whoever returns it, and that all that were
 * checked out came back.
 */
#include "client.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    N_THREADS = 4,
    N_REQUESTS = 10000, /* of each thread */
    N_CLASSES = 3,
    N_IDLE = 8,
    N_CHECKED_OUT = 32, /* at most, by one request */
    N_MAILBOX = 16,
    HAND_OVER_ONE_IN = 8,
};

static const size_t class_bytes[N_CLASSES] = {4096, 16384, 65536};

struct buffer {
    unsigned char *bytes;
    size_t n_bytes;
    uint32_t class;
    uint64_t stamp;
};

static struct pool {
    pthread_mutex_t lock;
    void *idle[N_CLASSES][N_IDLE]; /* [lock] */
    int n_idle[N_CLASSES];         /* [lock] */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

struct mailbox {
    pthread_mutex_t lock;
    struct buffer buffers[N_MAILBOX]; /* [lock] */
    int n_buffers;                    /* [lock] */
};

static struct server {
    uint64_t random;
    uint64_t n_checkouts;
    uint64_t n_returns;
    struct mailbox *next;
    struct mailbox mailbox; /* the thread before puts, this one takes */
} servers[N_THREADS];

/* ---- the pool ---- */

static void *pool_checkout(uint32_t class)
{
    void *bytes = NULL;
    (void)pthread_mutex_lock(&pool.lock);
    if (pool.n_idle[class] > 0) {
        bytes = pool.idle[class][--pool.n_idle[class]];
    }
    (void)pthread_mutex_unlock(&pool.lock);
    return bytes != NULL ? bytes : take(class_bytes[class]);
}

static void pool_return(uint32_t class, void *bytes)
{
    (void)pthread_mutex_lock(&pool.lock);
    if (pool.n_idle[class] < N_IDLE) {
        pool.idle[class][pool.n_idle[class]++] = bytes;
        bytes = NULL;
    }
    (void)pthread_mutex_unlock(&pool.lock);
    free(bytes);
}

static void pool_drain(void)
{
    for (int class = 0; class < N_CLASSES; class ++) {
        while (pool.n_idle[class] > 0) {
            free(pool.idle[class][--pool.n_idle[class]]);
        }
    }
}

/* ---- the threads ---- */

/* Ten in sixteen are small, five middling, one is large. */
static uint32_t draw_class(uint64_t *random)
{
    uint32_t kind = random_below(random, 16);
    return kind < 10 ? 0 : kind < 15 ? 1 : 2;
}

static struct buffer check_out(struct server *server)
{
    uint32_t class = draw_class(&server->random);
    struct buffer buffer = {.class = class, .n_bytes = class_bytes[class]};
    buffer.bytes = pool_checkout(class);
    buffer.stamp = random_next(&server->random);
    stamp_write(buffer.bytes, buffer.n_bytes, buffer.stamp);
    server->n_checkouts++;
    return buffer;
}

static void give_back(struct server *server, const struct buffer *buffer)
{
    stamp_check(buffer->bytes, buffer->n_bytes, buffer->stamp,
                "buffer-checkout: a buffer's contents changed");
    pool_return(buffer->class, buffer->bytes);
    server->n_returns++;
}

static bool mailbox_put(struct mailbox *mailbox, const struct buffer *buffer)
{
    (void)pthread_mutex_lock(&mailbox->lock);
    bool has_room = mailbox->n_buffers < N_MAILBOX;
    if (has_room) {
        mailbox->buffers[mailbox->n_buffers++] = *buffer;
    }
    (void)pthread_mutex_unlock(&mailbox->lock);
    return has_room;
}

static int mailbox_take_all(struct mailbox *mailbox, struct buffer buffers[N_MAILBOX])
{
    (void)pthread_mutex_lock(&mailbox->lock);
    int n = mailbox->n_buffers;
    for (int i = 0; i < n; i++) {
        buffers[i] = mailbox->buffers[i];
    }
    mailbox->n_buffers = 0;
    (void)pthread_mutex_unlock(&mailbox->lock);
    return n;
}

static void complete_handed_over(struct server *server)
{
    struct buffer buffers[N_MAILBOX];
    int n = mailbox_take_all(&server->mailbox, buffers);
    for (int i = 0; i < n; i++) {
        give_back(server, &buffers[i]);
    }
}

static void serve_request(struct server *server)
{
    struct buffer buffers[N_CHECKED_OUT];
    uint32_t n = random_between(&server->random, 1, N_CHECKED_OUT);
    for (uint32_t i = 0; i < n; i++) {
        buffers[i] = check_out(server);
    }
    for (uint32_t i = 0; i < n; i++) {
        bool hands_over = random_below(&server->random, HAND_OVER_ONE_IN) == 0;
        if (!hands_over || !mailbox_put(server->next, &buffers[i])) {
            give_back(server, &buffers[i]);
        }
    }
}

static void *serve(void *argument)
{
    struct server *server = argument;
    for (uint32_t request = amount(N_REQUESTS); request > 0; request--) {
        complete_handed_over(server);
        serve_request(server);
    }
    return NULL;
}

/* ---- the workload ---- */

static void check_servers(void)
{
    uint64_t n_checkouts = 0;
    uint64_t n_returns = 0;
    for (int i = 0; i < N_THREADS; i++) {
        n_checkouts += servers[i].n_checkouts;
        n_returns += servers[i].n_returns;
    }
    if (n_checkouts != n_returns) {
        child_fail("buffer-checkout: buffers were lost");
    }
}

void client_run_buffer_checkout(void)
{
    for (unsigned i = 0; i < N_THREADS; i++) {
        servers[i] = (struct server){.random = 140 + i};
        servers[i].next = &servers[(i + 1) % N_THREADS].mailbox;
        (void)pthread_mutex_init(&servers[i].mailbox.lock, NULL);
    }
    measure_begin();
    run_threads(N_THREADS, serve, servers, sizeof servers[0]);
    for (int i = 0; i < N_THREADS; i++) {
        complete_handed_over(&servers[i]);
    }
    pool_drain();
    measure_end();
    check_servers();
    measure_freed();
}
