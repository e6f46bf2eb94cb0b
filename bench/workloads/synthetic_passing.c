/* SPDX-License-Identifier: MIT */
/*
 * Blocks that another thread frees than the one that allocated them.
 *
 *   one way      producer to consumer, in batches through a ring
 *   all to all   4 threads send chains of blocks to the mailbox of a random other and free what
 *                arrives in their own
 *
 * Both bound what is under way, so that memory grows only if freed blocks do not find back.
 */
#include "synthetic.h"

#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>

/* ---- one way ---- */

enum {
    BATCH_BLOCKS = 64,
    RING_BATCHES = 16,
    N_BATCHES = 80000,
    ONE_WAY_BYTES_MAX = 256,
};

/*
 * A batch belongs to the producer until the release of n_put, to the consumer from its acquire of
 * n_put until the release of n_taken, and then to the producer again.
 */
static struct {
    alignas(CACHE_LINE_BYTES) _Atomic uint32_t n_put;   /* [producer writes] batches */
    alignas(CACHE_LINE_BYTES) _Atomic uint32_t n_taken; /* [consumer writes] batches */
    struct block *batches[RING_BATCHES][BATCH_BLOCKS];
} ring;

static void put_batch(uint32_t n, uint64_t *random)
{
    for (uint32_t i = 0; i < BATCH_BLOCKS; i++) {
        uint32_t n_bytes = random_between(random, BLOCK_BYTES_MIN, ONE_WAY_BYTES_MAX);
        ring.batches[n % RING_BATCHES][i] = block_make(n_bytes, n * BATCH_BLOCKS + i);
    }
}

static void take_batch(uint32_t n)
{
    for (uint32_t i = 0; i < BATCH_BLOCKS; i++) {
        block_free(ring.batches[n % RING_BATCHES][i], n * BATCH_BLOCKS + i);
    }
}

static void produce(void)
{
    uint64_t random = 3;
    uint32_t n_batches = amount(N_BATCHES);
    for (uint32_t n = 0; n < n_batches; n++) {
        while (n - atomic_load_explicit(&ring.n_taken, memory_order_acquire) == RING_BATCHES) {
            (void)sched_yield();
        }
        put_batch(n, &random);
        atomic_store_explicit(&ring.n_put, n + 1, memory_order_release);
    }
}

static void consume(void)
{
    uint32_t n_batches = amount(N_BATCHES);
    for (uint32_t n = 0; n < n_batches; n++) {
        while (n == atomic_load_explicit(&ring.n_put, memory_order_acquire)) {
            (void)sched_yield();
        }
        take_batch(n);
        atomic_store_explicit(&ring.n_taken, n + 1, memory_order_release);
    }
}

struct role {
    void (*act)(void);
};

static void *act(void *argument)
{
    const struct role *role = argument;
    role->act();
    return NULL;
}

void run_passing_one_way(void)
{
    static struct role roles[] = {{produce}, {consume}};
    measure_begin();
    run_threads(2, act, roles, sizeof roles[0]);
    measure_end();
    measure_freed();
}

/* ---- all to all ---- */

enum {
    N_PEERS = 4,
    CHAIN_BLOCKS = 16,
    N_CHAINS = 30000, /* that each peer sends */
    MAILBOX_CHAINS = 64,
    CHAINED_BYTES_MAX = 512,
};

struct chained {
    struct block block;
    struct chained *next;
};

enum { CHAINED_BYTES_MIN = sizeof(struct chained) + 1 };

/*
 * Senders push whole chains with a release; the owner takes all there is with an acquire, after
 * which the blocks are its own. Nobody pops single blocks, so that an address that comes back does
 * no harm.
 */
struct mailbox {
    alignas(CACHE_LINE_BYTES) struct chained *_Atomic first;
    _Atomic uint32_t n_chains; /* a bound, not a count: added to before the push */
};

static struct peer {
    struct mailbox mailbox;
    alignas(CACHE_LINE_BYTES) uint64_t random; /* [own thread], from here on */
    uint32_t number;
    uint64_t sum_sent; /* of keys: a receiver does not know which to expect */
    uint64_t sum_received;
} peers[N_PEERS];

static _Atomic uint32_t n_peers_done;

static void empty_mailbox(struct peer *self)
{
    struct chained *chained =
        atomic_exchange_explicit(&self->mailbox.first, NULL, memory_order_acquire);
    uint32_t n = 0;
    while (chained != NULL) {
        struct chained *next = chained->next;
        self->sum_received += chained->block.key;
        block_free(&chained->block, chained->block.key);
        chained = next;
        n++;
    }
    if (n > 0) {
        atomic_fetch_sub_explicit(&self->mailbox.n_chains, n / CHAIN_BLOCKS, memory_order_relaxed);
    }
}

/* The last block of the chain, which is the first one made, comes out by `last`. */
static struct chained *make_chain(struct peer *self, uint32_t chain, struct chained **last)
{
    struct chained *first = NULL;
    for (uint32_t i = 0; i < CHAIN_BLOCKS; i++) {
        uint32_t n_bytes = random_between(&self->random, CHAINED_BYTES_MIN, CHAINED_BYTES_MAX);
        uint32_t key = (chain * CHAIN_BLOCKS + i) * N_PEERS + self->number;
        struct chained *chained = (struct chained *)(void *)block_make(n_bytes, key);
        self->sum_sent += key;
        chained->next = first;
        first = chained;
        if (i == 0) {
            *last = chained;
        }
    }
    return first;
}

static void send_chain(struct peer *self, struct mailbox *mailbox, uint32_t chain)
{
    struct chained *last = NULL;
    struct chained *first = make_chain(self, chain, &last);
    atomic_fetch_add_explicit(&mailbox->n_chains, 1, memory_order_relaxed);
    last->next = atomic_load_explicit(&mailbox->first, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&mailbox->first, &last->next, first,
                                                  memory_order_release, memory_order_relaxed)) {
    }
}

/* Whoever waits empties its own mailbox meanwhile, so that not all can wait for each other. */
static void wait_for_room(struct peer *self, struct mailbox *mailbox)
{
    while (atomic_load_explicit(&mailbox->n_chains, memory_order_relaxed) >= MAILBOX_CHAINS) {
        (void)sched_yield();
        empty_mailbox(self);
    }
}

static void *exchange(void *argument)
{
    struct peer *self = argument;
    uint32_t n_chains = amount(N_CHAINS);
    for (uint32_t chain = 0; chain < n_chains; chain++) {
        uint32_t other = (self->number + 1 + random_below(&self->random, N_PEERS - 1)) % N_PEERS;
        wait_for_room(self, &peers[other].mailbox);
        send_chain(self, &peers[other].mailbox, chain);
        empty_mailbox(self);
    }
    atomic_fetch_add_explicit(&n_peers_done, 1, memory_order_release);
    while (atomic_load_explicit(&n_peers_done, memory_order_acquire) < N_PEERS) {
        (void)sched_yield();
        empty_mailbox(self);
    }
    empty_mailbox(self);
    return NULL;
}

void run_passing_all_to_all(void)
{
    uint64_t balance = 0;
    for (uint32_t i = 0; i < N_PEERS; i++) {
        peers[i].number = i;
        peers[i].random = i + 4;
    }
    measure_begin();
    run_threads(N_PEERS, exchange, peers, sizeof peers[0]);
    measure_end();
    for (int i = 0; i < N_PEERS; i++) {
        balance += peers[i].sum_sent - peers[i].sum_received;
    }
    if (balance != 0) {
        child_fail("passing-all-to-all: blocks were lost or changed on the way");
    }
    measure_freed();
}
