/* SPDX-License-Identifier: MIT */
/*
 * The emergency area and the stack of what is put off (heap/emergency.h): no two live blocks
 * overlap, sizes stay what they were, the last free empties the area, what was put off is taken
 * once.
 */
#include "base/bits.h"
#include "base/compiler.h"
#include "explore.h"
#include "heap/emergency.h"

#include <string.h>

enum { N_FOREIGN = 4, AREA_BYTES = 256 * 1024, MOST_BYTES = AREA_BYTES - 64 };

static ALIGNED(16) struct block foreign[N_FOREIGN];
static unsigned n_taken[N_FOREIGN];
static unsigned n_put_off;

static void check_holds(const char *p, size_t bytes, char with)
{
    holds(emergency_usable_size(p) == round_up(bytes, 16));
    for (size_t i = 0; i < bytes; i++)
        holds(p[i] == with);
}

static void alloc_and_free(size_t number)
{
    size_t bytes = 16 + number * 16;
    char *p = emergency_alloc(bytes, 16);
    holds(p != NULL && emergency_owns(p));
    memset(p, 'a' + (int)number, bytes);
    explore_pause();
    check_holds(p, bytes, (char)('a' + (int)number));
    emergency_free(p);
}

static void alloc_two(size_t number)
{
    char *p = emergency_alloc(32, 16);
    holds(p != NULL);
    memset(p, 'a' + (int)number, 32);
    alloc_and_free(number);
    check_holds(p, 32, (char)('a' + (int)number));
    emergency_free(p);
}

/* It is empty: nearly all of it can be had at once. */
static void check_empty(void)
{
    void *p = emergency_alloc(MOST_BYTES, 16);
    holds(p != NULL);
    emergency_free(p);
}

static void put_off(const size_t number)
{
    n_put_off++;
    emergency_free(&foreign[number]);
}

static void take_all(void)
{
    struct block *block = emergency_put_off_take();
    for (; block != NULL; block = block->next)
        n_taken[block - foreign]++;
}

static void put_off_and_take(size_t number)
{
    put_off(number);
    if (number == 0)
        put_off(3);
    if (number == 2 && emergency_has_put_off())
        take_all();
}

static void check_taken(void)
{
    unsigned n = 0;
    take_all();
    for (size_t i = 0; i < N_FOREIGN; i++) {
        holds(n_taken[i] <= 1);
        n += n_taken[i];
    }
    holds(n == n_put_off);
}

static const struct model models[] = {
    {"alloc-and-free", 3, 0, 3, 0, NULL, NULL, alloc_and_free, check_empty},
    {"alloc-two", 2, 0, 4, 0, NULL, NULL, alloc_two, check_empty},
    {"put-off", 3, 0, 5, 0, NULL, NULL, put_off_and_take, check_taken},
};

int main(int argc, char **argv)
{
    return explore_main(argc, argv, models, ARRAY_LEN(models));
}
