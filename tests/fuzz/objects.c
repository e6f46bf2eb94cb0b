/* SPDX-License-Identifier: MIT */
/*
 * Pools and arenas of poolalloc.h. Each is used by one thread at a time, but not always by the
 * same.
 */
#include "base/bits.h"
#include "fuzz.h"
#include "poolalloc.h"

#include <errno.h>
#include <string.h>

enum { ERRNO_MARK = EXDEV };

struct piece {
    char *p; /* NULL: none */
    size_t bytes;
    uint64_t seed;
};

static void piece_enter(struct piece *piece, void *p, size_t bytes)
{
    *piece = (struct piece){p, bytes, pattern_new_seed()};
    extent_add(p, bytes);
    pattern_fill(p, bytes, piece->seed);
}

static void piece_leave(struct piece *piece)
{
    pattern_check(piece->p, piece->bytes, piece->seed);
    extent_remove(piece->p);
    piece->p = NULL;
}

/* ---- pools ---- */

enum { N_POOLS = 3, N_OBJECTS = 128 };

static struct pool {
    poolalloc_pool *pool; /* NULL: none */
    struct poolalloc_pool_options options;
    struct piece objects[N_OBJECTS];
    size_t n_objects;
    size_t n_constructed;
} pools[N_POOLS];

static void construct(void *object, void *context)
{
    (void)object;
    ((struct pool *)context)->n_constructed++;
}

static void destruct(void *object, void *context)
{
    (void)object;
    ((struct pool *)context)->n_constructed--;
}

static struct pool *chosen_pool(void)
{
    return &pools[input_below(N_POOLS)];
}

static void pool_make(struct pool *pool)
{
    size_t how = input_byte();
    pool->options = (struct poolalloc_pool_options){
        .name = how % 3 == 0 ? "a pool" : NULL,
        .object_bytes = 1 + input_byte() * (how % 5 == 0 ? 100 : 2),
        .align = how % 7 == 0 ? min_size(input_align(), 4096) : 0,
        .first = how % 4,
        .max = how % 2 == 0 ? 1 + how / 3 : 0,
        .flags = (how & 16 ? POOLALLOC_POOL_SHARED : 0) | (how & 32 ? POOLALLOC_POOL_FALLBACK : 0),
        .context = pool,
    };
    if (how & 64) {
        pool->options.construct = construct;
        pool->options.destruct = destruct;
    }
    size_t refused = system_n_refused();
    pool->n_objects = 0;
    pool->n_constructed = 0;
    pool->pool = poolalloc_pool_create(&pool->options);
    check(pool->pool != NULL || system_n_refused() > refused);
}

static bool is_full(const struct pool *pool)
{
    return pool->options.max != 0 && pool->n_objects >= pool->options.max;
}

static void pool_alloc(struct pool *pool, struct piece *object)
{
    size_t refused = system_n_refused();
    errno = ERRNO_MARK;
    void *p = poolalloc_pool_alloc(pool->pool);
    bool has_fallback = (pool->options.flags & POOLALLOC_POOL_FALLBACK) != 0;
    if (p == NULL) {
        check(errno == ENOMEM);
        check(system_n_refused() > refused || (is_full(pool) && !has_fallback));
        return;
    }
    check(errno == ERRNO_MARK);
    check(has_fallback || !is_full(pool));
    check((uintptr_t)p % (pool->options.align != 0 ? pool->options.align : 16) == 0);
    piece_enter(object, p, pool->options.object_bytes);
    pool->n_objects++;
}

static void pool_free(struct pool *pool, struct piece *object)
{
    char *p = object->p;
    if (p == NULL) {
        check(poolalloc_pool_free(pool->pool, NULL) == 0);
        return;
    }
    piece_leave(object);
    pool->n_objects--;
    errno = ERRNO_MARK;
    check(poolalloc_pool_free(pool->pool, p) == 0 && errno == ERRNO_MARK);
}

/* Wrong frees are refused and change nothing. */
static void pool_misuse(struct pool *pool, struct piece *object)
{
    char *p = object->p;
    if (p == NULL || poolalloc_pool_owns(pool->pool, p) == 0)
        return;
    errno = ERRNO_MARK;
    check(poolalloc_pool_free(pool->pool, p + 1) == -1 && errno == EINVAL);
    check(poolalloc_pool_free(pool->pool, &p) == -1 && errno == EINVAL);
    pool_free(pool, object);
    check(poolalloc_pool_free(pool->pool, p) == -1 && errno == EALREADY);
}

static void pool_end(struct pool *pool)
{
    size_t n = pool->n_objects;
    bool has_constructor = pool->options.construct != NULL;
    char *from_malloc[N_OBJECTS];
    size_t n_from_malloc = 0;
    for (size_t i = 0; i < N_OBJECTS; i++) {
        struct piece *object = &pool->objects[i];
        if (object->p == NULL)
            continue;
        if (poolalloc_pool_owns(pool->pool, object->p) == 0)
            from_malloc[n_from_malloc++] = object->p;
        piece_leave(object);
    }
    check(poolalloc_pool_destroy(pool->pool) == n);
    check(!has_constructor || pool->n_constructed == n);
    while (n_from_malloc > 0)
        fuzz_free(from_malloc[--n_from_malloc]);
    pool->pool = NULL;
}

static void pool_look(struct pool *pool)
{
    struct poolalloc_pool_stats stats;
    poolalloc_pool_get_stats(pool->pool, &stats);
    check(stats.in_use + stats.n_from_malloc == pool->n_objects);
    check(stats.in_use <= stats.total && stats.in_use <= stats.peak);
    check(stats.object_bytes >= pool->options.object_bytes);
    check(stats.bytes >= stats.total * stats.object_bytes);
    check(pool->options.max == 0 || stats.in_use <= pool->options.max);
}

static void op_pool_alloc(void)
{
    struct pool *pool = chosen_pool();
    struct piece *object = &pool->objects[input_below(N_OBJECTS)];
    if (pool->pool == NULL)
        pool_make(pool);
    else if (object->p == NULL)
        pool_alloc(pool, object);
    else
        pool_free(pool, object);
}

static void op_pool_many(void)
{
    struct pool *pool = chosen_pool();
    size_t first = input_below(N_OBJECTS);
    size_t n = input_below(N_OBJECTS);
    for (size_t i = 0; i < n && pool->pool != NULL; i++) {
        struct piece *object = &pool->objects[(first + i) % N_OBJECTS];
        if (n % 2 == 0)
            pool_free(pool, object);
        else if (object->p == NULL)
            pool_alloc(pool, object);
    }
}

static void op_pool_other(void)
{
    struct pool *pool = chosen_pool();
    if (pool->pool == NULL)
        return;
    switch (input_below(8)) {
    case 0:
        pool_end(pool);
        break;
    case 1:
    case 2:
        (void)poolalloc_pool_trim(pool->pool);
        pool_look(pool);
        break;
    case 3:
        system_mute(true);
        pool_misuse(pool, &pool->objects[input_below(N_OBJECTS)]);
        system_mute(false);
        break;
    default:
        pool_look(pool);
        break;
    }
}

/* ---- arenas ----
 *
 * Pieces are in the order they were taken; a mark is their number, and what is given back are all
 * from a number on. A child is a piece without bytes in its parent's order.
 */

enum { N_ARENAS = 4, N_PIECES = 96, N_MARKS = 4 };

static struct arena {
    poolalloc_arena *arena; /* NULL: none */
    struct arena *parent;
    size_t place; /* in the parent's order */
    struct piece pieces[N_PIECES];
    size_t n_pieces;
    struct {
        poolalloc_mark mark;
        size_t n_pieces;
        size_t n_clean_ups;
    } marks[N_MARKS];
    size_t n_marks;
    size_t n_clean_ups; /* registered and not run */
    size_t max_bytes;
} arenas[N_ARENAS];

static void clean_up(void *argument)
{
    struct arena *arena = argument;
    check(arena->n_clean_ups > 0);
    arena->n_clean_ups--;
}

static void arena_forget_from(struct arena *arena, size_t n_kept);

/* The allocator has ended it, or is about to. */
static void arena_forget(struct arena *arena)
{
    arena_forget_from(arena, 0);
    arena->n_marks = 0;
    arena->arena = NULL;
}

/* All pieces from the nth on, and children that were made after it, are about to end. */
static void arena_forget_from(struct arena *arena, size_t n_kept)
{
    for (size_t i = 0; i < N_ARENAS; i++) {
        struct arena *child = &arenas[i];
        if (child->arena != NULL && child->parent == arena && child->place >= n_kept)
            arena_forget(child);
    }
    while (arena->n_pieces > n_kept) {
        struct piece *piece = &arena->pieces[--arena->n_pieces];
        if (piece->p != NULL)
            piece_leave(piece);
    }
}

static void arena_make(struct arena *arena)
{
    size_t how = input_byte();
    struct arena *parent = &arenas[how % N_ARENAS];
    struct poolalloc_arena_options options = {
        .name = how % 3 == 0 ? "an arena" : NULL,
        .first_bytes = input_word(),
        .max_bytes = how % 5 == 0 ? 65536 + input_word() : 0,
    };
    bool is_child =
        how >= 128 && parent != arena && parent->arena != NULL && parent->n_pieces < N_PIECES;
    size_t refused = system_n_refused();
    arena->max_bytes = options.max_bytes;
    arena->n_pieces = arena->n_marks = arena->n_clean_ups = 0;
    arena->parent = NULL;
    arena->arena = is_child ? poolalloc_arena_create_child(parent->arena, &options)
                            : poolalloc_arena_create(&options);
    if (arena->arena == NULL) {
        check(system_n_refused() > refused || options.max_bytes != 0 ||
              (is_child && parent->max_bytes != 0));
        return;
    }
    if (is_child) {
        arena->parent = parent;
        arena->place = parent->n_pieces;
        parent->pieces[parent->n_pieces++].p = NULL;
    }
}

static void *piece_take(struct arena *arena, size_t how, size_t align, size_t bytes)
{
    if (how == 0)
        return poolalloc_arena_alloc_aligned(arena->arena, align, bytes);
    if (how == 1)
        return poolalloc_arena_calloc(arena->arena, bytes, 1);
    return poolalloc_arena_alloc(arena->arena, bytes);
}

static void arena_alloc(struct arena *arena)
{
    size_t how = input_below(8);
    size_t align = how == 0 ? input_align() : how == 1 ? 1 : 16;
    size_t bytes = input_bytes();
    size_t refused = system_n_refused();
    if (arena->n_pieces == N_PIECES)
        return;
    errno = ERRNO_MARK;
    char *p = piece_take(arena, how, align, bytes);
    if (p == NULL) {
        check(errno == ENOMEM);
        check(system_n_refused() > refused || bytes >= BYTES_ABSURD || arena->max_bytes != 0);
        return;
    }
    check(errno == ERRNO_MARK && (uintptr_t)p % align == 0);
    for (size_t i = 0; how == 1 && i < min_size(bytes, 65536); i++)
        check(p[i] == 0);
    if (bytes > 0)
        piece_enter(&arena->pieces[arena->n_pieces++], p, bytes);
}

static void arena_mark(struct arena *arena)
{
    if (arena->n_marks == N_MARKS)
        return;
    arena->marks[arena->n_marks].mark = poolalloc_arena_mark(arena->arena);
    arena->marks[arena->n_marks].n_clean_ups = arena->n_clean_ups;
    arena->marks[arena->n_marks++].n_pieces = arena->n_pieces;
}

static void arena_release(struct arena *arena)
{
    if (arena->n_marks == 0)
        return;
    size_t i = input_below(arena->n_marks);
    arena_forget_from(arena, arena->marks[i].n_pieces);
    check(poolalloc_arena_release(arena->arena, arena->marks[i].mark) == 0);
    check(arena->n_clean_ups == arena->marks[i].n_clean_ups);
    arena->n_marks = i + 1; /* may be released to again; later ones are gone */
}

static void arena_reset(struct arena *arena)
{
    arena_forget_from(arena, 0);
    poolalloc_arena_reset(arena->arena);
    check(arena->n_clean_ups == 0);
    arena->n_marks = 0;
}

static void arena_end(struct arena *arena)
{
    poolalloc_arena *ended = arena->arena;
    if (arena->parent != NULL)
        arena->parent->pieces[arena->place].p = NULL;
    arena_forget(arena);
    poolalloc_arena_destroy(ended);
    check(arena->n_clean_ups == 0);
}

static void arena_look(const struct arena *arena)
{
    struct poolalloc_arena_stats stats;
    size_t bytes = 0;
    for (size_t i = 0; i < arena->n_pieces; i++)
        bytes += arena->pieces[i].p != NULL ? arena->pieces[i].bytes : 0;
    poolalloc_arena_get_stats(arena->arena, &stats);
    check(stats.used_bytes >= bytes && stats.used_bytes <= stats.bytes);
    check(stats.peak_bytes >= stats.used_bytes);
    check(arena->max_bytes == 0 || stats.bytes <= arena->max_bytes);
}

static void arena_on_end(struct arena *arena)
{
    if (poolalloc_arena_on_end(arena->arena, clean_up, arena) == 0)
        arena->n_clean_ups++;
}

static void op_arena(void)
{
    struct arena *arena = &arenas[input_below(N_ARENAS)];
    if (arena->arena != NULL)
        arena_alloc(arena);
    else
        arena_make(arena);
}

static void op_arena_other(void)
{
    static void (*const others[])(struct arena *) = {arena_mark, arena_release, arena_reset,
                                                     arena_end, arena_on_end};
    struct arena *arena = &arenas[input_below(N_ARENAS)];
    size_t what = input_below(ARRAY_LEN(others) + 2);
    if (arena->arena == NULL)
        return;
    if (what < ARRAY_LEN(others))
        others[what](arena);
    else if (what == ARRAY_LEN(others))
        (void)poolalloc_arena_trim(arena->arena);
    if (arena->arena != NULL)
        arena_look(arena);
}

operation *const object_operations[] = {
    op_pool_alloc, op_pool_many, op_pool_other, op_arena, op_arena_other,
};
const size_t n_object_operations = ARRAY_LEN(object_operations);

void objects_end(void)
{
    for (size_t i = 0; i < N_POOLS; i++) {
        if (pools[i].pool != NULL)
            pool_end(&pools[i]);
    }
    for (size_t i = 0; i < N_ARENAS; i++) {
        if (arenas[i].arena != NULL)
            arena_end(&arenas[i]);
    }
}
