/* SPDX-License-Identifier: MIT */
/*
 * One-way traffic: producers only allocate, consumers only free, through a ring of fixed length.
 * However the threads are scheduled, no more blocks are alive than the rings hold, so memory must
 * stay bounded although gigabytes pass.
 */
#include <pthread.h>
#include <sched.h>

#include "support.h"

#define USAGE "SEED PAIRS BLOCKS_PER_PAIR RESIDENT_MIB"

enum { RING_SLOTS = 1024, N_PAIRS_MAX = 64, BYTES_MAX = 8192 };

struct pair {
    pthread_t producer;
    pthread_t consumer;
    struct random random;
    size_t n_blocks;
    size_t bytes_passed;
    /* Counts of blocks put in and taken out: each has one writer, which releases the slot with it.
     */
    atomic_size_t n_put;
    atomic_size_t n_taken;
    struct block ring[RING_SLOTS];
};

static struct pair pairs[N_PAIRS_MAX];

static void *produce(void *argument)
{
    struct pair *pair = argument;
    for (size_t i = 0; i < pair->n_blocks; i++) {
        while (i - atomic_load_explicit(&pair->n_taken, memory_order_acquire) == RING_SLOTS)
            (void)sched_yield();
        size_t bytes = random_below(&pair->random, BYTES_MAX);
        block_allocate_bytes(&pair->ring[i % RING_SLOTS], &pair->random, bytes);
        pair->bytes_passed += bytes;
        atomic_store_explicit(&pair->n_put, i + 1, memory_order_release);
    }
    return NULL;
}

static void *consume(void *argument)
{
    struct pair *pair = argument;
    for (size_t i = 0; i < pair->n_blocks; i++) {
        while (atomic_load_explicit(&pair->n_put, memory_order_acquire) == i)
            (void)sched_yield();
        block_release(&pair->ring[i % RING_SLOTS]);
        atomic_store_explicit(&pair->n_taken, i + 1, memory_order_release);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    size_t seed = argument_number(argc, argv, 1, USAGE);
    size_t n_pairs = argument_number(argc, argv, 2, USAGE);
    size_t n_blocks = argument_number(argc, argv, 3, USAGE);
    size_t limit = argument_number(argc, argv, 4, USAGE) * MIB;
    stress_check(n_pairs > 0 && n_pairs <= N_PAIRS_MAX);
    size_t before = resident_bytes();
    for (size_t i = 0; i < n_pairs; i++) {
        pairs[i].random.state = seed * 1000 + i;
        pairs[i].n_blocks = n_blocks;
        stress_check(pthread_create(&pairs[i].producer, NULL, produce, &pairs[i]) == 0);
        stress_check(pthread_create(&pairs[i].consumer, NULL, consume, &pairs[i]) == 0);
    }
    size_t passed = 0;
    for (size_t i = 0; i < n_pairs; i++) {
        stress_check(pthread_join(pairs[i].producer, NULL) == 0);
        stress_check(pthread_join(pairs[i].consumer, NULL) == 0);
        passed += pairs[i].bytes_passed;
    }
    resident_check(before, passed, limit);
    return EXIT_SUCCESS;
}
