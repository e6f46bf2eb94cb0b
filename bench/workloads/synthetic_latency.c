/* SPDX-License-Identifier: MIT */
/*
 * How long single calls take at worst. Two threads send each other messages of up to 8 KiB, a few
 * at a time, and free those that arrive. Every malloc and every free is timed by itself; reading
 * the clock is part of each figure, some 10 ns under every library.
 *
 * The figure is the 99.9th percentile over both. Beyond it, preemption by other processes counts
 * as much as the library, so those are details only.
 */
#include "synthetic.h"

#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
    N_SIDES = 2,
    N_MESSAGES = 1000000, /* that each side sends */
    WARM_UP_PART = 10,    /* of these one tenth is not counted */
    RING_MESSAGES = 1024,
    BURST_MAX = 16,
    N_SIZE_OCTAVES = 10, /* sizes are up to 16 << 9, 8 KiB */
};

/* ---- the clock ---- */

#if defined __x86_64__
static uint64_t read_ticks(void)
{
    return __builtin_ia32_rdtsc();
}
#else
static uint64_t read_ticks(void)
{
    return (uint64_t)child_now_ns();
}
#endif

static struct {
    double start_ns;
    uint64_t start_ticks;
} calibration;

static void start_calibration(void)
{
    calibration.start_ns = child_now_ns();
    calibration.start_ticks = read_ticks();
}

static double ns_per_tick(void)
{
    double elapsed_ns = child_now_ns() - calibration.start_ns;
    return elapsed_ns / (double)(read_ticks() - calibration.start_ticks);
}

/* ---- the histogram ---- */

/*
 * Buckets are exact up to 32 ticks; above, 32 of them share each power of two, so that a
 * percentile is read to within 3 percent.
 */
enum {
    SUB_BITS = 5,
    N_SUBS = 1 << SUB_BITS,
    N_BUCKETS = (64 - SUB_BITS + 1) * N_SUBS,
};

struct histogram {
    uint64_t max_ticks;
    uint64_t n_calls;
    uint64_t counts[N_BUCKETS];
};

static uint32_t bucket_of(uint64_t ticks)
{
    if (ticks < N_SUBS) {
        return (uint32_t)ticks;
    }
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(ticks) - SUB_BITS;
    return shift * N_SUBS + (uint32_t)(ticks >> shift);
}

/* The most ticks that bucket_of() puts there. */
static uint64_t bucket_most(uint32_t bucket)
{
    if (bucket < 2 * N_SUBS) {
        return bucket;
    }
    uint32_t shift = bucket / N_SUBS - 1;
    return (((uint64_t)bucket - shift * N_SUBS + 1) << shift) - 1;
}

static void histogram_count(struct histogram *histogram, uint64_t ticks)
{
    histogram->counts[bucket_of(ticks)]++;
    histogram->n_calls++;
    if (ticks > histogram->max_ticks) {
        histogram->max_ticks = ticks;
    }
}

static void histogram_add(struct histogram *sum, const struct histogram *part)
{
    for (int i = 0; i < N_BUCKETS; i++) {
        sum->counts[i] += part->counts[i];
    }
    sum->n_calls += part->n_calls;
    if (part->max_ticks > sum->max_ticks) {
        sum->max_ticks = part->max_ticks;
    }
}

static double histogram_ticks(const struct histogram *histogram, double part)
{
    double n_left = (double)histogram->n_calls * part;
    for (uint32_t i = 0; i < N_BUCKETS; i++) {
        n_left -= (double)histogram->counts[i];
        if (n_left <= 0) {
            return (double)bucket_most(i);
        }
    }
    return (double)histogram->max_ticks;
}

/* ---- messages ---- */

/*
 * One side puts, the other takes. A place belongs to the putter until the release of n_put, to the
 * taker from its acquire of that until the release of n_taken, and then to the putter again.
 */
struct ring {
    alignas(CACHE_LINE_BYTES) _Atomic uint32_t n_put;
    alignas(CACHE_LINE_BYTES) _Atomic uint32_t n_taken;
    struct block *places[RING_MESSAGES];
};

static struct ring rings[N_SIDES];

static struct side {
    struct ring *out;
    struct ring *in;
    uint64_t random;
    uint32_t n_messages; /* to send, and to receive */
    uint32_t n_sent;
    uint32_t n_received;
    struct histogram histograms[N_SIZE_OCTAVES]; /* by the size of the block */
} sides[N_SIDES];

/* Octave o has the sizes up to 16 << o. */
static uint32_t octave_of(uint32_t n_bytes)
{
    uint32_t octave = 0;
    while ((uint32_t)BLOCK_BYTES_MIN << octave < n_bytes) {
        octave++;
    }
    return octave;
}

static void count_call(struct side *side, uint32_t n_before, uint32_t n_bytes, uint64_t ticks)
{
    if (n_before >= side->n_messages / WARM_UP_PART) {
        histogram_count(&side->histograms[octave_of(n_bytes)], ticks);
    }
}

static void send_message(struct side *side)
{
    uint32_t most = (uint32_t)BLOCK_BYTES_MIN << random_below(&side->random, N_SIZE_OCTAVES);
    uint32_t n_bytes = random_between(&side->random, BLOCK_BYTES_MIN, most);
    uint64_t start = read_ticks();
    void *bytes = child_opaque(malloc(n_bytes));
    count_call(side, side->n_sent, n_bytes, read_ticks() - start);
    side->out->places[side->n_sent % RING_MESSAGES] = block_stamp(bytes, n_bytes, side->n_sent);
    side->n_sent++;
    atomic_store_explicit(&side->out->n_put, side->n_sent, memory_order_release);
}

static void receive_message(struct side *side)
{
    struct block *block = side->in->places[side->n_received % RING_MESSAGES];
    block_check(block, side->n_received);
    uint32_t n_bytes = block->n_bytes;
    uint64_t start = read_ticks();
    free(block);
    count_call(side, side->n_received, n_bytes, read_ticks() - start);
    side->n_received++;
    atomic_store_explicit(&side->in->n_taken, side->n_received, memory_order_release);
}

static uint32_t send_some(struct side *side)
{
    uint32_t n_taken = atomic_load_explicit(&side->out->n_taken, memory_order_acquire);
    uint32_t n_most = random_between(&side->random, 1, BURST_MAX);
    uint32_t n = 0;
    while (n < n_most && side->n_sent < side->n_messages &&
           side->n_sent - n_taken < RING_MESSAGES) {
        send_message(side);
        n++;
    }
    return n;
}

static uint32_t receive_some(struct side *side)
{
    uint32_t n_put = atomic_load_explicit(&side->in->n_put, memory_order_acquire);
    uint32_t n = 0;
    while (side->n_received != n_put) {
        receive_message(side);
        n++;
    }
    return n;
}

static void *converse(void *argument)
{
    struct side *side = argument;
    while (side->n_sent < side->n_messages || side->n_received < side->n_messages) {
        if (send_some(side) + receive_some(side) == 0) {
            (void)sched_yield();
        }
    }
    return NULL;
}

/* ---- the workload ---- */

/* What a histogram tells, as details whose names begin so. */
static void report_histogram(const char *prefix, const struct histogram *histogram, double ns)
{
    static const struct {
        const char *name;
        double part;
    } parts[] = {{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}, {"p9999", 0.9999}};
    char key[24];
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        (void)snprintf(key, sizeof key, "%s%s_ns", prefix, parts[i].name);
        measure_detail(key, histogram_ticks(histogram, parts[i].part) * ns);
    }
    (void)snprintf(key, sizeof key, "%smax_ns", prefix);
    measure_detail(key, (double)histogram->max_ticks * ns);
}

static void report_sizes(double ns)
{
    for (uint32_t octave = 0; octave < N_SIZE_OCTAVES; octave++) {
        static struct histogram sum;
        char prefix[16];
        memset(&sum, 0, sizeof sum);
        for (int i = 0; i < N_SIDES; i++) {
            histogram_add(&sum, &sides[i].histograms[octave]);
        }
        (void)snprintf(prefix, sizeof prefix, "%u_", (uint32_t)BLOCK_BYTES_MIN << octave);
        report_histogram(prefix, &sum, ns);
    }
}

void run_latency(void)
{
    static struct histogram sum;
    for (uint32_t i = 0; i < N_SIDES; i++) {
        sides[i].out = &rings[i];
        sides[i].in = &rings[1 - i];
        sides[i].random = i + 70;
        sides[i].n_messages = amount(N_MESSAGES);
    }
    start_calibration();
    run_threads(N_SIDES, converse, sides, sizeof sides[0]);
    double ns = ns_per_tick();
    for (int i = 0; i < N_SIDES; i++) {
        for (uint32_t octave = 0; octave < N_SIZE_OCTAVES; octave++) {
            histogram_add(&sum, &sides[i].histograms[octave]);
        }
    }
    measure_set(histogram_ticks(&sum, 0.999) * ns / 1e9);
    report_histogram("", &sum, ns);
    report_sizes(ns);
    measure_freed();
}
