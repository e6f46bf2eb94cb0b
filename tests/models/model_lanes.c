/* SPDX-License-Identifier: MIT */
/*
 * Shared pools, L1 to L9 of objects/lanes.h: no object is two threads' at a time, none is lost, and
 * frees at the same moment of one object harm nothing. Stores may be delayed: that L1 and L4 see
 * each other is the barrier's doing.
 */
#include "base/compiler.h"
#include "explore.h"
#include "objects/pool.h"

enum { MAX = 2, MORE = 4 };

static poolalloc_pool *pool;
static size_t n_max;
static uint64_t *passed[MORE];

static void construct(void *object, void *context)
{
    (void)context;
    *(uint64_t *)object = 0;
}

static void pool_make(size_t max)
{
    n_max = max;
    pool = pool_create(&(struct poolalloc_pool_options){.object_bytes = 64,
                                                        .first = max,
                                                        .max = max,
                                                        .flags = POOLALLOC_POOL_SHARED,
                                                        .construct = construct});
    holds(pool != NULL);
}

static void setup_two(void)
{
    pool_make(MAX);
}

static void setup_more(void)
{
    pool_make(MORE);
}

/* Nobody else has it: a free object is 0, as it was constructed, and so it is given back. */
static uint64_t *take(void)
{
    uint64_t *object = pool_alloc(pool);
    if (object != NULL) {
        holds(*object == 0);
        *object = 1 + explore_thread();
    }
    return object;
}

static void give(uint64_t *object)
{
    holds(*object == 1 + explore_thread());
    *object = 0;
    holds(pool_free(pool, object) == 0);
}

static void give_of_other(uint64_t *object)
{
    holds(*object != 0);
    *object = 0;
    holds(pool_free(pool, object) == 0);
}

/* Every object can be had once. */
static void check_can_be_had(void)
{
    uint64_t *all[MORE];
    for (size_t i = 0; i < n_max; i++) {
        all[i] = take();
        holds(all[i] != NULL);
        for (size_t j = 0; j < i; j++)
            holds(all[i] != all[j]);
    }
    holds(pool_alloc(pool) == NULL);
}

static void check_all(void)
{
    check_can_be_had();
    holds(pool_destroy(pool) == n_max);
}

/* ---- all free objects are in the first thread's lane; others want one, and seize it ---- */

static void fill_first_lane(size_t number)
{
    uint64_t *objects[MAX];
    if (number > 0) {
        (void)pool_free(pool, &pool); /* refused, but the thread has a number then */
        return;
    }
    for (size_t i = 0; i < MAX; i++)
        objects[i] = take();
    for (size_t i = 0; i < MAX; i++)
        give(objects[i]);
}

/* As many objects as threads: there is one for each. */
static void use_one(size_t number)
{
    (void)number;
    uint64_t *object = take();
    holds(object != NULL);
    explore_pause();
    give(object);
}

/* ---- objects come back to the lane they were taken through ---- */

static void take_for_others(size_t number)
{
    if (number > 0) {
        (void)pool_free(pool, &pool);
        return;
    }
    for (size_t i = 0; i < MORE; i++)
        passed[i] = take();
}

static void give_back(size_t number)
{
    if (number > 0) {
        give_of_other(passed[number]);
        return;
    }
    uint64_t *object = take();
    give(passed[0]);
    if (object != NULL)
        give(object);
}

static void check_but_last(void)
{
    give_of_other(passed[MORE - 1]);
    check_all();
}

/* ---- the same object is given back twice at the same moment ---- */

static void give_the_same(size_t number)
{
    if (number == 0)
        (void)pool_trim(pool); /* collects; takes none, for then a free would be right again */
    else
        (void)pool_free(pool, passed[0]);
}

static void owner_gives_the_same(size_t number)
{
    (void)pool_free(pool, passed[0]);
    if (number == 0)
        (void)pool_trim(pool);
}

/* The second free may wait in an inbox still: figures count it until it is collected. */
static void check_after_twice(void)
{
    *passed[0] = 0;
    for (size_t i = 1; i < MORE; i++)
        give_of_other(passed[i]);
    check_can_be_had();
}

/* ---- memory goes back meanwhile ---- */

static void use_or_trim(size_t number)
{
    if (number == 1)
        (void)pool_trim(pool);
    else
        use_one(number);
}

static const struct model models[] = {
    {"seize", 2, 0, 3, 0, setup_two, fill_first_lane, use_one, check_all},
    {"seize-delayed", 2, 0, 1, 1, setup_two, fill_first_lane, use_one, check_all},
    {"give-back", 3, 0, 2, 1, setup_more, take_for_others, give_back, check_but_last},
    {"twice", 3, 0, 2, 1, setup_more, take_for_others, give_the_same, check_after_twice},
    {"owner-twice", 2, 0, 3, 1, setup_more, take_for_others, owner_gives_the_same,
     check_after_twice},
    {"trim", 2, 0, 2, 0, setup_two, fill_first_lane, use_or_trim, check_all},
    {"trim-delayed", 2, 0, 1, 1, setup_two, fill_first_lane, use_or_trim, check_all},
};

int main(int argc, char **argv)
{
    return explore_main(argc, argv, models, ARRAY_LEN(models));
}
