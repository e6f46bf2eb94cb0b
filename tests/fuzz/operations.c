/* SPDX-License-Identifier: MIT */
/* The fuzzer's entry: what an input is, and what must hold when it is over. */
#include "conf/options.h"
#include "fuzz.h"
#include "heap/alloc.h"
#include "mem/arena.h"
#include "obs/stats.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *file, int line, const char *what)
{
    (void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

/* ---- input ---- */

struct input input;

size_t input_byte(void)
{
    if (input.left == 0)
        return 0;
    input.left--;
    return *input.at++;
}

size_t input_word(void)
{
    size_t low = input_byte();
    return low | input_byte() << 8;
}

size_t input_below(size_t limit)
{
    return input_byte() % limit;
}

/* About a class's border, or a page's, or what becomes too much on the way. */
static size_t odd_bytes(size_t which)
{
    size_t near = which % 4 - 1;
    switch (which / 4 % 8) {
    case 0:
        return 4096 + near;
    case 1:
        return CLASS_MAX_BYTES + near;
    case 2:
        return UNIT_BYTES + near;
    case 3:
        return ((size_t)2 << 20) + near;
    case 4:
        return PTRDIFF_MAX + near;
    case 5:
        return SIZE_MAX - 4096 * (which % 4);
    case 6:
        return BYTES_ABSURD << which % 4 * 4;
    default:
        return SIZE_MAX - which % 4;
    }
}

size_t input_bytes(void)
{
    size_t kind = input_byte();
    if (kind < 160)
        return kind * 4 + kind % 4;
    if (kind < 200)
        return input_word() % 4200;
    if (kind < 225)
        return input_word();
    if (kind < 240)
        return input_word() * 64;
    return odd_bytes(input_byte());
}

size_t input_align(void)
{
    return (size_t)1 << input_below(21);
}

/* ---- operations ---- */

static size_t worker;

static void op_worker(void)
{
    worker = input_below(N_WORKERS);
}

static void op_worker_end(void)
{
    worker = 0;
}

static void op_refuse(void)
{
    size_t n_good = input_below(4);
    system_refuse(n_good, input_below(4));
}

static void op_time(void)
{
    system_clock_add(input_word());
}

static void op_fork(void)
{
    if (input_below(8) == 0) /* seldom: a child takes as long as hundreds of others */
        fork_and_misuse();
}

static void op_fork_well(void)
{
    if (input_below(32) == 0)
        fork_and_go_on();
}

static operation *const other_operations[] = {op_worker, op_worker_end, op_refuse,
                                              op_time,   op_fork,       op_fork_well};

/* Half of all codes are malloc's, a quarter those of objects. */
static operation *operation_of(size_t code)
{
    if (code < 128)
        return block_operations[code % n_block_operations];
    if (code < 192)
        return object_operations[code % n_object_operations];
    if (code < 216)
        return buffer_operations[code % n_buffer_operations];
    return other_operations[code % ARRAY_LEN(other_operations)];
}

/* Until another thread shall go on. */
static void run(void)
{
    size_t me = worker;
    while (input.left > 0 && worker == me)
        operation_of(input_byte())();
}

/* A forked child has one thread. */
void operations_rest(void)
{
    while (input.left > 0)
        operation_of(input_byte())();
}

/* ---- the end ---- */

static void heaps_check(void)
{
    for (uint32_t number = 1; number <= heap_number_max(); number++) {
        struct heap *heap = heap_by_number(number);
        lock_take(&heap->lock);
        if (&heap->front == front_own || atomic_get_relaxed(&heap->state) == HEAP_PARKED)
            heap_check(heap);
        lock_release(&heap->lock);
    }
}

void operations_end(void)
{
    system_refuse_none();
    blocks_end();
    objects_end();
    buffers_end();
}

static void end_and_check(void)
{
    operations_end();
    heaps_check();
    arena_check();
}

/* The model holds nothing any more: neither does the heap. A block that was lost for want of memory
 * is not counted as freed, but there is none while a heap could be made at the start. */
static void nothing_lives(void)
{
    struct stats stats;
    check(stats_read(&stats));
    for (unsigned class = 0; class < N_CLASSES; class ++)
        check(stats.classes[class].allocs == stats.classes[class].frees);
    check(stats.large_allocs == stats.large_frees);
    check(stats.live_bytes == 0 && stats.live_blocks == 0);
}

static void options_set(size_t how)
{
    static const uint64_t guest_calls[] = {0, 3, 40, 512};
    options.guest_calls = guest_calls[how % 4];
    option_put(&options.direct_bytes, how & 4 ? MIB : 32 * MIB);
    option_put(&options.dirty_bytes, how & 8 ? 0 : 4 * MIB);
    options.dirty_percent = how & 16 ? 0 : 10;
    options.purge_ms = how & 32 ? 0 : 1000;
    options.cache_class_bytes = how & 64 ? 4 * KIB : 512 * KIB;
}

/* The threads' ends are looked at as well: they park their heaps. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    input = (struct input){data, n};
    worker = 0;
    misuse_begin();
    options_set(input_byte());
    while (input.left > 0) {
        size_t before = worker;
        worker_do(worker, run);
        if (worker == 0 && before != 0)
            worker_end(before);
    }
    workers_end();
    end_and_check();
    nothing_lives();
    return 0;
}
