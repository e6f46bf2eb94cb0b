/* SPDX-License-Identifier: MIT */
/*
 * Every call to the kernel is refused once: for each kind of call its Nth occurrence, alone or with
 * all that follow, over a mixed workload in a process that has done nothing before. No crash, no
 * block lost or given out twice, ENOMEM where there is no memory, and all is well once the kernel
 * gives again.
 *
 * N runs to the number of calls that the workload makes when all works, by default in growing
 * steps; with REFUSE_ALL=1 in the environment the workload is ten times longer, or ends once it has
 * gone on for the usual length after the refused call, and N takes every value up to 2,000.
 */
#include "base/bits.h"
#include "conf/options.h"
#include "fake_sys.h"
#include "mem/arena.h"
#include "model.h"
#include "os/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { N_STEPS = 6000, N_MODEL = 300, LARGE_BYTES = 600 * 1000, N_MAX = 2000 };

static const struct {
    const char *name;
    enum fake_call call;
    int error;
} kinds[] = {
    {"mmap", FAKE_MAP, ENOMEM},
    {"munmap", FAKE_UNMAP, ENOMEM},
    {"mprotect", FAKE_PROTECT_NONE, EPERM},
    {"madvise, to discard", FAKE_DISCARD, EPERM},
    {"madvise, to populate", FAKE_POPULATE, EINVAL},
    {"mremap in place", FAKE_RESIZE, ENOMEM},
    {"mremap elsewhere", FAKE_MOVE, EPERM},
    {"a thread's end hook", FAKE_THREAD_AT_EXIT, ENOMEM},
};

struct refusal {
    size_t kind;
    size_t nth;
    bool and_all_after;
};

static struct model_block model[N_MODEL];

static bool is_thorough(void)
{
    return getenv("REFUSE_ALL") != NULL;
}

/* Sizes of all kinds: half are of classes, a block in 16 has a mapping of its own. */
static void step(struct random *dice, size_t i)
{
    size_t limit = i % 16 == 0 ? LARGE_BYTES : i % 2 == 0 ? 100 * 1000 : 5000;
    errno = 0;
    if (!model_step(&model[random_below(dice, N_MODEL)], dice, limit))
        check_equal((unsigned)errno, ENOMEM);
}

/* Many of one class, so that its slabs are populated; then none. */
static void many_of_a_class(void)
{
    static struct model_block many[1500];
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        many[i].p = heap_alloc(1000);
        if (many[i].p != NULL)
            pattern_fill(many[i].p, 1000, i);
    }
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        if (many[i].p == NULL)
            continue;
        check(pattern_holds(many[i].p, 1000, i));
        heap_free(many[i].p);
    }
}

/* Blocks with mappings of their own that grow, in place or elsewhere, and shrink. */
static void direct_blocks(void)
{
    enum { FIRST = 1500 * 1000 };
    char *p[4];
    for (size_t i = 0; i < ARRAY_LEN(p); i++) {
        p[i] = heap_alloc(FIRST);
        if (p[i] != NULL)
            pattern_fill(p[i], 5000, i);
    }
    for (size_t bytes = 2 * FIRST; bytes >= FIRST / 2; bytes -= FIRST / 2) {
        for (size_t i = 0; i < ARRAY_LEN(p); i++) {
            char *resized = p[i] != NULL ? heap_realloc(p[i], bytes) : NULL;
            p[i] = resized != NULL ? resized : p[i];
            check(p[i] == NULL || pattern_holds(p[i], 5000, i));
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(p); i++) {
        if (p[i] != NULL)
            heap_free(p[i]);
    }
}

static bool was_refused(const struct refusal *refusal)
{
    return refusal != NULL && fake_count(kinds[refusal->kind].call) >= refusal->nth;
}

static void work(uint64_t seed, const struct refusal *refusal)
{
    struct random dice = {seed};
    size_t n_steps = is_thorough() ? 10 * N_STEPS : N_STEPS;
    size_t since_refused = 0;
    for (size_t i = 0; i < n_steps && since_refused < N_STEPS; i++) {
        step(&dice, i);
        if (i % 1000 == 0) {
            many_of_a_class();
            direct_blocks();
        }
        since_refused += was_refused(refusal);
    }
    heap_check(my_heap());
    arena_check();
}

static void *work_in_thread(void *argument)
{
    struct random dice = {7};
    char *p[64];
    for (size_t i = 0; i < ARRAY_LEN(p); i++) {
        size_t bytes = random_bytes(&dice, 5000);
        p[i] = heap_alloc(bytes);
        if (p[i] != NULL)
            pattern_fill(p[i], bytes, i);
    }
    dice.state = 7;
    for (size_t i = 0; i < ARRAY_LEN(p); i++) {
        size_t bytes = random_bytes(&dice, 5000);
        if (p[i] == NULL)
            continue;
        check(pattern_holds(p[i], bytes, i));
        heap_free(p[i]);
    }
    return argument;
}

/* So that calls of every kind come often. */
static void begin(void)
{
    options.direct_bytes = 64 * KIB;
    options.dirty_bytes = 0;
    options.dirty_percent = 0;
    options.guest_calls = 32;
}

static void check_that_all_is_well(void)
{
    fake_fail_none();
    for (size_t i = 0; i < N_MODEL; i++)
        model_free(&model[i]);
    for (unsigned class = 0; class < N_CLASSES; class ++) {
        check_equal(live_blocks(class), 0);
        char *p = heap_alloc(class_bytes(class));
        check(p != NULL);
        heap_free(p);
    }
    heap_flush_all(true);
    heap_check(my_heap());
    arena_check();
    check_equal(arena_bytes_in_use(), 0);
}

static void body_refused(void *argument)
{
    const struct refusal *refusal = argument;
    begin();
    (refusal->and_all_after ? fake_fail_from : fake_fail_once)(
        kinds[refusal->kind].call, refusal->nth, kinds[refusal->kind].error);
    void *first = heap_alloc(1);
    if (first == NULL)
        fake_fail_none(); /* not even the first heap could be made: that was the test */
    else
        heap_free(first);
    attach();
    work(1, refusal);
    thread_run(work_in_thread, NULL);
    check_that_all_is_well();
}

/* How often the call is made when all works: what is asked of a later one changes nothing. */
static size_t *calls_made; /* shared with the child */

static void body_count(void *argument)
{
    (void)argument;
    begin();
    attach();
    work(1, NULL);
    thread_run(work_in_thread, NULL);
    for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++)
        calls_made[kind] = fake_count(kinds[kind].call);
    check_that_all_is_well();
}

static size_t next_n(size_t n)
{
    return is_thorough() || n < 12 ? n + 1 : n + n / 3;
}

static void test_any_call_may_be_refused(void **state)
{
    (void)state;
    calls_made =
        mmap(NULL, os_page_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(calls_made != MAP_FAILED);
    child_passes(body_count, NULL);
    for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++) {
        print_message("%s: %zu calls\n", kinds[kind].name, calls_made[kind]);
        check(calls_made[kind] > 0);
        for (size_t n = 1; n <= min_size(calls_made[kind], N_MAX); n = next_n(n)) {
            for (int all = 0; all <= 1; all++) {
                struct refusal refusal = {kind, n, all == 1};
                child_passes(body_refused, &refusal);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_call_may_be_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
