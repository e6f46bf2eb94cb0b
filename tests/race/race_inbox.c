/* SPDX-License-Identifier: MIT */
/*
 * The inbox (mem/inbox.h, I1 and I2): blocks go round between threads, each of which has an inbox
 * that all push to. At the end every block is where one thread can have it, once.
 *
 * A block's contents beyond its link are plain memory, written by whoever has the block: the
 * sanitizer sees it if a taker is not ordered after the pusher.
 */
#include "mem/inbox.h"
#include "race.h"

#include <sched.h>
#include <stdio.h>

enum {
    N_THREADS = 4,
    N_INBOXES = N_THREADS,
    N_BLOCKS = 512,
    N_ROUNDS = 8000,
    BATCH_MAX = 8,
    CLASS_BYTES = 64,
};

struct payload {
    struct block link;
    size_t index;
    uint64_t n_moves;
    uint64_t seed;
    char rest[CLASS_BYTES - sizeof(struct block) - 3 * sizeof(uint64_t)];
};

static ALIGNED(CLASS_BYTES) struct payload payloads[N_BLOCKS];
static struct inbox inboxes[N_INBOXES];
static uint64_t n_moves_of[N_THREADS];

/* What a thread has at the moment. */
struct hand {
    struct random dice;
    struct payload *held[N_BLOCKS];
    size_t n;
    uint64_t n_moves;
};

static struct hand hands[N_THREADS];

static void write_payload(struct payload *payload, uint64_t seed)
{
    payload->seed = seed;
    payload->n_moves++;
    pattern_fill(payload->rest, sizeof payload->rest, seed);
}

static void take_from(struct hand *hand, struct inbox *inbox)
{
    struct chain chain = inbox_take(inbox, CLASS_BYTES);
    struct block *at = chain.head;
    for (size_t i = 0; i < chain.n; i++) {
        struct payload *payload = (struct payload *)(void *)at;
        at = block_next_checked(at, CLASS_BYTES);
        race_check(payload == &payloads[payload->index]);
        race_check(pattern_holds(payload->rest, sizeof payload->rest, payload->seed));
        race_check(hand->n < N_BLOCKS);
        hand->held[hand->n++] = payload;
    }
    race_check(at == BLOCK_END);
}

/* The tail of the chain is left as it is: I1 links it. */
static void push_some(struct hand *hand)
{
    struct chain chain = {BLOCK_END, NULL, 0};
    size_t n = min_size(1 + random_below(&hand->dice, BATCH_MAX), hand->n);
    for (size_t i = 0; i < n; i++) {
        struct payload *payload = hand->held[--hand->n];
        write_payload(payload, random_next(&hand->dice));
        chain_append(&chain, &payload->link);
    }
    if (chain.n == 0)
        return;
    hand->n_moves += chain.n;
    inbox_push(&inboxes[random_below(&hand->dice, N_INBOXES)], &chain);
}

static void go_round(size_t number)
{
    struct hand *hand = &hands[number];
    for (int i = 0; i < N_ROUNDS; i++) {
        /* Its own inbox mostly; any other as well, as one who holds the heap's lock may. */
        size_t from = i % 8 == 0 ? random_below(&hand->dice, N_INBOXES) : number;
        take_from(hand, &inboxes[from]);
        push_some(hand);
        if (hand->n == 0)
            (void)sched_yield();
    }
    n_moves_of[number] = hand->n_moves;
}

static void deal(void)
{
    for (size_t i = 0; i < N_BLOCKS; i++) {
        struct hand *hand = &hands[i % N_THREADS];
        payloads[i].index = i;
        write_payload(&payloads[i], i);
        payloads[i].n_moves = 0;
        hand->held[hand->n++] = &payloads[i];
    }
    for (size_t i = 0; i < N_THREADS; i++)
        hands[i].dice.state = i + 1;
}

static void check_all_are_here_once(void)
{
    static bool was_seen[N_BLOCKS];
    uint64_t n_moves = 0;
    size_t n = 0;
    for (size_t i = 0; i < N_THREADS; i++) {
        take_from(&hands[0], &inboxes[i]);
        n_moves += n_moves_of[i];
    }
    for (size_t i = 0; i < N_THREADS; i++) {
        for (size_t j = 0; j < hands[i].n; j++) {
            size_t index = hands[i].held[j]->index;
            race_check(!was_seen[index]);
            was_seen[index] = true;
            n_moves -= payloads[index].n_moves;
            n++;
        }
    }
    race_check(n == N_BLOCKS);
    race_check(n_moves == 0);
}

int main(void)
{
    block_secret_init(UINT64_C(0x1234567890abcdef));
    deal();
    race_run(N_THREADS, go_round);
    check_all_are_here_once();
    uint64_t n_moves = 0;
    for (size_t i = 0; i < N_THREADS; i++)
        n_moves += n_moves_of[i];
    (void)printf("%llu blocks pushed and taken\n", (unsigned long long)n_moves);
    return 0;
}
