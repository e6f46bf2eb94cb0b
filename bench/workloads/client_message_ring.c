/* SPDX-License-Identifier: MIT */
/*
 * A bounded queue of messages of 16 B to 8 KiB, two threads that send and two that receive. A
 * receiver copies what it wants from a message and frees it: all blocks are freed by a thread that
 * did not allocate them. Messages go in and out in runs, so that the lock is not what is measured.
 *
 * Checked: each message's contents, that a receiver sees each sender's messages in order, and that
 * all that were sent arrived once.
 */
#include "client.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    N_SENDERS = 2,
    N_RECEIVERS = 2,
    N_MESSAGES = 320000, /* of each sender; a tenth of it is a multiple of N_RUN */
    N_RUN = 32,
    N_SLOTS = 1024, /* a multiple of N_RUN */
    MESSAGE_BYTES_MIN = 16,
    MESSAGE_BYTES_LOG2_MAX = 13,
};

struct message {
    uint32_t n_bytes; /* of all of it */
    uint32_t sender;
    uint64_t number; /* [of its sender] from 1 */
    unsigned char payload[];
};

static struct ring {
    pthread_mutex_t lock;
    pthread_cond_t has_room;
    pthread_cond_t has_messages;
    struct message *slots[N_SLOTS]; /* [lock] */
    uint64_t n_put;                 /* [lock] */
    uint64_t n_taken;               /* [lock] */
    int n_senders;                  /* [lock] that have not ended */
} ring = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .has_room = PTHREAD_COND_INITIALIZER,
    .has_messages = PTHREAD_COND_INITIALIZER,
};

static struct party {
    uint64_t random;
    uint32_t index;
    uint64_t n_received[N_SENDERS];
    uint64_t numbers_received[N_SENDERS]; /* added up */
} parties[N_SENDERS + N_RECEIVERS];

/* ---- the ring ---- */

static void ring_put(struct message *const run[N_RUN])
{
    (void)pthread_mutex_lock(&ring.lock);
    while (N_SLOTS - (ring.n_put - ring.n_taken) < N_RUN) {
        (void)pthread_cond_wait(&ring.has_room, &ring.lock);
    }
    for (int i = 0; i < N_RUN; i++) {
        ring.slots[ring.n_put++ % N_SLOTS] = run[i];
    }
    (void)pthread_cond_signal(&ring.has_messages);
    (void)pthread_mutex_unlock(&ring.lock);
}

/* Messages come in runs, so there is either nothing or a whole run. False: nothing will come. */
static bool ring_take(struct message *run[N_RUN])
{
    (void)pthread_mutex_lock(&ring.lock);
    while (ring.n_put == ring.n_taken && ring.n_senders > 0) {
        (void)pthread_cond_wait(&ring.has_messages, &ring.lock);
    }
    bool has_run = ring.n_put != ring.n_taken;
    for (int i = 0; has_run && i < N_RUN; i++) {
        run[i] = ring.slots[ring.n_taken++ % N_SLOTS];
    }
    (void)pthread_cond_signal(&ring.has_room);
    (void)pthread_mutex_unlock(&ring.lock);
    return has_run;
}

static void ring_close_sender(void)
{
    (void)pthread_mutex_lock(&ring.lock);
    ring.n_senders--;
    (void)pthread_cond_broadcast(&ring.has_messages);
    (void)pthread_mutex_unlock(&ring.lock);
}

/* ---- messages ---- */

/* Of eight messages four are below 128 bytes, three below 1 KiB, one is below 8 KiB. */
static uint32_t draw_payload_bytes(uint64_t *random)
{
    static const unsigned char log2_of_kind[] = {7, 7, 7, 7, 10, 10, 10, MESSAGE_BYTES_LOG2_MAX};
    uint32_t most = 1U << log2_of_kind[random_below(random, sizeof log2_of_kind)];
    return random_between(random, MESSAGE_BYTES_MIN, most) - MESSAGE_BYTES_MIN;
}

static uint64_t stamp_of(const struct message *message)
{
    return mix_number((uint64_t)message->sender << 32 | message->number);
}

static bool has_stamps(const struct message *message)
{
    return message->n_bytes >= sizeof *message + sizeof(uint64_t);
}

static struct message *message_new(struct party *sender, uint64_t number)
{
    uint32_t n_bytes = (uint32_t)sizeof(struct message) + draw_payload_bytes(&sender->random);
    struct message *message = take(n_bytes);
    message->n_bytes = n_bytes;
    message->sender = sender->index;
    message->number = number;
    if (has_stamps(message)) {
        stamp_write(message->payload, n_bytes - sizeof *message, stamp_of(message));
    }
    return message;
}

static void message_receive(struct party *receiver, struct message *message)
{
    if (message->sender >= N_SENDERS) {
        child_fail("message-ring: a message has no sender");
    }
    if (has_stamps(message)) {
        stamp_check(message->payload, message->n_bytes - sizeof *message, stamp_of(message),
                    "message-ring: a message changed");
    }
    receiver->n_received[message->sender]++;
    receiver->numbers_received[message->sender] += message->number;
    free(message);
}

/* ---- the threads ---- */

static void send_all(struct party *sender)
{
    struct message *run[N_RUN];
    uint32_t n_messages = amount(N_MESSAGES);
    for (uint64_t number = 1; number <= n_messages; number += N_RUN) {
        for (uint64_t i = 0; i < N_RUN; i++) {
            run[i] = message_new(sender, number + i);
        }
        ring_put(run);
    }
    ring_close_sender();
}

static void receive_all(struct party *receiver)
{
    struct message *run[N_RUN];
    uint64_t last[N_SENDERS] = {0};
    while (ring_take(run)) {
        for (int i = 0; i < N_RUN; i++) {
            uint64_t *before = &last[run[i]->sender % N_SENDERS];
            if (run[i]->number <= *before) {
                child_fail("message-ring: messages out of order");
            }
            *before = run[i]->number;
            message_receive(receiver, run[i]);
        }
    }
}

static void *run_party(void *argument)
{
    struct party *party = argument;
    if (party->index < N_SENDERS) {
        send_all(party);
    } else {
        receive_all(party);
    }
    return NULL;
}

/* ---- the workload ---- */

static void check_sender(int sender)
{
    uint64_t n_received = 0;
    uint64_t numbers_received = 0;
    for (int i = N_SENDERS; i < N_SENDERS + N_RECEIVERS; i++) {
        n_received += parties[i].n_received[sender];
        numbers_received += parties[i].numbers_received[sender];
    }
    uint64_t n_sent = amount(N_MESSAGES);
    if (n_received != n_sent || numbers_received != n_sent * (n_sent + 1) / 2) {
        child_fail("message-ring: messages sent and received differ");
    }
}

void client_run_message_ring(void)
{
    ring.n_senders = N_SENDERS;
    for (uint32_t i = 0; i < N_SENDERS + N_RECEIVERS; i++) {
        parties[i] = (struct party){.random = 160 + i, .index = i};
    }
    measure_begin();
    run_threads(N_SENDERS + N_RECEIVERS, run_party, parties, sizeof parties[0]);
    measure_end();
    for (int sender = 0; sender < N_SENDERS; sender++) {
        check_sender(sender);
    }
    measure_freed();
}
