/* SPDX-License-Identifier: MIT */
#include "objects/buffers.h"

#include "heap/heap.h"
#include "mem/large.h"
#include "mem/meta.h"
#include "os/pages.h"
#include "os/sys.h"

#include <errno.h>
#include <string.h>

static poolalloc_buffers *set_of(struct object *object)
{
    return CONTAINER_OF(object, poolalloc_buffers, object);
}

/* ---- figures ---- */

static size_t memory_bytes(const poolalloc_buffers *set)
{
    return set->n * (set->stride + sizeof *set->table) + sizeof *set;
}

static void read_figures(const struct object *object, struct object_figures *figures)
{
    const poolalloc_buffers *set = CONTAINER_OF(object, const poolalloc_buffers, object);
    figures->memory_bytes = memory_bytes(set);
    figures->piece_bytes = set->bytes;
    figures->pieces = set->n;
    figures->in_use = atomic_get_relaxed(&set->n_out);
    figures->in_use_peak = atomic_get_relaxed(&set->peak);
    figures->failures = atomic_get_relaxed(&set->n_failures);
    figures->waits = atomic_get_relaxed(&set->n_waits);
}

void buffers_get_stats(poolalloc_buffers *set, struct poolalloc_buffers_stats *stats)
{
    size_t n_out = atomic_get_relaxed(&set->n_out);
    *stats = (struct poolalloc_buffers_stats){
        .total = set->n,
        .available = set->n - n_out,
        .out = n_out,
        .peak = atomic_get_relaxed(&set->peak),
        .waiting = atomic_get_relaxed(&set->n_waiting),
        .bytes = memory_bytes(set),
        .n_waits = atomic_get_relaxed(&set->n_waits),
        .n_failures = atomic_get_relaxed(&set->n_failures),
    };
}

static void n_out_add(poolalloc_buffers *set, size_t n)
{
    size_t n_out = atomic_get_relaxed(&set->n_out) + n;
    atomic_put_relaxed(&set->n_out, n_out);
    if (n_out > atomic_get_relaxed(&set->peak))
        atomic_put_relaxed(&set->peak, n_out);
}

/* ---- the set's life ---- */

/* Inside. */
static void memory_free(poolalloc_buffers *set)
{
    if (set->memory != NULL)
        (void)large_free(set->memory);
    if (set->table != NULL)
        (void)large_free(set->table);
    meta_give(set, sizeof *set);
}

static bool enter(poolalloc_buffers *set)
{
    if (!heap_enter())
        return false;
    lock_take(&set->lock);
    return true;
}

/* Nobody uses it any more; until here forks have to know of its lock. */
static void end(poolalloc_buffers *set)
{
    registry_remove(&set->object);
    if (!heap_enter())
        return;
    memory_free(set);
    heap_leave();
}

/* The set may be gone afterwards. */
static void leave(poolalloc_buffers *set)
{
    bool is_over = set->n_users == 0;
    lock_release(&set->lock);
    heap_leave();
    if (is_over)
        end(set);
}

/* ---- the queue ---- */

static void queue_append(poolalloc_buffers *set, struct buffers_waiter *waiter)
{
    *set->tail = waiter;
    set->tail = &waiter->next;
    set->n_users++;
    counter_add(&set->n_waits, 1);
    atomic_put_relaxed(&set->n_waiting, atomic_get_relaxed(&set->n_waiting) + 1);
}

static void queue_remove(poolalloc_buffers *set, struct buffers_waiter *waiter)
{
    struct buffers_waiter **link = &set->head;
    while (*link != waiter)
        link = &(*link)->next;
    *link = waiter->next;
    if (set->tail == &waiter->next)
        set->tail = link;
    atomic_put_relaxed(&set->n_waiting, atomic_get_relaxed(&set->n_waiting) - 1);
}

/* The waiter may have returned before it is woken: what is woken then is an address, no more. */
static void serve_first(poolalloc_buffers *set, poolalloc_buffer *buffer)
{
    struct buffers_waiter *waiter = set->head;
    _Atomic uint32_t *word = &waiter->is_served;
    queue_remove(set, waiter);
    waiter->buffer = buffer;
    atomic_put_release(word, 1);
    (void)sys_futex_wake(word, 1);
}

static void queue_forget(poolalloc_buffers *set)
{
    while (set->head != NULL) {
        set->n_users--;
        queue_remove(set, set->head);
    }
}

/* ---- acquire ---- */

static poolalloc_buffer *take_locked(poolalloc_buffers *set)
{
    poolalloc_buffer *buffer = set->first;
    if (buffer == NULL)
        return NULL;
    set->first = buffer->next;
    set->n_users++;
    n_out_add(set, 1);
    buffer->was_out = true;
    atomic_put_relaxed(&buffer->n_holders, 1);
    return buffer;
}

static poolalloc_buffer *fail(int error)
{
    errno = error;
    return NULL;
}

poolalloc_buffer *buffers_try(poolalloc_buffers *set)
{
    if (!enter(set))
        return fail(EAGAIN);
    poolalloc_buffer *buffer = take_locked(set);
    counter_add(&set->n_failures, buffer == NULL);
    leave(set);
    return buffer != NULL ? buffer : fail(EAGAIN);
}

/* 0, or why it stopped before the waiter was served. */
static int sleep_until_served(struct buffers_waiter *waiter, const struct timespec *deadline)
{
    while (atomic_get_acquire(&waiter->is_served) == 0) {
        long result = deadline != NULL ? sys_futex_wait_until(&waiter->is_served, 0, deadline)
                                       : sys_futex_wait(&waiter->is_served, 0);
        if (result == -ETIMEDOUT || result == -EINVAL)
            return (int)-result;
    }
    return 0;
}

/* It may have been served after it stopped sleeping: that counts. */
static poolalloc_buffer *end_waiting(poolalloc_buffers *set, struct buffers_waiter *waiter,
                                     int error)
{
    while (!enter(set))
        CPU_RELAX();
    bool is_served = atomic_get_acquire(&waiter->is_served) != 0;
    if (!is_served)
        queue_remove(set, waiter);
    counter_add(&set->n_failures, waiter->buffer == NULL);
    set->n_users--;
    leave(set);
    if (waiter->buffer != NULL)
        return waiter->buffer;
    return fail(is_served ? ECANCELED : error);
}

poolalloc_buffer *buffers_acquire(poolalloc_buffers *set, const struct timespec *deadline)
{
    struct buffers_waiter waiter = {0};
    int saved_errno = errno;
    if (!enter(set))
        return fail(EAGAIN);
    poolalloc_buffer *buffer = take_locked(set);
    if (buffer == NULL)
        queue_append(set, &waiter);
    leave(set);
    if (buffer == NULL)
        buffer = end_waiting(set, &waiter, sleep_until_served(&waiter, deadline));
    if (buffer != NULL)
        errno = saved_errno;
    return buffer;
}

/* ---- release ---- */

static void give_back(poolalloc_buffer *buffer)
{
    poolalloc_buffers *set = buffer->set;
    if (!enter(set))
        return; /* lost: a signal handler should not be here */
    if (set->head != NULL) {
        atomic_put_relaxed(&buffer->n_holders, 1);
        serve_first(set, buffer);
    } else {
        buffer->next = set->first;
        set->first = buffer;
        set->n_users--;
        n_out_add(set, (size_t)-1);
    }
    leave(set);
}

poolalloc_buffer *buffer_retain(poolalloc_buffer *buffer)
{
    uint32_t n = atomic_get_relaxed(&buffer->n_holders);
    do {
        if (n == 0) {
            object_report(&buffer->set->object, "retain of a buffer that nobody holds",
                          buffer->data);
            return fail(EINVAL);
        }
    } while (!atomic_try_acquire(&buffer->n_holders, &n, n + 1));
    return buffer;
}

int buffer_release(poolalloc_buffer *buffer)
{
    if (buffer == NULL)
        return 0;
    uint32_t n = atomic_get_relaxed(&buffer->n_holders);
    do {
        if (n == 0) {
            object_report(&buffer->set->object, "release of a buffer that nobody holds",
                          buffer->data);
            errno = EALREADY;
            return -1;
        }
    } while (!atomic_try_acq_rel(&buffer->n_holders, &n, n - 1));
    if (n == 1)
        give_back(buffer);
    return 0;
}

int slice_cut(const poolalloc_slice *from, size_t offset, size_t bytes, poolalloc_slice *slice)
{
    if (from->buffer == NULL || offset > from->bytes || bytes > from->bytes - offset) {
        errno = EINVAL;
        return -1;
    }
    poolalloc_buffer *buffer = buffer_retain(from->buffer);
    if (buffer == NULL)
        return -1;
    *slice = (poolalloc_slice){(char *)from->data + offset, bytes, buffer};
    return 0;
}

int slice_release(poolalloc_slice *slice)
{
    if (slice == NULL)
        return 0;
    poolalloc_buffer *buffer = slice->buffer;
    *slice = (poolalloc_slice){NULL, 0, NULL};
    return buffer_release(buffer);
}

/* ---- memory back ---- */

static size_t trim_locked(poolalloc_buffers *set)
{
    size_t bytes = 0;
    size_t page = os_page_bytes();
    if (set->stride % page != 0 || (uintptr_t)set->memory % page != 0)
        return 0;
    for (poolalloc_buffer *buffer = set->first; buffer != NULL; buffer = buffer->next) {
        if (buffer->was_out && os_pages_discard(buffer->data, set->stride)) {
            buffer->was_out = false;
            bytes += set->stride;
        }
    }
    return bytes;
}

size_t buffers_trim(poolalloc_buffers *set)
{
    if (!enter(set))
        return 0;
    size_t bytes = trim_locked(set);
    leave(set);
    return bytes;
}

/* ---- sets ---- */

static size_t trim_inside(struct object *object)
{
    poolalloc_buffers *set = set_of(object);
    lock_take(&set->lock);
    size_t bytes = trim_locked(set);
    lock_release(&set->lock);
    return bytes;
}

static void fork_prepare(struct object *object)
{
    lock_take_sibling(&set_of(object)->lock);
}

static void fork_parent(struct object *object)
{
    lock_release(&set_of(object)->lock);
}

static void fork_child(struct object *object)
{
    queue_forget(set_of(object));
    lock_reset(&set_of(object)->lock);
}

static const struct object_kind kind = {
    .kind = "buffers",
    .read = read_figures,
    .trim = trim_inside,
    .fork = {fork_prepare, fork_parent, fork_child, fork_child},
};

static bool options_are_good(const struct poolalloc_buffers_options *options)
{
    uint64_t reserved = 0;
    for (size_t i = 0; i < ARRAY_LEN(options->reserved); i++)
        reserved |= options->reserved[i];
    return reserved == 0 && options->bytes > 0 && options->bytes <= BUFFER_MAX_BYTES &&
           options->align <= BUFFERS_ALIGN_MAX &&
           (options->align == 0 || is_power_of_two(options->align)) && options->n > 0 &&
           options->n <= BUFFERS_MAX;
}

static void init(poolalloc_buffers *set, const struct poolalloc_buffers_options *options,
                 size_t align)
{
    memset(set, 0, sizeof *set);
    set->lock = (struct lock)LOCK_INIT(LOCK_OBJECT);
    set->bytes = options->bytes;
    set->stride = round_up(options->bytes, align);
    set->n = options->n;
    set->tail = &set->head;
    set->n_users = 1;
    object_init(&set->object, &kind, options->name);
}

/* Inside. */
static bool memory_alloc(poolalloc_buffers *set, size_t align)
{
    set->memory = large_alloc(set->n * set->stride, align);
    set->table = large_alloc(set->n * sizeof *set->table, 1);
    if (set->memory == NULL || set->table == NULL)
        return false;
    for (size_t i = set->n; i-- > 0;) {
        set->table[i] =
            (poolalloc_buffer){set->memory + i * set->stride, set, set->first, 0, false};
        set->first = &set->table[i];
    }
    return true;
}

/* Inside. */
static poolalloc_buffers *make(const struct poolalloc_buffers_options *options)
{
    size_t align = options->align != 0 ? options->align : BUFFERS_ALIGN;
    poolalloc_buffers *set = meta_take(sizeof *set);
    if (set == NULL)
        return NULL;
    init(set, options, align);
    if (memory_alloc(set, align))
        return set;
    memory_free(set);
    return NULL;
}

poolalloc_buffers *buffers_create(const struct poolalloc_buffers_options *options)
{
    if (options == NULL || !options_are_good(options)) {
        errno = EINVAL;
        return NULL;
    }
    poolalloc_buffers *set = NULL;
    if (heap_enter()) {
        set = make(options);
        heap_leave();
    }
    if (set == NULL)
        errno = ENOMEM;
    else
        registry_add(&set->object);
    return set;
}

size_t buffers_destroy(poolalloc_buffers *set)
{
    if (set == NULL)
        return 0;
    if (!enter(set))
        return 0;
    size_t n_out = atomic_get_relaxed(&set->n_out);
    while (set->head != NULL)
        serve_first(set, NULL);
    set->n_users--;
    leave(set);
    return n_out;
}
