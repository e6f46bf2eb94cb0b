/* SPDX-License-Identifier: MIT */
/*
 * What poolalloc.h offers beyond malloc, beside what programs do without it, in nanoseconds.
 *
 *   pair       malloc(64) and free of that block         pool     the same from one thread's pool
 *   mixed      the same of 1,000 blocks of 16..4096 bytes
 *   2 x pair   pairs on two threads at once              2 x pool the same from one shared pool
 *   2 x 16     16 blocks, then free all, on two threads  2 x 16 p the same from one shared pool
 *   2 x list   pairs from a list under a mutex, the textbook's pool
 *   hundred    100 blocks of 8..128 bytes, then free all arena    the same and a reset
 *                                                        frame    the same and the next frame
 *                                                        heap     the same from a heap
 *                                                        heap end from a new heap, destroyed
 *
 * The left are measured under every allocator, the right under poolalloc alone. An operation is one
 * block, taken and given back.
 */
#include "child.h"
#include "harness.h"

#include "poolalloc.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    N_TRIES = 50, /* short, to fit between disturbances */
    N_PAIRS = 50000,
    N_ROUNDS = 2000, /* of 100 blocks, or of 16 */
    N_MIXED = 1000,
    N_MIXED_ROUNDS = 30,
    N_HUNDRED = 100,
    N_FEW = 16,
    BLOCK_BYTES = 64,
};

static long n_reps = 5;

static const struct number_option options[] = {
    {"--reps", "fresh processes of each allocator; the best counts", &n_reps},
    {NULL, NULL, NULL},
};

static const struct bench_info info = {
    "objects", "pools, arenas and frames beside malloc, as the best of N processes", options, NULL,
    NULL};

enum { PAIR, MIXED, TWO_PAIR, TWO_FEW, TWO_LIST, HUNDRED, N_FIGURES };

static const struct figure figures[N_FIGURES] = {
    [PAIR] = {"pair", "pair", 2, LOWER_IS_BETTER},
    [MIXED] = {"mixed", "mixed", 2, LOWER_IS_BETTER},
    [TWO_PAIR] = {"two_pair", "2 x pair", 2, LOWER_IS_BETTER},
    [TWO_FEW] = {"two_few", "2 x 16", 2, LOWER_IS_BETTER},
    [TWO_LIST] = {"two_list", "2 x list", 2, LOWER_IS_BETTER},
    [HUNDRED] = {"hundred", "hundred", 2, LOWER_IS_BETTER},
};

enum { POOL, TWO_POOL, TWO_FEW_POOL, ARENA, FRAME, HEAP, HEAP_END, N_OBJECT_FIGURES };

static const struct figure object_figures[N_OBJECT_FIGURES] = {
    [POOL] = {"pool", "pool", 2, LOWER_IS_BETTER},
    [TWO_POOL] = {"two_pool", "2 x pool", 2, LOWER_IS_BETTER},
    [TWO_FEW_POOL] = {"two_few_pool", "2 x 16 p", 2, LOWER_IS_BETTER},
    [ARENA] = {"arena", "arena", 2, LOWER_IS_BETTER},
    [FRAME] = {"frame", "frame", 2, LOWER_IS_BETTER},
    [HEAP] = {"heap", "heap", 2, LOWER_IS_BETTER},
    [HEAP_END] = {"heap_end", "heap end", 2, LOWER_IS_BETTER},
};

/* ---- ours, found at run time: the program is not linked with it ---- */

#define EACH_FUNCTION(DO)                                                                          \
    DO(pool_create)                                                                                \
    DO(pool_alloc)                                                                                 \
    DO(pool_free)                                                                                  \
    DO(arena_create)                                                                               \
    DO(arena_alloc)                                                                                \
    DO(arena_reset)                                                                                \
    DO(frame_create)                                                                               \
    DO(frame_begin)                                                                                \
    DO(heap_create)                                                                                \
    DO(heap_malloc)                                                                                \
    DO(heap_destroy)

#define DECLARE(name) __typeof__(poolalloc_##name) *name;
static struct {
    EACH_FUNCTION(DECLARE)
} ours;

#define FIND(name) *(void **)&ours.name = dlsym(RTLD_DEFAULT, "poolalloc_" #name);
static void find_ours(void)
{
    EACH_FUNCTION(FIND)
    if (ours.heap_destroy == NULL) {
        child_fail("there are no poolalloc_* functions");
    }
}

/* ---- what is taken and given back ---- */

struct source {
    void *(*take)(void);
    void (*give)(void *block);
};

static void *malloc_take(void)
{
    return malloc(BLOCK_BYTES);
}

static poolalloc_pool *pool;

static void *pool_take(void)
{
    return ours.pool_alloc(pool);
}

static void pool_give(void *block)
{
    (void)ours.pool_free(pool, block);
}

static struct link {
    struct link *next;
    char rest[BLOCK_BYTES - sizeof(struct link *)];
} links[2 * N_FEW];

static struct link *list;
static pthread_mutex_t list_mutex = PTHREAD_MUTEX_INITIALIZER;

static void *list_take(void)
{
    (void)pthread_mutex_lock(&list_mutex);
    struct link *link = list;
    list = link->next;
    (void)pthread_mutex_unlock(&list_mutex);
    return link;
}

static void list_give(void *block)
{
    struct link *link = block;
    (void)pthread_mutex_lock(&list_mutex);
    link->next = list;
    list = link;
    (void)pthread_mutex_unlock(&list_mutex);
}

static void fill_list(void)
{
    for (int i = 0; i < 2 * N_FEW; i++) {
        list_give(&links[i]);
    }
}

/* Blocks are apart while they are out, whoever they are from. */
static void check_source(const struct source *source)
{
    unsigned char *blocks[N_FEW];
    for (uint32_t i = 0; i < N_FEW; i++) {
        blocks[i] = source->take();
        if (blocks[i] == NULL) {
            child_fail("no block");
        }
        pattern_write(blocks[i], BLOCK_BYTES, i);
    }
    for (uint32_t i = 0; i < N_FEW; i++) {
        if (!pattern_is_whole(blocks[i], BLOCK_BYTES, i)) {
            child_fail("a block's bytes changed");
        }
        source->give(blocks[i]);
    }
}

/* ---- one thread ---- */

/* Inlined for each source, so that the calls are those a program would make. */
#define PAIRS(take_block, give_block)                                                              \
    for (int i = 0; i < N_PAIRS; i++) {                                                            \
        void *block = child_opaque(take_block);                                                    \
        give_block;                                                                                \
    }

#define FEW(take_block, give_block)                                                                \
    for (int i = 0; i < N_ROUNDS; i++) {                                                           \
        void *blocks[N_FEW];                                                                       \
        for (int j = 0; j < N_FEW; j++) {                                                          \
            blocks[j] = child_opaque(take_block);                                                  \
        }                                                                                          \
        for (int j = 0; j < N_FEW; j++) {                                                          \
            void *block = blocks[j];                                                               \
            give_block;                                                                            \
        }                                                                                          \
    }

static void run_malloc_pairs(void)
{
    PAIRS(malloc(BLOCK_BYTES), free(block))
}

static void run_pool_pairs(void)
{
    PAIRS(ours.pool_alloc(pool), (void)ours.pool_free(pool, block))
}

static void run_list_pairs(void)
{
    PAIRS(list_take(), list_give(block))
}

static void run_malloc_few(void)
{
    FEW(malloc(BLOCK_BYTES), free(block))
}

static void run_pool_few(void)
{
    FEW(ours.pool_alloc(pool), (void)ours.pool_free(pool, block))
}

static size_t hundred_sizes[N_HUNDRED];

static void run_hundred(void)
{
    void *blocks[N_HUNDRED];
    for (int i = 0; i < N_ROUNDS; i++) {
        for (int j = 0; j < N_HUNDRED; j++) {
            blocks[j] = child_opaque(malloc(hundred_sizes[j]));
        }
        for (int j = 0; j < N_HUNDRED; j++) {
            free(blocks[j]);
        }
    }
}

static poolalloc_arena *arena;

static void run_arena(void)
{
    for (int i = 0; i < N_ROUNDS; i++) {
        for (int j = 0; j < N_HUNDRED; j++) {
            (void)child_opaque(ours.arena_alloc(arena, hundred_sizes[j]));
        }
        ours.arena_reset(arena);
    }
}

static poolalloc_frame *frame;

static void run_frames(void)
{
    for (int i = 0; i < N_ROUNDS; i++) {
        poolalloc_arena *now = ours.frame_begin(frame);
        for (int j = 0; j < N_HUNDRED; j++) {
            (void)child_opaque(ours.arena_alloc(now, hundred_sizes[j]));
        }
    }
}

static poolalloc_heap *heap;

static void run_heap(void)
{
    void *blocks[N_HUNDRED];
    for (int i = 0; i < N_ROUNDS; i++) {
        for (int j = 0; j < N_HUNDRED; j++) {
            blocks[j] = child_opaque(ours.heap_malloc(heap, hundred_sizes[j]));
        }
        for (int j = 0; j < N_HUNDRED; j++) {
            free(blocks[j]);
        }
    }
}

static void run_heap_ends(void)
{
    for (int i = 0; i < N_ROUNDS; i++) {
        poolalloc_heap *now = ours.heap_create(NULL);
        for (int j = 0; j < N_HUNDRED; j++) {
            (void)child_opaque(ours.heap_malloc(now, hundred_sizes[j]));
        }
        (void)ours.heap_destroy(now);
    }
}

static void run_mixed(void)
{
    static size_t sizes[N_MIXED];
    static void *blocks[N_MIXED];
    uint64_t random = 1;
    for (int i = 0; i < N_MIXED; i++) {
        sizes[i] = random_between(&random, 16, 4096);
    }
    for (int round = 0; round < N_MIXED_ROUNDS; round++) {
        for (int i = 0; i < N_MIXED; i++) {
            blocks[i] = child_opaque(malloc(sizes[i]));
        }
        for (int i = 0; i < N_MIXED; i++) {
            free(blocks[i]);
        }
    }
}

/* ---- timing ---- */

/* Of an operation, while `run` does n of them. */
static void measure(const struct figure *figure, void (*run)(void), double n)
{
    double best = FAILED;
    run(); /* warm up */
    for (int try = 0; try < N_TRIES; try++) {
        double start = child_now_ns();
        run();
        best = fmin(best, (child_now_ns() - start) / n);
    }
    child_report(figure->key, best);
}

/* Two threads run the same at the same moment, over and over. */
static struct both {
    void (*run)(void);
    pthread_barrier_t barrier;
    double start[2][N_TRIES];
    double end[2][N_TRIES];
} both;

static void *run_tries(void *number)
{
    size_t me = (size_t)number;
    both.run(); /* warm up */
    for (int try = 0; try < N_TRIES; try++) {
        (void)pthread_barrier_wait(&both.barrier);
        both.start[me][try] = child_now_ns();
        both.run();
        both.end[me][try] = child_now_ns();
    }
    return NULL;
}

/* From when the first begins to when the last ends. */
static void measure_both(const struct figure *figure, void (*run)(void), double n)
{
    pthread_t threads[2];
    both.run = run;
    (void)pthread_barrier_init(&both.barrier, NULL, 2);
    for (size_t i = 0; i < 2; i++) {
        if (pthread_create(&threads[i], NULL, run_tries, (void *)i) != 0) {
            child_fail("cannot start a thread");
        }
    }
    for (int i = 0; i < 2; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    double best = FAILED;
    for (int try = 0; try < N_TRIES; try++) {
        double start = fmin(both.start[0][try], both.start[1][try]);
        best = fmin(best, (fmax(both.end[0][try], both.end[1][try]) - start) / n);
    }
    child_report(figure->key, best);
}

static void measure_malloc(void)
{
    check_source(&(struct source){malloc_take, free});
    measure(&figures[PAIR], run_malloc_pairs, N_PAIRS);
    measure(&figures[MIXED], run_mixed, N_MIXED * N_MIXED_ROUNDS);
    measure_both(&figures[TWO_PAIR], run_malloc_pairs, N_PAIRS);
    measure_both(&figures[TWO_FEW], run_malloc_few, N_FEW * N_ROUNDS);
    measure(&figures[HUNDRED], run_hundred, N_HUNDRED * N_ROUNDS);
    fill_list();
    check_source(&(struct source){list_take, list_give});
    measure_both(&figures[TWO_LIST], run_list_pairs, N_PAIRS);
}

static void measure_objects(void)
{
    struct poolalloc_pool_options pool_options = {.object_bytes = BLOCK_BYTES};
    pool = ours.pool_create(&pool_options);
    check_source(&(struct source){pool_take, pool_give});
    measure(&object_figures[POOL], run_pool_pairs, N_PAIRS);

    pool_options.flags = POOLALLOC_POOL_SHARED;
    pool = ours.pool_create(&pool_options);
    check_source(&(struct source){pool_take, pool_give});
    measure_both(&object_figures[TWO_POOL], run_pool_pairs, N_PAIRS);
    measure_both(&object_figures[TWO_FEW_POOL], run_pool_few, N_FEW * N_ROUNDS);

    arena = ours.arena_create(NULL);
    measure(&object_figures[ARENA], run_arena, N_HUNDRED * N_ROUNDS);
    frame = ours.frame_create(2, NULL);
    measure(&object_figures[FRAME], run_frames, N_HUNDRED * N_ROUNDS);
    heap = ours.heap_create(NULL);
    measure(&object_figures[HEAP], run_heap, N_HUNDRED * N_ROUNDS);
    measure(&object_figures[HEAP_END], run_heap_ends, N_HUNDRED * N_ROUNDS);
}

static char of_malloc[] = "malloc";
static char of_objects[] = "objects";

static int run_child(char **argv)
{
    char **arguments = child_start(argv);
    uint64_t random = 2;
    for (int i = 0; i < N_HUNDRED; i++) {
        hundred_sizes[i] = random_between(&random, 8, 128);
    }
    if (strcmp(arguments[0], of_objects) != 0) {
        measure_malloc();
        return 0;
    }
    find_ours();
    measure_objects();
    return 0;
}

/* ---- the parent ---- */

static void step_malloc(struct results *results, int allocator, int rep)
{
    char *arguments[] = {of_malloc, NULL};
    bench_run_child(results, allocator, rep, arguments);
}

static void step_objects(struct results *results, int allocator, int rep)
{
    char *arguments[] = {of_objects, NULL};
    bench_run_child(results, allocator, rep, arguments);
}

static void run(const struct bench *bench, const struct figure *wanted, int n_wanted,
                void (*step)(struct results *, int, int), const char *title)
{
    struct results results;
    struct summary summary;
    results_init(&results, bench, wanted, n_wanted, n_reps);
    bench_interleave(&results, step);
    summary_init(&summary, bench);
    for (int f = 0; f < n_wanted; f++) {
        (void)summary_add_figure(&summary, &results, f, NULL, stats_min);
    }
    summary_print(&summary, title);
    results_free(&results);
}

int main(int argc, char **argv)
{
    if (child_requested(argc, argv)) {
        return run_child(argv);
    }
    struct bench bench;
    bench_open(&bench, &info, argc, argv);
    run(&bench, figures, N_FIGURES, step_malloc, "ns per block taken and given back, best of all");
    struct bench alone = bench;
    if (bench.ours >= 0 &&
        allocators_keep(&alone.allocators, bench.allocators.items[bench.ours].name)) {
        alone.ours = 0;
        run(&alone, object_figures, N_OBJECT_FIGURES, step_objects, "the same of poolalloc's own");
    }
    return bench_close(&bench);
}
