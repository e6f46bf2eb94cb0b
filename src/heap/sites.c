/* SPDX-License-Identifier: MIT */
#include "heap/sites.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "os/pages.h"

#include <string.h>

enum { N_PLACES = 4 * (SITES_MAX + 1) /* sparse, so that a search is short */ };

struct record {
    uint64_t hash;
    uint32_t n;
    uintptr_t frames[SITE_FRAMES_MAX];
};

struct table {
    _Atomic uint32_t n_taken; /* records given out; may run past SITES_MAX */
    _Atomic uint64_t n_lost;
    _Atomic uint32_t places[N_PLACES];
    struct record records[SITES_MAX + 1]; /* the first is not used */
};

/* Of address space; what is not used was never touched. */
static _Atomic(struct table *) table;

bool sites_init(void)
{
    struct table *none = NULL;
    if (atomic_get_acquire(&table) != NULL)
        return true;
    size_t bytes = round_up(sizeof(struct table), os_page_bytes());
    struct table *made = os_pages_map(NULL, bytes);
    if (made == NULL)
        return false;
    if (!atomic_try_acq_rel(&table, &none, made))
        os_pages_unmap(made, bytes); /* another thread was first */
    return true;
}

static uint64_t hash_of(const uintptr_t *frames, size_t n)
{
    uint64_t hash = n;
    for (size_t i = 0; i < n; i++)
        hash = mix_bits(hash ^ frames[i]);
    return hash;
}

static bool is_stack(const struct record *record, uint64_t hash, const uintptr_t *frames, size_t n)
{
    return record->hash == hash && record->n == n &&
           memcmp(record->frames, frames, n * sizeof *frames) == 0;
}

/* A fresh record with this stack; 0: there is none left. */
static uint32_t record_make(struct table *in, uint64_t hash, const uintptr_t *frames, size_t n)
{
    if (atomic_get_relaxed(&in->n_taken) >= SITES_MAX)
        return 0;
    uint32_t number = atomic_add_relaxed(&in->n_taken, 1) + 1;
    if (number > SITES_MAX)
        return 0;
    struct record *record = &in->records[number];
    record->hash = hash;
    record->n = (uint32_t)n;
    memcpy(record->frames, frames, n * sizeof *frames);
    return number;
}

/* S1 */
static uint32_t note(struct table *in, const uintptr_t *frames, size_t n)
{
    uint64_t hash = hash_of(frames, n);
    uint32_t made = 0;
    for (size_t i = hash % N_PLACES;; i = (i + 1) % N_PLACES) {
        uint32_t found = atomic_get_acquire(&in->places[i]);
        if (found == 0 && made == 0)
            made = record_make(in, hash, frames, n);
        if (found == 0 && (made == 0 || atomic_try_acq_rel(&in->places[i], &found, made)))
            return made;
        if (is_stack(&in->records[found], hash, frames, n))
            return found;
    }
}

uint32_t sites_note(const uintptr_t *frames, size_t n)
{
    struct table *in = atomic_get_acquire(&table);
    if (n == 0 || in == NULL)
        return 0;
    uint32_t number = note(in, frames, min_size(n, SITE_FRAMES_MAX));
    if (UNLIKELY(number == 0))
        atomic_add_relaxed(&in->n_lost, 1);
    return number;
}

struct site sites_get(uint32_t number)
{
    const struct table *in = atomic_get_acquire(&table);
    if (in == NULL || number == 0 || number > SITES_MAX)
        return (struct site){NULL, 0};
    const struct record *record = &in->records[number];
    return (struct site){record->frames, record->n};
}

uint32_t sites_count(void)
{
    struct table *in = atomic_get_acquire(&table);
    return in != NULL ? (uint32_t)min_size(atomic_get_relaxed(&in->n_taken), SITES_MAX) : 0;
}

uint64_t sites_lost(void)
{
    struct table *in = atomic_get_acquire(&table);
    return in != NULL ? atomic_get_relaxed(&in->n_lost) : 0;
}
