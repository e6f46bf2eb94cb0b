/* SPDX-License-Identifier: MIT */
/* What the profile tells of programs that take so much that samples are thinned: the truth in the
 * mean, whichever level blocks were marked at and by whom they are taken. Time is what the tests
 * say, stacks are the callers that they name, and chances are the same in every run. */
#include "heap/sample.h"

#include "base/chance.h"
#include "conf/options.h"
#include "fake_sys.h"
#include "heap/alloc.h"
#include "heap/sites.h"
#include "model.h"
#include "os/clock.h"
#include "os/process.h"

enum { THINNED_FROM = 128 * 1024, SAMPLE_NS = 4000, KEPT_MAX = 4000 };

static uint64_t clock_ns = UINT64_C(1000) * 1000 * 1000;
static uint64_t n_taken;
static uintptr_t frame;
static uint64_t interval = THINNED_FROM;

static void time_passes(uint64_t ns)
{
    clock_ns += ns;
    fake_clock_set(clock_ns / 1000000);
}

uint64_t __wrap_os_clock_ns(void);
uint64_t __wrap_os_clock_ns(void)
{
    return clock_ns;
}

size_t __wrap_os_stack_take(uintptr_t *frames, size_t max);
size_t __wrap_os_stack_take(uintptr_t *frames, size_t max)
{
    check(max > 0);
    n_taken++;
    time_passes(SAMPLE_NS);
    frames[0] = frame;
    return 1;
}

uint64_t __wrap_os_random_bits(void);
uint64_t __wrap_os_random_bits(void)
{
    static uint64_t n;
    return mix_bits(++n);
}

/* ---- callers ---- */

struct caller {
    uintptr_t frame;
    uint64_t n_samples;
    uint64_t n_told; /* blocks ever, as counted */
    uint64_t weight_max;
    double asked; /* bytes ever, */
    double told;  /* as a reader scales what was sampled, */
    double squares;
};

struct counts {
    uint64_t live_blocks;
    uint64_t live_bytes;
    uint64_t blocks;
};

static struct counts counts_of(const struct caller *caller)
{
    struct counts sum = {0, 0, 0};
    for (uint32_t number = 1; number <= sites_count(); number++) {
        const struct sample_counts *counts = sample_counts_of(number);
        if (sites_get(number).frames[0] != caller->frame)
            continue;
        sum.live_blocks += atomic_get_relaxed(&counts->live_blocks);
        sum.live_bytes += atomic_get_relaxed(&counts->live_bytes);
        sum.blocks += atomic_get_relaxed(&counts->blocks);
    }
    return sum;
}

static void note_sample(struct caller *caller, size_t bytes)
{
    uint64_t n_told = counts_of(caller).blocks;
    uint64_t weight = n_told - caller->n_told;
    double told = (double)(weight * bytes) / chance_within((double)bytes / (double)interval);
    caller->n_told = n_told;
    caller->n_samples++;
    caller->weight_max = max_size(caller->weight_max, weight);
    caller->told += told;
    caller->squares += told * told;
}

static void *take(struct caller *caller, size_t bytes, uint64_t ns)
{
    uint64_t before = n_taken;
    frame = caller->frame;
    void *p = heap_alloc(bytes);
    time_passes(ns);
    caller->asked += (double)bytes;
    if (n_taken != before)
        note_sample(caller, bytes);
    return p;
}

/* Within a fifth of the truth, where six standard deviations are less than that. */
static void check_told(const struct caller *caller)
{
    double off = caller->told - caller->asked;
    double bound = caller->asked / 5;
    check(36 * caller->squares < bound * bound);
    check(off < bound && off > -bound);
}

/* ---- programs ---- */

/* In each round one caller takes many blocks, another one takes and frees a block over and over,
 * then the many are freed. */
struct program {
    int n_rounds;
    int n_kept;
    size_t kept_bytes;
    uint64_t take_ns;
    uint64_t free_ns;
    int n_pairs;
    size_t pair_bytes;
    uint64_t pair_ns;
};

static void run_round(const struct program *program, struct caller *pairs, struct caller *kept)
{
    static void *p[KEPT_MAX];
    uint64_t n_before = counts_of(kept).blocks;
    for (int i = 0; i < program->n_kept; i++)
        p[i] = take(kept, program->kept_bytes, program->take_ns);
    struct counts counts = counts_of(kept);
    check_equal(counts.live_blocks, counts.blocks - n_before);
    check_equal(counts.live_bytes, counts.live_blocks * program->kept_bytes);
    for (int i = 0; i < program->n_pairs; i++)
        heap_free(take(pairs, program->pair_bytes, program->pair_ns));
    check_equal(counts_of(pairs).live_blocks, 0);
    for (int i = 0; i < program->n_kept; i++) {
        heap_free(p[i]);
        time_passes(program->free_ns);
    }
    check_equal(counts_of(kept).live_blocks, 0);
    check_equal(counts_of(kept).live_bytes, 0);
}

static void run(const struct program *program, struct caller *pairs, struct caller *kept)
{
    time_passes(0);
    options.profile_bytes = interval;
    sample_init();
    for (int i = 0; i < program->n_rounds; i++)
        run_round(program, pairs, kept);
}

enum { HOT_NS = 400, BUSY_NS = 1500, CALM_NS = 50000 };

/* Samples are few at any time: each counts for itself alone. */
static void be_calm(void *argument)
{
    static const struct program program = {5, 4000, 1800, CALM_NS, CALM_NS, 20000, 2000, CALM_NS};
    struct caller pairs = {.frame = 0x1000};
    struct caller kept = {.frame = 0x2000};
    (void)argument;
    run(&program, &pairs, &kept);
    check_told(&pairs);
    check_equal(pairs.weight_max, 1);
    check_equal(kept.weight_max, 1);
    check_equal(kept.n_told, kept.n_samples);
}

/* They take no more than their share of the time. */
static void be_busy(void *argument)
{
    static const struct program program = {1000, 300, 1800, HOT_NS, HOT_NS, 40000, 2000, HOT_NS};
    struct caller pairs = {.frame = 0x1000};
    struct caller kept = {.frame = 0x2000};
    (void)argument;
    uint64_t began_ns = clock_ns;
    run(&program, &pairs, &kept);
    check_told(&pairs);
    check(pairs.weight_max > 500);
    check(n_taken * SAMPLE_NS * 150 < clock_ns - began_ns);
}

/* Blocks are marked while the program is busy, and taken when it is calm, or the other way
 * round. */
static void change(void *argument)
{
    const struct program *program = argument;
    struct caller pairs = {.frame = 0x1000};
    struct caller kept = {.frame = 0x2000};
    run(program, &pairs, &kept);
    check_told(&pairs);
    check_told(&kept);
    check(pairs.weight_max > 1 || kept.weight_max > 1);
}

/* Who asks for many gets all. */
static void be_asked(void *argument)
{
    static const struct program program = {10, 300, 1800, BUSY_NS, BUSY_NS, 40000, 2000, BUSY_NS};
    struct caller pairs = {.frame = 0x1000};
    struct caller kept = {.frame = 0x2000};
    (void)argument;
    interval = THINNED_FROM - 1;
    run(&program, &pairs, &kept);
    check_told(&pairs);
    check_equal(pairs.weight_max, 1);
    check_equal(pairs.n_told, pairs.n_samples);
}

static void test_calm(void **state)
{
    (void)state;
    child_passes(be_calm, NULL);
}

static void test_busy(void **state)
{
    (void)state;
    child_passes(be_busy, NULL);
    child_passes(be_asked, NULL);
}

static void test_change(void **state)
{
    struct program programs[] = {
        {8000, 300, 1800, 10000, BUSY_NS, 5000, 2000, BUSY_NS},
        {600, 4000, 18000, BUSY_NS, CALM_NS, 10000, 2000, CALM_NS},
        {400, 4000, 20000, 2 * CALM_NS, CALM_NS, 80000, 2000, BUSY_NS},
        {400, 500, 40000, 10 * CALM_NS, BUSY_NS, 3000, 50000, 20 * BUSY_NS},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        child_passes(change, &programs[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calm),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
