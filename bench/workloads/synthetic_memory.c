/* SPDX-License-Identifier: MIT */
/*
 * What memory of blocks freed is good for afterwards.
 *
 *   phases          many blocks of one mix of sizes, all freed, then of the next: memory that stays
 *                   bound to a size shows in the peak
 *   fragmentation   a steady live set of blocks of very different sizes and lifetimes
 *   thread-turns    threads of a pool, one at a time with much memory, which the next shall have
 */
#include "synthetic.h"

#include <pthread.h>
#include <string.h>

/* ---- phases ---- */

enum {
    PHASE_BYTES = 40 * 1000 * 1000,
    PHASE_BLOCKS_MAX = PHASE_BYTES / BLOCK_BYTES_MIN,
    FREE_STRIDE = 7919, /* blocks are freed that far from each other; a prime, so that all are */
};

static const struct phase {
    uint32_t least;
    uint32_t most;
} phases[] = {
    {24, 96}, {10000, 30000}, {200, 500}, {40000, 200000}, {700, 1500}, {2000, 6000},
};

static struct block *phase_blocks[PHASE_BLOCKS_MAX];

static uint32_t build_up(const struct phase *phase, uint64_t *random)
{
    uint32_t n = 0;
    uint32_t n_bytes_end = amount(PHASE_BYTES);
    for (uint32_t n_bytes = 0; n_bytes < n_bytes_end; n++) {
        uint32_t size = random_between(random, phase->least, phase->most);
        phase_blocks[n] = block_make(size, n);
        n_bytes += size;
    }
    return n;
}

static void tear_down(uint32_t n)
{
    uint32_t place = 0;
    for (uint32_t i = 0; i < n; i++) {
        place = (place + FREE_STRIDE) % n;
        block_free(phase_blocks[place], place);
    }
}

void run_phases(void)
{
    uint64_t random = 60;
    measure_begin();
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        tear_down(build_up(&phases[i], &random));
    }
    measure_end();
    measure_freed();
}

/* ---- fragmentation ---- */

enum {
    N_LIFETIME_OCTAVES = 19,
    WHEEL_STEPS = (1 << N_LIFETIME_OCTAVES) / 4 * 5, /* longer than any lifetime */
    N_CHECKPOINTS = 10, /* where resident memory is set against what lives */
    N_STEPS = N_CHECKPOINTS * WHEEL_STEPS,
    LIVING_BYTES_MAX = 64 * 1024,
};

struct living {
    struct block block;
    struct living *next; /* that dies at the same step */
};

enum { LIVING_BYTES_MIN = sizeof(struct living) + 1 };

/* Blocks that end at step n are in chain n modulo the length. */
static struct {
    uint64_t random;
    size_t n_bytes_live;
    struct living *ends[WHEEL_STEPS];
} wheel;

/* Density falls with size to the power of -1.5 from 16 bytes to 64 KiB; the mean is 1 KiB. */
static uint32_t draw_power_law_size(uint64_t *random)
{
    double uniform = (double)(random_next(random) >> 11) * 0x1p-53;
    double root = 1 - uniform * (1 - 1.0 / 64); /* 64 is the root of 64 KiB / 16 */
    uint32_t n_bytes = (uint32_t)(16 / (root * root));
    if (n_bytes > LIVING_BYTES_MAX) {
        return LIVING_BYTES_MAX;
    }
    return n_bytes < LIVING_BYTES_MIN ? LIVING_BYTES_MIN : n_bytes;
}

/* Every power of two is as likely as any other; the mean is 51,700 steps, thus 50 MB live. */
static uint32_t draw_lifetime(uint64_t *random)
{
    uint32_t least = (uint32_t)1 << random_below(random, N_LIFETIME_OCTAVES);
    return (least + random_below(random, least)) / 4 * 5 + 1;
}

static void end_lives(uint32_t step)
{
    struct living **first = &wheel.ends[step % WHEEL_STEPS];
    while (*first != NULL) {
        struct living *next = (*first)->next;
        wheel.n_bytes_live -= (*first)->block.n_bytes;
        block_free(&(*first)->block, step);
        *first = next;
    }
}

static void begin_life(uint32_t step)
{
    uint32_t end = step + draw_lifetime(&wheel.random);
    struct living **first = &wheel.ends[end % WHEEL_STEPS];
    uint32_t n_bytes = draw_power_law_size(&wheel.random);
    struct living *living = (struct living *)(void *)block_make(n_bytes, end);
    living->next = *first;
    *first = living;
    wheel.n_bytes_live += n_bytes;
}

/* Key is the step of death, which is what finds two owners of one block with different ends. */
static void run_steps(uint32_t first, uint32_t end)
{
    for (uint32_t step = first; step < end; step++) {
        end_lives(step);
        begin_life(step);
    }
}

static double live_mib(void)
{
    return (double)wheel.n_bytes_live / (1024.0 * 1024.0);
}

void run_fragmentation(void)
{
    memset(&wheel, 0xff, sizeof wheel); /* resident before the start, so that it is not counted */
    memset(&wheel, 0, sizeof wheel);
    wheel.random = 61;
    uint32_t n_steps = amount(N_STEPS);
    double mib_at_start = child_rss_mib();
    double most = 0;
    double last = 0;
    for (uint32_t i = 0; i < N_CHECKPOINTS; i++) {
        uint32_t step = (uint32_t)((uint64_t)n_steps * i / N_CHECKPOINTS);
        measure_begin();
        run_steps(step, (uint32_t)((uint64_t)n_steps * (i + 1) / N_CHECKPOINTS));
        measure_end();
        last = (child_rss_mib() - mib_at_start) / live_mib();
        most = last > most ? last : most;
    }
    measure_detail("rss_per_live", last);
    measure_detail("rss_per_live_most", most);
    measure_detail("live_mib", live_mib());
    for (uint32_t step = n_steps; step < n_steps + WHEEL_STEPS; step++) {
        end_lives(step);
    }
    if (wheel.n_bytes_live != 0) {
        child_fail("fragmentation: not all blocks were found again");
    }
    measure_freed();
}

/* ---- thread-turns ---- */

enum {
    N_TURNS = 20,
    TURN_BYTES = 150 * 1000 * 1000,
    TURN_BYTES_MOST = 4096,
};

struct kept {
    struct block block;
    struct kept *next;
};

static struct player {
    uint32_t number;
} players[N_TURNS];

static pthread_barrier_t turn;

static void take_turn(uint32_t number)
{
    struct kept *kept = NULL;
    uint64_t random = 70 + number;
    for (uint32_t n_bytes = amount(TURN_BYTES); n_bytes > 0;) {
        uint32_t size = random_between(&random, sizeof(struct kept) + 1, TURN_BYTES_MOST);
        struct kept *last = kept;
        kept = (struct kept *)(void *)block_make(size, number);
        kept->next = last;
        n_bytes -= size < n_bytes ? size : n_bytes;
    }
    while (kept != NULL) {
        struct kept *next = kept->next;
        block_free(&kept->block, number);
        kept = next;
    }
}

static void *play(void *argument)
{
    const struct player *player = argument;
    for (uint32_t i = 0; i < N_TURNS; i++) {
        if (i == player->number) {
            take_turn(i);
        }
        (void)pthread_barrier_wait(&turn);
    }
    return NULL;
}

void run_thread_turns(void)
{
    for (uint32_t i = 0; i < N_TURNS; i++) {
        players[i] = (struct player){.number = i};
    }
    (void)pthread_barrier_init(&turn, NULL, N_TURNS);
    measure_begin();
    run_threads(N_TURNS, play, players, sizeof players[0]);
    measure_end();
    (void)pthread_barrier_destroy(&turn);
    measure_freed();
}
