/* SPDX-License-Identifier: MIT */
#include "objects/bump.h"

#include "heap/alloc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static char *chunk_begin(struct bump_chunk *chunk)
{
    return (char *)(chunk + 1);
}

static char *chunk_end(struct bump_chunk *chunk)
{
    return (char *)chunk + chunk->bytes;
}

/* ---- figures ---- */

static size_t used_bytes(const poolalloc_arena *arena)
{
    return arena->full_bytes + (size_t)(arena->at - chunk_begin(arena->current));
}

/* Before memory ends, and when the current chunk changes. */
static void note_use(poolalloc_arena *arena)
{
    size_t used = used_bytes(arena);
    arena->peak_bytes = max_size(arena->peak_bytes, used);
    atomic_put_relaxed(&arena->noted_bytes, used);
    atomic_put_relaxed(&arena->noted_peak, arena->peak_bytes);
}

static void read_figures(const struct object *object, struct object_figures *figures)
{
    const poolalloc_arena *arena = CONTAINER_OF(object, const poolalloc_arena, object);
    figures->memory_bytes = atomic_get_relaxed(&arena->bytes);
    figures->piece_bytes = 1;
    figures->pieces = figures->memory_bytes;
    figures->in_use = atomic_get_relaxed(&arena->noted_bytes);
    figures->in_use_peak = atomic_get_relaxed(&arena->noted_peak);
    figures->failures = atomic_get_relaxed(&arena->n_failures);
}

static const struct object_kind arena_kind = {.kind = "arena", .read = read_figures};

void bump_get_stats(const poolalloc_arena *arena, struct poolalloc_arena_stats *stats)
{
    size_t used = used_bytes(arena);
    *stats = (struct poolalloc_arena_stats){
        .bytes = atomic_get_relaxed(&arena->bytes),
        .used_bytes = used,
        .peak_bytes = max_size(arena->peak_bytes, used),
        .n_failures = atomic_get_relaxed(&arena->n_failures),
    };
    for (const struct bump_chunk *chunk = arena->first; chunk != NULL; chunk = chunk->next)
        stats->n_chunks++;
}

/* ---- chunks ---- */

static void bytes_set(poolalloc_arena *arena, size_t bytes)
{
    atomic_put_relaxed(&arena->bytes, bytes);
}

static struct bump_chunk *chunk_new(poolalloc_arena *arena, size_t bytes)
{
    size_t in_chunks = atomic_get_relaxed(&arena->bytes);
    if (bytes > arena->max_bytes - in_chunks)
        return NULL;
    struct bump_chunk *chunk = heap_alloc(bytes);
    if (chunk == NULL)
        return NULL;
    chunk->bytes = bytes;
    bytes_set(arena, in_chunks + bytes);
    if (bytes >= arena->next_bytes)
        arena->next_bytes =
            max_size(min_size(arena->next_bytes * 2, BUMP_CHUNK_MAX_BYTES), arena->next_bytes);
    return chunk;
}

/* From now on pieces come from this chunk. */
static void chunk_open(poolalloc_arena *arena, struct bump_chunk *chunk)
{
    arena->current = chunk;
    arena->at = chunk_begin(chunk);
    arena->end = chunk_end(chunk);
}

static void chunks_free(poolalloc_arena *arena, struct bump_chunk *chunk)
{
    size_t bytes = atomic_get_relaxed(&arena->bytes);
    while (chunk != NULL) {
        struct bump_chunk *next = chunk->next;
        bytes -= chunk->bytes;
        heap_free(chunk);
        chunk = next;
    }
    bytes_set(arena, bytes);
}

/* The bytes of a chunk that has room for this piece, wherever the chunk lies; near its maximum an
 * arena makes do with just that. */
static size_t chunk_bytes_for(const poolalloc_arena *arena, size_t align, size_t bytes)
{
    size_t slack = align > BUMP_ALIGN ? align - BUMP_ALIGN : 0;
    size_t need = round_up(sizeof(struct bump_chunk) + slack + bytes, BUMP_ALIGN);
    size_t wanted = max_size(need, arena->next_bytes);
    return wanted <= arena->max_bytes - atomic_get_relaxed(&arena->bytes) ? wanted : need;
}

/* The first chunk after the current one that the piece fits into; those passed over stay empty
 * until the next reset. A new one if none does. */
static struct bump_chunk *chunk_for(poolalloc_arena *arena, size_t align, size_t bytes)
{
    size_t need = chunk_bytes_for(arena, align, bytes);
    struct bump_chunk **link = &arena->current->next;
    for (; *link != NULL; link = &(*link)->next) {
        uintptr_t start = round_up((uintptr_t)chunk_begin(*link), align);
        uintptr_t end = (uintptr_t)chunk_end(*link);
        if (start <= end && bytes <= end - start)
            return *link;
    }
    struct bump_chunk *chunk = chunk_new(arena, need);
    if (chunk != NULL) {
        chunk->next = NULL;
        *link = chunk;
    }
    return chunk;
}

/* The chunks from the current one up to `to` are full, whatever is left of them. */
static void full_add_until(poolalloc_arena *arena, const struct bump_chunk *to)
{
    for (struct bump_chunk *chunk = arena->current; chunk != to; chunk = chunk->next)
        arena->full_bytes += chunk->bytes - sizeof *chunk;
}

static void *fail(poolalloc_arena *arena, int error)
{
    counter_add(&arena->n_failures, error == ENOMEM);
    errno = error;
    return NULL;
}

NOINLINE void *bump_alloc_slow(poolalloc_arena *arena, size_t align, size_t bytes)
{
    if (!is_power_of_two(align))
        return fail(arena, EINVAL);
    if (bytes > PTRDIFF_MAX / 2 || align > PTRDIFF_MAX / 2)
        return fail(arena, ENOMEM);
    struct bump_chunk *chunk = chunk_for(arena, align, bytes);
    if (chunk == NULL)
        return fail(arena, ENOMEM);
    full_add_until(arena, chunk);
    chunk_open(arena, chunk);
    note_use(arena);
    return bump_alloc_aligned(arena, align, bytes);
}

/* ---- endings ---- */

static void ending_add(poolalloc_arena *arena, struct bump_ending *ending)
{
    ending->serial = ++arena->serial;
    ending->older = arena->newest;
    ending->newer = NULL;
    if (arena->newest != NULL)
        arena->newest->newer = ending;
    arena->newest = ending;
}

static void ending_remove(poolalloc_arena *arena, struct bump_ending *ending)
{
    if (ending->newer != NULL)
        ending->newer->older = ending->older;
    else
        arena->newest = ending->older;
    if (ending->older != NULL)
        ending->older->newer = ending->newer;
}

static void memory_free(poolalloc_arena *arena)
{
    registry_remove(&arena->object);
    chunks_free(arena, arena->first);
    heap_free(arena);
}

static void run_clean_up(const struct bump_ending *ending)
{
    int saved_errno = errno;
    ending->run(ending->argument);
    errno = saved_errno;
}

/* Runs the endings of `top` that are newer than `serial`, newest first. A child's own endings come
 * first of all; then it is no more. */
static void end_until(poolalloc_arena *top, uint64_t serial)
{
    poolalloc_arena *arena = top;
    for (;;) {
        struct bump_ending *ending = arena->newest;
        if (ending != NULL && (arena != top || ending->serial > serial)) {
            ending_remove(arena, ending);
            if (ending->run != NULL)
                run_clean_up(ending);
            else
                arena = CONTAINER_OF(ending, poolalloc_arena, as_child);
        } else if (arena != top) {
            poolalloc_arena *parent = arena->parent;
            memory_free(arena);
            arena = parent;
        } else {
            return;
        }
    }
}

int bump_on_end(poolalloc_arena *arena, void (*run)(void *), void *argument)
{
    struct bump_ending *ending = bump_alloc(arena, sizeof *ending);
    if (ending == NULL)
        return -1;
    ending->run = run;
    ending->argument = argument;
    ending_add(arena, ending);
    return 0;
}

/* ---- arenas ---- */

static const struct poolalloc_arena_options no_options;

static bool options_are_good(const struct poolalloc_arena_options *options)
{
    uint64_t reserved = 0;
    for (size_t i = 0; i < ARRAY_LEN(options->reserved); i++)
        reserved |= options->reserved[i];
    return reserved == 0 && options->first_bytes <= PTRDIFF_MAX / 2;
}

static void init(poolalloc_arena *arena, const struct poolalloc_arena_options *options)
{
    size_t first_bytes = options->first_bytes != 0 ? options->first_bytes : BUMP_FIRST_BYTES;
    size_t max_bytes = options->max_bytes != 0 ? options->max_bytes : SIZE_MAX;
    memset(arena, 0, sizeof *arena);
    first_bytes = max_size(first_bytes, 2 * sizeof(struct bump_chunk));
    arena->next_bytes = round_up(min_size(first_bytes, max_bytes), BUMP_ALIGN);
    arena->max_bytes = max_bytes;
    object_init(&arena->object, &arena_kind, options->name);
}

poolalloc_arena *bump_create(poolalloc_arena *parent, const struct poolalloc_arena_options *options)
{
    if (options == NULL)
        options = &no_options;
    if (!options_are_good(options)) {
        errno = EINVAL;
        return NULL;
    }
    poolalloc_arena *arena = heap_alloc(sizeof *arena);
    if (arena == NULL)
        return NULL;
    init(arena, options);
    arena->first = chunk_new(arena, arena->next_bytes);
    if (arena->first == NULL) {
        heap_free(arena);
        errno = ENOMEM;
        return NULL;
    }
    arena->first->next = NULL;
    chunk_open(arena, arena->first);
    if (options->name != NULL)
        registry_add(&arena->object);
    arena->parent = parent;
    if (parent != NULL)
        ending_add(parent, &arena->as_child);
    return arena;
}

void bump_destroy(poolalloc_arena *arena)
{
    if (arena == NULL)
        return;
    if (arena->parent != NULL)
        ending_remove(arena->parent, &arena->as_child);
    end_until(arena, 0);
    memory_free(arena);
}

void bump_reset(poolalloc_arena *arena)
{
    end_until(arena, 0);
    note_use(arena);
    arena->full_bytes = 0;
    chunk_open(arena, arena->first);
    atomic_put_relaxed(&arena->noted_bytes, 0);
}

size_t bump_trim(poolalloc_arena *arena)
{
    size_t before = atomic_get_relaxed(&arena->bytes);
    chunks_free(arena, arena->current->next);
    arena->current->next = NULL;
    return before - atomic_get_relaxed(&arena->bytes);
}

/* ---- marks ---- */

poolalloc_mark bump_mark(const poolalloc_arena *arena)
{
    return (poolalloc_mark){arena->current, arena->at, arena->serial};
}

/* Whether it is a place up to where pieces were taken. */
static bool is_mark(poolalloc_arena *arena, poolalloc_mark mark)
{
    struct bump_chunk *chunk = arena->first;
    while (chunk != mark.chunk && chunk != arena->current)
        chunk = chunk->next;
    const char *last = chunk == arena->current ? arena->at : chunk_end(chunk);
    return chunk == mark.chunk && mark.serial <= arena->serial && mark.at >= chunk_begin(chunk) &&
           mark.at <= last;
}

int bump_release(poolalloc_arena *arena, poolalloc_mark mark)
{
    if (!is_mark(arena, mark)) {
        object_report(&arena->object, "release to what is no mark", mark.at);
        errno = EINVAL;
        return -1;
    }
    end_until(arena, mark.serial);
    note_use(arena);
    struct bump_chunk *from = arena->first;
    arena->full_bytes = 0;
    arena->current = from;
    full_add_until(arena, mark.chunk);
    chunk_open(arena, (struct bump_chunk *)mark.chunk);
    arena->at = (char *)mark.at;
    atomic_put_relaxed(&arena->noted_bytes, used_bytes(arena));
    return 0;
}

/* ---- pieces with something in them ---- */

void *bump_calloc(poolalloc_arena *arena, size_t n, size_t each)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, each, &bytes))
        return fail(arena, ENOMEM);
    void *p = bump_alloc(arena, bytes);
    return p != NULL ? memset(p, 0, bytes) : NULL;
}

void *bump_memdup(poolalloc_arena *arena, size_t align, const void *from, size_t bytes)
{
    void *p = bump_alloc_aligned(arena, align, bytes);
    return p != NULL && bytes > 0 ? memcpy(p, from, bytes) : p;
}

/* Into what is left of the chunk first: mostly it fits, and is formatted once. */
char *bump_printf(poolalloc_arena *arena, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    size_t room = (size_t)(arena->end - arena->at);
    int length = vsnprintf(arena->at, room, format, arguments);
    char *string = NULL;
    if (length >= 0)
        string = bump_alloc_aligned(arena, 1, (size_t)length + 1);
    if (string != NULL && (size_t)length >= room) {
        /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is a copy, see above */
        (void)vsnprintf(string, (size_t)length + 1, format, again);
    }
    va_end(again);
    return string;
}
