/* SPDX-License-Identifier: MIT */
/*
 * poolalloc: the public interface.
 *
 * The library replaces malloc and its family; programs need no header for that. This header is for
 * what programs build on top of malloc, over and over:
 *
 *   heap      memory of many sizes, freed one by one, or all at once
 *   pool      objects of one size, taken and given back one by one
 *   arena     memory of many sizes that ends together: a request, a document, a compilation
 *   frame     arenas in turn: what was allocated N frames ago is gone
 *   buffers   a fixed set of equal buffers, shared by count, waited for in order
 *
 * All names begin with poolalloc_. Link with -lpoolalloc.
 *
 * Errors: a pointer is NULL, or an int is -1, and errno says why: ENOMEM (no memory, or a maximum
 * was reached), EINVAL (an argument), and what is said at the function. Calls that succeed leave
 * errno alone. NULL may be passed to what destroys, frees or releases; it does nothing then.
 *
 * Misuse that can be seen (a pointer that is not of this pool, an object that is free already) is
 * reported by one line on fd 2, "poolalloc: pool NAME: ...", and refused; nothing is changed by it.
 *
 * Threads: said for each kind. In signal handlers, call none of these.
 *
 * Options: a struct whose members may all be 0, made so by an initialiser; NULL stands for all 0.
 * Names are cut to 31 bytes. They show in the dump, where heaps, pools and buffers without a name
 * are listed as "-", arenas and frames without one not at all.
 */
#ifndef POOLALLOC_H
#define POOLALLOC_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct timespec; /* which <time.h> of strict C99 does not have */

#define POOLALLOC_VERSION_MAJOR 0
#define POOLALLOC_VERSION_MINOR 1
#define POOLALLOC_VERSION_PATCH 0

#if defined(__GNUC__)
#define POOLALLOC_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))
#else
#define POOLALLOC_PRINTF(text, first)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0": the version of the library that is running, which may be newer than the header. */
const char *poolalloc_version(void);

/* ---- malloc ----
 *
 * The same as the functions without the prefix, but always of this library, also in a program whose
 * malloc is another one. Blocks of these and of the library's malloc are the same.
 *
 *     char *line = poolalloc_malloc(80);
 *     size_t room = poolalloc_usable_size(line);     80 or more, all of it yours
 *     poolalloc_free(line);
 */
void *poolalloc_malloc(size_t bytes);
void *poolalloc_calloc(size_t n, size_t each);
void *poolalloc_realloc(void *p, size_t bytes);

/* `align` is a power of two, else NULL and EINVAL. */
void *poolalloc_aligned_alloc(size_t align, size_t bytes);
void poolalloc_free(void *p);

/* Bytes that the block has room for; 0 for NULL. */
size_t poolalloc_usable_size(const void *p);

/* What poolalloc_usable_size would say of a block of so many bytes, without making one: what a
 * growing array should ask for. With POOLALLOC_CONF=check or guard_every it is `bytes`, and some
 * blocks have more. 0: there can be no such block.
 *
 *     capacity = poolalloc_good_size(wanted * sizeof *array) / sizeof *array;
 */
size_t poolalloc_good_size(size_t bytes);

/* ---- heaps ----
 *
 * Blocks of a part of the program: a plug-in, a document, a tenant. They are blocks like malloc's,
 * freed one by one by free(), by any thread; and those that are left end together with the heap.
 *
 *     poolalloc_heap *heap =
 *         poolalloc_heap_create(&(struct poolalloc_heap_options){.name = "plug-in"});
 *     char *line = poolalloc_heap_malloc(heap, 80);
 *     line = realloc(line, 160);                     still in the heap
 *     free(line);
 *     size_t n_left = poolalloc_heap_destroy(heap);
 *
 * All functions but destroy may be called by any thread at any time; threads that allocate from one
 * heap wait for each other. Signal handlers must not free its blocks either. In a program whose
 * malloc is another one, free by poolalloc_free(). A heap takes 20 KiB, and 64 KiB for each size
 * that differs, of which only what is used is in memory.
 */
typedef struct poolalloc_heap poolalloc_heap;

struct poolalloc_heap_options {
    const char *name;
    size_t max_bytes; /* in its blocks, by poolalloc_usable_size(). 0: no maximum */
    uint64_t reserved[4];
};

struct poolalloc_heap_stats {
    size_t bytes;        /* of memory, with the heap's records */
    size_t n_live;       /* blocks */
    size_t live_bytes;   /* in them */
    size_t peak_bytes;   /* the most that live_bytes was */
    uint64_t n_failures; /* of the functions below, for want of memory */
};

/* NULL: no memory, or there are 16,384 already (ENOMEM), or a bad option (EINVAL). */
poolalloc_heap *poolalloc_heap_create(const struct poolalloc_heap_options *options);

/* Ends the heap and all of its blocks. Returns how many blocks had not been freed. No other thread
 * may use the heap or its blocks any more: to free one of them later is as wrong as to free it
 * twice. */
size_t poolalloc_heap_destroy(poolalloc_heap *heap);

/* As malloc and so on; NULL and ENOMEM also if there would be more than max_bytes.
 * poolalloc_heap_realloc() makes a block in the heap if p is NULL; else it is realloc(), under
 * which a block stays in the heap that it is in, and which counts twice while it moves. */
void *poolalloc_heap_malloc(poolalloc_heap *heap, size_t bytes);
void *poolalloc_heap_calloc(poolalloc_heap *heap, size_t n, size_t each);
void *poolalloc_heap_realloc(poolalloc_heap *heap, void *p, size_t bytes);

/* `align` is a power of two, else NULL and EINVAL. */
void *poolalloc_heap_aligned_alloc(poolalloc_heap *heap, size_t align, size_t bytes);

/* Gives memory back that no block is near, as malloc_trim() does to all heaps. Returns its
 * bytes. */
size_t poolalloc_heap_trim(poolalloc_heap *heap);

void poolalloc_heap_get_stats(const poolalloc_heap *heap, struct poolalloc_heap_stats *stats);

/* ---- pools ----
 *
 * Objects of one size, of which many come and go. Taking and giving back is faster than malloc and
 * free, and what is given back wrongly is refused.
 *
 *     poolalloc_pool *pool = poolalloc_pool_create(
 *         &(struct poolalloc_pool_options){.name = "nodes", .object_bytes = sizeof(struct node)});
 *     struct node *node = poolalloc_pool_alloc(pool);
 *     poolalloc_pool_free(pool, node);
 *     size_t n_left_out = poolalloc_pool_destroy(pool);
 *
 * A pool is one thread's at a time; with POOLALLOC_POOL_SHARED all functions but destroy may be
 * called by any thread at any time.
 */
typedef struct poolalloc_pool poolalloc_pool;

enum {
    POOLALLOC_POOL_SHARED = 1,  /* for several threads */
    POOLALLOC_POOL_FALLBACK = 2 /* when the pool is exhausted, objects come from malloc */
};

struct poolalloc_pool_options {
    const char *name;
    size_t object_bytes; /* 1 to 1 GiB */
    size_t align;        /* of objects: a power of two up to 1 MiB. 0: 16 */
    size_t first;   /* objects that memory is taken for first; then for as many again as there are
                       already, and so on. 0: a page of them */
    size_t max;     /* objects there may be at once. 0: no maximum */
    unsigned flags; /* POOLALLOC_POOL_... */

    /* An object is constructed before it is handed out for the first time, stays so while it is
     * free, and is destructed before its memory goes. Either may be NULL. They must not use the
     * pool. */
    void (*construct)(void *object, void *context);
    void (*destruct)(void *object, void *context);
    void *context;
    uint64_t reserved[4];
};

struct poolalloc_pool_stats {
    size_t object_bytes; /* from one object to the next */
    size_t align;        /* of objects */
    size_t total;        /* objects there is memory for */
    size_t in_use;       /* without those from malloc */
    size_t peak; /* the most in_use was; of a shared pool, with those that threads kept at hand */
    size_t n_from_malloc; /* in use, from malloc */
    size_t bytes;         /* of memory, with the pool's records */
    uint64_t n_failures;  /* times the pool was exhausted, or there was no memory */
};

/* NULL: no memory (ENOMEM), or a bad option (EINVAL). */
poolalloc_pool *poolalloc_pool_create(const struct poolalloc_pool_options *options);

/* Ends the pool and gives its memory back. Returns how many objects were still in use, which are
 * not destructed; those from malloc live on, to be freed by free(). No other thread may use the
 * pool. */
size_t poolalloc_pool_destroy(poolalloc_pool *pool);

/* NULL and ENOMEM: `max` objects are in use, or there is no memory. What is in an object that was
 * used before is what its last user left there. */
void *poolalloc_pool_alloc(poolalloc_pool *pool);

/* Any thread may give back what another has taken from a shared pool.
 * -1, reported, and nothing changed: EINVAL, it is no object of this pool; EALREADY, it is free. */
int poolalloc_pool_free(poolalloc_pool *pool, void *object);

/* 1: it is where an object of this pool is, in use or not; else 0. */
int poolalloc_pool_owns(poolalloc_pool *pool, const void *p);

/* Gives memory back that no object in use is near. Returns its bytes: 0 for a shared pool, too,
 * while a thread has been stopped within a call for long, as by a debugger or a signal handler that
 * jumped away. malloc_trim() does this to all shared pools without a destructor, and to buffers. */
size_t poolalloc_pool_trim(poolalloc_pool *pool);

void poolalloc_pool_get_stats(poolalloc_pool *pool, struct poolalloc_pool_stats *stats);

/* ---- arenas ----
 *
 * Memory that is taken piece by piece and ends all at once. Taking is a few instructions, and there
 * is no free.
 *
 *     poolalloc_arena *arena = poolalloc_arena_create(NULL);
 *     char *name = poolalloc_arena_printf(arena, "%s.%d", stem, version);
 *     struct node *node = poolalloc_arena_alloc(arena, sizeof *node);
 *     poolalloc_arena_reset(arena);                  name and node are gone
 *     poolalloc_arena_destroy(arena);
 *
 * An arena and its children are one thread's at a time.
 */
typedef struct poolalloc_arena poolalloc_arena;

struct poolalloc_arena_options {
    const char *name;
    size_t first_bytes; /* of the first chunk; others are twice the one before, up to 1 MiB, or as
                           large as a single piece that needs more. 0: 4 KiB */
    size_t max_bytes;   /* of all chunks together. 0: no maximum */
    uint64_t reserved[4];
};

struct poolalloc_arena_stats {
    size_t bytes;      /* in chunks */
    size_t used_bytes; /* in pieces, and lost at the ends of chunks */
    size_t peak_bytes; /* the most that used_bytes was */
    size_t n_chunks;
    uint64_t n_failures; /* calls that returned NULL for want of memory */
};

/* NULL: no memory (ENOMEM), or a bad option (EINVAL). */
poolalloc_arena *poolalloc_arena_create(const struct poolalloc_arena_options *options);

/* An arena that ends with its parent at the latest: when the parent is destroyed, reset, or
 * released to a mark from before the child was made. Children may have children, to any depth.
 *
 *     poolalloc_arena *query = poolalloc_arena_create_child(connection, NULL);
 */
poolalloc_arena *poolalloc_arena_create_child(poolalloc_arena *parent,
                                              const struct poolalloc_arena_options *options);

/* Runs the clean-ups, ends the children, gives all memory back. */
void poolalloc_arena_destroy(poolalloc_arena *arena);

/* The same, but keeps the arena and its chunks for what comes. */
void poolalloc_arena_reset(poolalloc_arena *arena);

/* Gives chunks back that nothing was taken from since the last reset. Returns their bytes. */
size_t poolalloc_arena_trim(poolalloc_arena *arena);

/* `bytes` bytes, aligned to 16. For 0 bytes a pointer that others may be equal to. */
void *poolalloc_arena_alloc(poolalloc_arena *arena, size_t bytes);

/* The same at a multiple of `align`, a power of two (else EINVAL). An align of 1 packs densely. */
void *poolalloc_arena_alloc_aligned(poolalloc_arena *arena, size_t align, size_t bytes);

/* n * each bytes of zeroes. */
void *poolalloc_arena_calloc(poolalloc_arena *arena, size_t n, size_t each);

/* Copies; strdup's and printf's end in a zero byte. */
void *poolalloc_arena_memdup(poolalloc_arena *arena, const void *from, size_t bytes);
char *poolalloc_arena_strdup(poolalloc_arena *arena, const char *string);
char *poolalloc_arena_printf(poolalloc_arena *arena, const char *format, ...)
    POOLALLOC_PRINTF(2, 3);
char *poolalloc_arena_vprintf(poolalloc_arena *arena, const char *format, va_list arguments)
    POOLALLOC_PRINTF(2, 0);

/* A place to go back to. All that was taken, registered and made since goes when it is released;
 * marks may be nested, and released to more than once, until an older one is.
 *
 *     poolalloc_mark mark = poolalloc_arena_mark(arena);
 *     ... scratch ...
 *     poolalloc_arena_release(arena, mark);
 */
typedef struct poolalloc_mark {
    const void *chunk;
    const char *at;
    uint64_t serial;
} poolalloc_mark;

poolalloc_mark poolalloc_arena_mark(const poolalloc_arena *arena);

/* -1 and EINVAL: there is nothing there to go back to; reported. */
int poolalloc_arena_release(poolalloc_arena *arena, poolalloc_mark mark);

/* clean_up(argument) runs when what is in the arena now ends; the last registered runs first, and
 * what the arena holds is still whole. This is how an arena adopts memory and files:
 *
 *     char *text = malloc(n);
 *     poolalloc_arena_on_end(arena, free, text);
 *
 * A clean-up must not use the arena that it is run by, but may read what is in it.
 * -1 and ENOMEM: it is not registered. */
int poolalloc_arena_on_end(poolalloc_arena *arena, void (*clean_up)(void *), void *argument);

void poolalloc_arena_get_stats(const poolalloc_arena *arena, struct poolalloc_arena_stats *stats);

/* ---- frames ----
 *
 * N arenas in turn. poolalloc_frame_begin() empties the oldest and makes it the current one, so
 * what is allocated in a frame lives until the Nth begin after. Once the arenas have grown to what
 * frames need, no frame makes a system call.
 *
 *     poolalloc_frame *frame = poolalloc_frame_create(2, NULL);
 *     while (running) {
 *         poolalloc_arena *now = poolalloc_frame_begin(frame);
 *         draw(poolalloc_arena_alloc(now, n));       can still be read in the next frame
 *     }
 *     poolalloc_frame_destroy(frame);
 *
 * A frame is one thread's at a time.
 */
typedef struct poolalloc_frame poolalloc_frame;

/* n from 1 to 16, else EINVAL; options are those of each arena. */
poolalloc_frame *poolalloc_frame_create(unsigned n, const struct poolalloc_arena_options *options);
void poolalloc_frame_destroy(poolalloc_frame *frame);

/* The arena that is current from now on. Not to be destroyed or reset. */
poolalloc_arena *poolalloc_frame_begin(poolalloc_frame *frame);

/* From the current arena, also before the first begin. Aligned to 16. */
void *poolalloc_frame_alloc(poolalloc_frame *frame, size_t bytes);

/* ---- buffers ----
 *
 * A set of equal buffers, for input and output: there are never more, so what is under way is
 * bounded. Whoever holds a buffer releases it in the end; when its last holder has, it is back.
 * Threads that wait for one get theirs in the order they came.
 *
 *     poolalloc_buffers *set = poolalloc_buffers_create(
 *         &(struct poolalloc_buffers_options){.bytes = 65536, .align = 4096, .n = 32});
 *     poolalloc_buffer *buffer = poolalloc_buffers_acquire(set);
 *     ssize_t n = read(fd, poolalloc_buffer_data(buffer), 65536);
 *     poolalloc_slice line;
 *     poolalloc_slice_make(buffer, 0, 80, &line);         holds the buffer as well
 *     poolalloc_buffer_release(buffer);
 *     poolalloc_slice_release(&line);                     now it is back
 *
 * Any thread may call any of these.
 */
typedef struct poolalloc_buffers poolalloc_buffers;
typedef struct poolalloc_buffer poolalloc_buffer;

struct poolalloc_buffers_options {
    const char *name;
    size_t bytes; /* of a buffer: 1 to 1 GiB */
    size_t align; /* a power of two up to 1 MiB; 4096 for pages. 0: 64 */
    size_t n;     /* buffers: 1 to 1,048,576 */
    uint64_t reserved[4];
};

struct poolalloc_buffers_stats {
    size_t total;
    size_t available;
    size_t out;          /* total - available */
    size_t peak;         /* the most that were out */
    size_t waiting;      /* threads */
    size_t bytes;        /* of memory, with the set's records */
    uint64_t n_waits;    /* acquires that had to wait */
    uint64_t n_failures; /* acquires that got none */
};

/* NULL: no memory (ENOMEM), or a bad option (EINVAL). */
poolalloc_buffers *poolalloc_buffers_create(const struct poolalloc_buffers_options *options);

/* Ends the set. Returns how many buffers are still out: they stay whole, and memory goes when the
 * last of them is released; dumps list the set until then. Threads that wait get NULL and
 * ECANCELED. Nobody may acquire from it any more. */
size_t poolalloc_buffers_destroy(poolalloc_buffers *set);

/* A buffer that the caller holds. Without waiting: NULL and EAGAIN if there is none. */
poolalloc_buffer *poolalloc_buffers_try(poolalloc_buffers *set);

/* Waits for as long as it takes. */
poolalloc_buffer *poolalloc_buffers_acquire(poolalloc_buffers *set);

/* Waits until CLOCK_MONOTONIC says `deadline`: NULL and ETIMEDOUT then. */
poolalloc_buffer *poolalloc_buffers_acquire_until(poolalloc_buffers *set,
                                                  const struct timespec *deadline);

/* Gives the pages of buffers that are not out back to the kernel. Returns their bytes. */
size_t poolalloc_buffers_trim(poolalloc_buffers *set);

void poolalloc_buffers_get_stats(poolalloc_buffers *set, struct poolalloc_buffers_stats *stats);

/* What is in a new buffer is what its last holder left there, or zeroes if it was trimmed since. */
void *poolalloc_buffer_data(const poolalloc_buffer *buffer);
size_t poolalloc_buffer_bytes(const poolalloc_buffer *buffer);

/* One more holder; returns the buffer. The caller holds it already. NULL and EINVAL, reported:
 * nobody does. */
poolalloc_buffer *poolalloc_buffer_retain(poolalloc_buffer *buffer);

/* One holder less. -1 and EALREADY, reported: nobody holds it. */
int poolalloc_buffer_release(poolalloc_buffer *buffer);

/* Slices included. */
unsigned poolalloc_buffer_holders(const poolalloc_buffer *buffer);

/* A part of a buffer, which it holds until it is released. */
typedef struct poolalloc_slice {
    void *data;
    size_t bytes;
    poolalloc_buffer *buffer;
} poolalloc_slice;

/* A slice of a buffer, or of a slice; each is released on its own. -1 and EINVAL: it would reach
 * beyond its end, or nobody holds the buffer. */
int poolalloc_slice_make(poolalloc_buffer *buffer, size_t offset, size_t bytes,
                         poolalloc_slice *slice);
int poolalloc_slice_cut(const poolalloc_slice *from, size_t offset, size_t bytes,
                        poolalloc_slice *slice);

/* As poolalloc_buffer_release; the slice is all 0 afterwards, and may be released again. */
int poolalloc_slice_release(poolalloc_slice *slice);

/* ---- limits and pressure ----
 *
 * The library knows a limit on memory: the option's or the program's own, which it keeps; else that
 * of the process's control groups, or the machine's memory, which it watches. When memory becomes
 * short it gives back all it can, and tells the program, whose caches can shrink too:
 *
 *     static void shrink(int level, size_t wanted_bytes, void *context)
 *     {
 *         struct cache *cache = context;
 *         if (level == POOLALLOC_NORMAL || pthread_mutex_trylock(&cache->lock) != 0)
 *             return;
 *         cache_evict(cache, wanted_bytes);
 *         pthread_mutex_unlock(&cache->lock);
 *     }
 *
 *     poolalloc_pressure_subscribe(shrink, cache);
 *
 * The lock is for programs of one thread, too. Compilers know malloc and free, and take it that
 * neither touches the program's variables: what a subscriber changes may be kept in registers
 * across them. So have that behind a mutex, or volatile, or atomic. A cache that holds its lock
 * around malloc does not shrink then, and what it knows is still so.
 *
 * With declarations like this one, a program runs with the library and without:
 *
 *     extern __typeof__(poolalloc_pressure_subscribe) poolalloc_pressure_subscribe
 *         __attribute__((weak));
 *
 *     if (poolalloc_pressure_subscribe)
 *         poolalloc_pressure_subscribe(shrink, cache);
 *
 * Any thread may call any of these. In a program with a malloc of its own they do nothing.
 */
enum poolalloc_level {
    POOLALLOC_NORMAL = 0,
    POOLALLOC_ELEVATED = 1, /* above the threshold, or the kernel says so: caches should shrink */
    POOLALLOC_CRITICAL = 2  /* near the limit, or a call is about to be refused */
};

/* Where the limit comes from. */
enum poolalloc_limit_source {
    POOLALLOC_LIMIT_OF_NOTHING = 0,
    POOLALLOC_LIMIT_OF_OPTION = 1,
    POOLALLOC_LIMIT_OF_PROGRAM = 2,
    POOLALLOC_LIMIT_OF_CGROUP = 3,
    POOLALLOC_LIMIT_OF_MACHINE = 4
};

struct poolalloc_pressure {
    uint64_t limit_bytes;     /* 0: none is known */
    uint64_t threshold_bytes; /* memory is short from there on */
    uint64_t
        used_bytes; /* of the limit; of a control group's or the machine's, read once a second */
    uint64_t charged_bytes; /* blocks, touched or not; free memory that is held back; records */
    uint64_t charged_peak_bytes;
    uint64_t since_clean_up_ms; /* UINT64_MAX: there was none */
    uint64_t events;            /* that the kernel or systemd sent */
    uint64_t clean_ups;         /* times that all caches were given up */
    uint64_t clean_up_bytes;    /* and what that gave back to the kernel */
    uint64_t told;              /* calls of subscribers */
    uint64_t refused_calls;     /* calls that got no memory */
    double ratio;               /* used_bytes / limit_bytes */
    uint32_t level;             /* enum poolalloc_level */
    uint32_t source;            /* enum poolalloc_limit_source */
    uint32_t is_hard;           /* calls are refused for it */
    uint32_t reserved;
};

/* Fills in what is so now: pass sizeof(struct poolalloc_pressure). A library that knows less than
 * the caller leaves the rest zero. Returns how many bytes it knows; 0 where malloc is not ours. The
 * first call, of this or poolalloc_pressure_subscribe, starts the watch, if pressure=off does not
 * forbid it. It may call subscribers. */
size_t poolalloc_pressure_get(struct poolalloc_pressure *pressure, size_t bytes);

/* `level` is an enum poolalloc_level; `wanted_bytes` is what should be freed, as nearly as is
 * known: 0 when memory is no longer short. When a call is about to be refused it is the size of
 * that call or more, and twice as much each time while that is not enough, up to all there is: what
 * is freed here and there makes up no whole pages. Who frees as much as is wanted, or all that it
 * has, is never the reason for which a call is refused, if that takes it no more than a second:
 * other threads wait for it, before they are refused, for a second and a half.
 *
 * It is called from within malloc, free or poolalloc_pressure_get, in whatever thread that is, or
 * in the background thread, whose stack is of 128 KiB; never in two threads at once, never in a
 * call of its own, not in signal handlers. None of the library's locks is held, and it may allocate
 * (at the limit small blocks, as long as the option limit_reserve lasts; beyond it gets NULL,
 * whatever limit_action says) and free, subscribe and unsubscribe. But the thread may hold locks of
 * the program or of libc: try locks, do not wait for them. It must return; the thread is not
 * cancelled meanwhile. */
typedef void poolalloc_subscriber(int level, size_t wanted_bytes, void *context);

/* -1 and ENOMEM: there are 32 already. The same pair may be there more than once. Waits for
 * subscribers that run, unless it is one of them that calls. */
int poolalloc_pressure_subscribe(poolalloc_subscriber *call, void *context);

/* Afterwards it is not called any more, and does not run, unless it is the caller: waits for that,
 * so hold no lock that it waits for. -1 and EINVAL: it did not subscribe. */
int poolalloc_pressure_unsubscribe(poolalloc_subscriber *call, void *context);

#define POOLALLOC_LIMIT_MIN ((size_t)1 << 20)

/* A hard limit on what is charged: a call that would exceed it is refused with ENOMEM, after free
 * memory was given back and the subscribers were told (for pools and buffers: without these). It
 * replaces that of the option. 0: the option's again, or none. Less than is charged now: nothing is
 * taken away, but no more is handed out. Waits for subscribers as the two above do. -1 and EINVAL:
 * less than POOLALLOC_LIMIT_MIN. */
int poolalloc_set_limit(size_t bytes);

/* Gives all free memory back to the kernel, other threads' caches included, what is in their bins
 * when they next take one of malloc's slower ways. Returns the bytes that went at once. */
size_t poolalloc_purge(void);

/* ---- figures ---- */

/* What the heap consists of; LD_PRELOAD.md says what each figure means. Later versions add fields
 * at the end. */
struct poolalloc_stats {
    uint64_t live_bytes;
    uint64_t active_bytes;
    uint64_t resident_bytes;
    uint64_t mapped_bytes;
    uint64_t live_peak_bytes;
    uint64_t resident_peak_bytes;
    uint64_t used_peak_bytes;
    uint64_t mapped_peak_bytes;
    uint64_t used_bytes;
    uint64_t live_blocks;
    uint64_t allocs;
    uint64_t frees;
    uint64_t small_live_bytes;
    uint64_t slack_bytes;
    uint64_t slabs;
    uint64_t slab_free_bytes;
    uint64_t at_hand_bytes;
    uint64_t refills;
    uint64_t remote_frees;
    uint64_t large_live_bytes;
    uint64_t large_allocs;
    uint64_t large_frees;
    uint64_t direct_bytes;
    uint64_t direct_blocks;
    uint64_t free_bytes;
    uint64_t dirty_bytes;
    uint64_t free_spans;
    uint64_t free_largest_bytes;
    uint64_t purges;
    uint64_t purged_bytes;
    uint64_t page_ins_avoided;
    uint64_t page_ins_caused;
    uint64_t record_bytes;
    uint64_t record_used_bytes;
    uint64_t heaps_live;
    uint64_t heaps_parked;
    uint64_t heaps_orphaned;
    uint64_t heaps_adopted;
    uint64_t heaps_abandoned;
    uint64_t heaps_busy;
    uint64_t system_calls;
    uint64_t system_call_ns;
    uint64_t limit_bytes;
    uint64_t limit_used_bytes;
    uint64_t charged_bytes;
    uint64_t charged_peak_bytes;
    uint64_t pressure_level;
    uint64_t pressure_events;
    uint64_t clean_ups;
    uint64_t clean_up_bytes;
    uint64_t refused_calls;
};

/* Fills in the figures of now: pass sizeof(struct poolalloc_stats). A library that knows fewer than
 * the caller leaves the rest zero. Returns how many bytes it knows; 0 in a signal handler that has
 * interrupted malloc, or in a program with a malloc of its own: then all figures are 0. */
size_t poolalloc_stats_get(struct poolalloc_stats *stats, size_t bytes);

enum poolalloc_format { POOLALLOC_TEXT, POOLALLOC_JSON, POOLALLOC_PROMETHEUS };

/* Writes a dump of the heap to a file descriptor, without allocating. 0; or -1: not all of it could
 * be written, the format is none of these, or as above. */
int poolalloc_dump(int fd, enum poolalloc_format format);

/* Writes the sampled heap profile in the text format that pprof and jeprof read, without
 * allocating. 0; or -1: not all of it could be written, or nothing is sampled: POOLALLOC_CONF sets
 * profile_bytes. */
int poolalloc_profile(int fd);

#ifdef __cplusplus
}
#endif

#endif
