/* SPDX-License-Identifier: MIT */
#include "mem/meta.h"

#include "base/bits.h"
#include "mem/limit.h"
#include "os/pages.h"

enum {
    FIRST_CHUNK_BYTES = 32 * 1024, /* in .bss: a small program makes no system call for records */
    CHUNK_BYTES = 256 * 1024,
    N_LISTS = META_REUSE_MAX_BYTES / META_ALIGN,
};

struct record {
    struct record *next;
};

static ALIGNED(META_ALIGN) char first_chunk[FIRST_CHUNK_BYTES];

static struct {
    struct lock lock;
    char *at; /* [lock] the unused rest of the newest chunk */
    char *end;
    size_t bytes; /* [lock] of all chunks */
} meta = {
    .lock = LOCK_INIT(LOCK_META),
    .at = first_chunk,
    .end = first_chunk + FIRST_CHUNK_BYTES,
    .bytes = FIRST_CHUNK_BYTES,
};

static struct record *free_records[N_LISTS]; /* [lock] by size / META_ALIGN - 1 */

_Atomic size_t meta_used_bytes;

static bool chunk_new(size_t bytes)
{
    size_t page = os_page_bytes();
    size_t room = round_up(max_size(bytes, CHUNK_BYTES), page);
    char *chunk = os_pages_map_guarded(room);
    if (chunk == NULL)
        return false;
    meta.at = chunk;
    meta.end = chunk + room;
    meta.bytes += room + 2 * page; /* the guards */
    return true;
}

/* The limit counts records, too. */
static bool charge(size_t bytes)
{
    size_t used = atomic_get_relaxed(&meta_used_bytes);
    if (!limit_records(used, used + bytes))
        return false;
    atomic_put_relaxed(&meta_used_bytes, used + bytes);
    return true;
}

static void *take_locked(size_t bytes)
{
    if (bytes <= META_REUSE_MAX_BYTES) {
        struct record **list = &free_records[bytes / META_ALIGN - 1];
        struct record *record = *list;
        if (record != NULL) {
            *list = record->next;
            return record;
        }
    }
    if ((size_t)(meta.end - meta.at) < bytes && !chunk_new(bytes))
        return NULL;
    if (!charge(bytes))
        return NULL;
    void *p = meta.at;
    meta.at += bytes;
    return p;
}

void *meta_take(size_t bytes)
{
    lock_take(&meta.lock);
    void *p = take_locked(round_up(bytes, META_ALIGN));
    lock_release(&meta.lock);
    return p;
}

void meta_give(void *p, size_t bytes)
{
    struct record *record = p;
    struct record **list = &free_records[round_up(bytes, META_ALIGN) / META_ALIGN - 1];
    lock_take(&meta.lock);
    record->next = *list;
    *list = record;
    lock_release(&meta.lock);
}

bool meta_get_stats(struct meta_stats *stats, lock_taker *taker)
{
    if (!taker(&meta.lock))
        return false;
    *stats = (struct meta_stats){.mapped_bytes = meta.bytes,
                                 .used_bytes = atomic_get_relaxed(&meta_used_bytes)};
    lock_release(&meta.lock);
    return true;
}

void meta_fork_prepare(void)
{
    lock_take(&meta.lock);
}

void meta_fork_parent(void)
{
    lock_release(&meta.lock);
}

void meta_fork_child(void)
{
    lock_reset(&meta.lock);
}

void meta_fork_unnoticed(void)
{
    if (lock_is_held(&meta.lock)) {
        meta.at = NULL;
        meta.end = NULL;
        for (size_t i = 0; i < N_LISTS; i++)
            free_records[i] = NULL;
    }
    meta_fork_child();
}
