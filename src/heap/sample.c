/* SPDX-License-Identifier: MIT */
#include "heap/sample.h"

#include "base/chance.h"
#include "conf/options.h"
#include "heap/alloc.h"
#include "heap/guard.h"
#include "heap/sites.h"
#include "mem/large.h"
#include "mem/meta.h"
#include "os/log.h"
#include "os/process.h"
#include "os/stack.h"

#include <string.h>

enum {
    N_BUCKETS = 4096,
    RECORDS_BYTES = META_REUSE_MAX_BYTES,
    ONE_CALL = 4096, /* by number: so much of a distance a call is */
};

bool sample_is_on;

/* A live block of the sample. */
struct record {
    struct record *next;
    uintptr_t address;
    size_t bytes;
    uint32_t site;
};

static struct {
    struct lock lock;
    struct record **buckets;       /* [lock] each */
    struct record *unused;         /* [lock] */
    struct sample_counts *counts;  /* [const] by site */
    uint64_t mean[N_SAMPLE_KINDS]; /* [const] distance from one choice to the next; 0: none */
    _Atomic uint64_t random;
} sampler = {.lock = LOCK_INIT(LOCK_SAMPLE)};

/* ---- choosing ---- */

static uint64_t random_bits(void)
{
    return mix_bits(atomic_add_relaxed(&sampler.random, UINT64_C(0x9e3779b97f4a7c15)));
}

static uint64_t draw(enum sample_kind kind)
{
    return 1 + (uint64_t)(chance_distance(random_bits()) * (double)sampler.mean[kind]);
}

static uint64_t cost_of(enum sample_kind kind, unsigned class)
{
    return kind == SAMPLE_PROFILE ? class_bytes(class) : ONE_CALL;
}

static unsigned mark_of(enum sample_kind kind)
{
    return kind == SAMPLE_PROFILE ? MARK_PROFILE : MARK_GUARD;
}

static void mark_nth(struct bin *bin, unsigned class, uint64_t n, unsigned mark)
{
    struct block *block = bin->head;
    for (; n > 0; n--)
        block = block_next_checked(block, class_bytes(class));
    block_mark(block, mark);
}

/* n blocks go by: the index of the next that is chosen, or n if none is any more. *at is where the search
 * stands, 0 at first. */
static uint64_t choose_next(struct shelf *shelf, enum sample_kind kind, uint64_t cost, uint64_t n,
                            uint64_t *at)
{
    uint64_t *until = &shelf->sample_until[kind];
    if (*until == 0)
        *until = draw(kind);
    uint64_t left = (n - *at) * cost;
    if (*until > left) {
        *until -= left;
        return n;
    }
    uint64_t chosen = *at + (*until - 1) / cost;
    *until = 0;
    *at = chosen + 1;
    return chosen;
}

static bool is_sampled(enum sample_kind kind)
{
    return sampler.mean[kind] != 0;
}

/* Of a refill's chain any block. */
void sample_entered(struct heap *heap, unsigned class, size_t n)
{
    for (enum sample_kind kind = 0; kind < N_SAMPLE_KINDS; kind++) {
        uint64_t at = 0;
        uint64_t chosen = is_sampled(kind) ? 0 : n;
        while (chosen < n) {
            chosen = choose_next(&heap->shelves[class], kind, cost_of(kind, class), n, &at);
            if (chosen < n)
                mark_nth(&heap->front.bins[class], class, chosen, mark_of(kind));
        }
    }
}

/* The number of the free that is chosen after so many. */
static uint64_t choose_free(enum sample_kind kind, unsigned class, uint64_t n_frees)
{
    return n_frees + 1 + (draw(kind) - 1) / cost_of(kind, class);
}

/* Its block is the bin's head. Frees that were not watched for are passed over. */
static void sample_freed_for(struct heap *heap, unsigned class, enum sample_kind kind)
{
    uint64_t n_frees = bin_frees(&heap->front.bins[class]);
    uint64_t *chosen = &heap->shelves[class].sample_free[kind];
    if (*chosen < n_frees)
        *chosen = choose_free(kind, class, n_frees - 1);
    if (*chosen > n_frees)
        return;
    block_mark(heap->front.bins[class].head, mark_of(kind));
    *chosen = choose_free(kind, class, n_frees);
}

void sample_freed(struct heap *heap, unsigned class)
{
    for (enum sample_kind kind = 0; kind < N_SAMPLE_KINDS; kind++) {
        if (is_sampled(kind))
            sample_freed_for(heap, class, kind);
    }
    sample_plan(heap, class);
}

void sample_plan(struct heap *heap, unsigned class)
{
    uint64_t n_frees = bin_frees(&heap->front.bins[class]);
    uint64_t next = UINT64_MAX;
    for (enum sample_kind kind = 0; kind < N_SAMPLE_KINDS; kind++) {
        uint64_t *chosen = &heap->shelves[class].sample_free[kind];
        if (!is_sampled(kind))
            continue;
        if (*chosen <= n_frees)
            *chosen = choose_free(kind, class, n_frees);
        next = min_size(next, *chosen);
    }
    heap->shelves[class].sample_next = next;
}

unsigned sample_marks(struct heap *heap, unsigned class)
{
    unsigned marks = 0;
    for (enum sample_kind kind = 0; kind < N_SAMPLE_KINDS; kind++) {
        uint64_t at = 0;
        if (is_sampled(kind) &&
            choose_next(&heap->shelves[class], kind, cost_of(kind, class), 1, &at) < 1)
            marks |= mark_of(kind);
    }
    return marks;
}

static double chance_of(size_t bytes)
{
    return chance_within((double)bytes / (double)sampler.mean[SAMPLE_PROFILE]);
}

/* What slow paths return points in here, as far from the start as the marks say. */
char sample_wanted_marks[MARKS + 1];

void *sample_wanted(unsigned marks, unsigned class, size_t bytes)
{
    if ((marks & MARK_PROFILE) != 0 &&
        !chance_happens(chance_of(bytes) / chance_of(class_bytes(class)), random_bits()))
        marks &= ~(unsigned)MARK_PROFILE;
    return marks != 0 ? &sample_wanted_marks[marks] : NULL;
}

/* ---- what is live ---- */

static struct record **bucket_of(const void *p)
{
    return &sampler.buckets[mix_bits((uintptr_t)p) % N_BUCKETS];
}

static void records_make_locked(void)
{
    struct record *records = meta_take(RECORDS_BYTES);
    if (records == NULL)
        return;
    for (size_t i = 0; i < RECORDS_BYTES / sizeof *records; i++) {
        records[i].next = sampler.unused;
        sampler.unused = &records[i];
    }
}

/* Where there is no memory for a record the block is not of the sample. */
static void add_locked(const void *p, size_t bytes, uint32_t site)
{
    if (sampler.unused == NULL)
        records_make_locked();
    struct record *record = sampler.unused;
    if (record == NULL)
        return;
    sampler.unused = record->next;
    struct record **bucket = bucket_of(p);
    *record = (struct record){*bucket, (uintptr_t)p, bytes, site};
    *bucket = record;
    struct sample_counts *counts = &sampler.counts[site];
    atomic_add_relaxed(&counts->live_blocks, 1);
    atomic_add_relaxed(&counts->live_bytes, bytes);
    atomic_add_relaxed(&counts->bytes, bytes);
    (void)atomic_add_release(&counts->blocks, 1); /* who sees it sees the site's stack */
}

/* Readers scale what they find at a site by its average size, so sizes that differ much are different
 * sites: the outermost frame is the size's. */
static uint32_t site_of(size_t bytes)
{
    uintptr_t frames[SITE_FRAMES_MAX];
    size_t n = os_stack_take(frames, SITE_FRAMES_MAX - 1);
    if (n == 0)
        return 0;
    frames[n] = bytes <= CLASS_MAX_BYTES ? class_of(bytes) : N_CLASSES + log2_floor(bytes);
    return sites_note(frames, n + 1);
}

/* Not inside: it may take the loader's lock. */
NOINLINE static void add(const void *p, size_t bytes)
{
    uint32_t site = site_of(bytes);
    if (!heap_enter())
        return;
    lock_take(&sampler.lock);
    add_locked(p, bytes, site);
    lock_release(&sampler.lock);
    heap_leave();
}

void sample_forget(const void *p)
{
    if (sampler.mean[SAMPLE_PROFILE] == 0)
        return;
    lock_take(&sampler.lock);
    struct record **link = bucket_of(p);
    while (*link != NULL && (*link)->address != (uintptr_t)p)
        link = &(*link)->next;
    struct record *record = *link;
    if (record != NULL) {
        *link = record->next;
        record->next = sampler.unused;
        sampler.unused = record;
        struct sample_counts *counts = &sampler.counts[record->site];
        atomic_sub_relaxed(&counts->live_blocks, 1);
        atomic_sub_relaxed(&counts->live_bytes, record->bytes);
    }
    lock_release(&sampler.lock);
}

const struct sample_counts *sample_counts_of(uint32_t site)
{
    return sampler.counts != NULL ? &sampler.counts[site] : NULL;
}

/* ---- calls that are sampled ---- */

/* Pages of its own. */
static void *alloc_pages(size_t bytes, size_t align)
{
    if (!heap_enter())
        return NULL;
    void *p = large_alloc(bytes, align);
    heap_leave();
    return p;
}

COLD static void *alloc_wanted(unsigned marks, size_t bytes, size_t align)
{
    void *p = (marks & MARK_GUARD) != 0 ? guard_alloc(bytes, align) : NULL;
    if (p == NULL && (marks & MARK_PROFILE) != 0)
        p = alloc_pages(bytes, align);
    if (p == NULL)
        return heap_alloc_unprofiled(align, bytes);
    if ((marks & MARK_PROFILE) != 0)
        add(p, bytes);
    return p;
}

void sample_large(const void *p, size_t bytes)
{
    if (sampler.mean[SAMPLE_PROFILE] != 0 && chance_happens(chance_of(bytes), random_bits()))
        add(p, bytes);
}

void *sample_finish(void *p, size_t bytes, size_t align, const void *caller)
{
    os_stack_init();
    if (UNLIKELY(os_stack_is_unwinder(caller)))
        return sample_is_wanted(p) ? heap_alloc_unprofiled(align, bytes) : p;
    if (sample_is_wanted(p))
        return alloc_wanted((unsigned)((char *)p - sample_wanted_marks), bytes, align);
    if (p != NULL && !heap_has_class(align, bytes))
        sample_large(p, bytes);
    return p;
}

/* ---- start ---- */

static uint64_t mean_bytes(void)
{
    enum { DEFAULT_BYTES = 512 * 1024 };
    return options.profile_bytes > 0 ? options.profile_bytes : DEFAULT_BYTES;
}

uint64_t sample_profile_bytes(void)
{
    return sampler.mean[SAMPLE_PROFILE];
}

void sample_init(void)
{
    bool is_profiled = options.profile_bytes > 0 || options.profile[0] != '\0';
    bool is_guarded = options.guard_every > 0;
    if (!is_profiled && !is_guarded)
        return;
    if (options.check) {
        log_warn("profile and guard_every mean nothing together with check or track", NULL, NULL);
        return;
    }
    (void)sites_init(); /* without memory for them all sites are unknown */
    atomic_put_relaxed(&sampler.random, os_random_bits());
    sampler.buckets = is_profiled ? meta_take(N_BUCKETS * sizeof(void *)) : NULL;
    sampler.counts = is_profiled
                         ? meta_take(round_up((SITES_MAX + 1) * sizeof *sampler.counts, META_ALIGN))
                         : NULL;
    if (sampler.buckets != NULL && sampler.counts != NULL)
        sampler.mean[SAMPLE_PROFILE] = mean_bytes();
    if (is_guarded && guard_init())
        sampler.mean[SAMPLE_GUARD] = options.guard_every * ONE_CALL;
    sample_is_on = sampler.mean[SAMPLE_PROFILE] + sampler.mean[SAMPLE_GUARD] > 0;
}

/* ---- fork ---- */

void sample_fork_prepare(void)
{
    lock_take(&sampler.lock);
    guard_fork_prepare();
}

void sample_fork_parent(void)
{
    guard_fork_parent();
    lock_release(&sampler.lock);
}

void sample_fork_child(void)
{
    guard_fork_child();
    lock_reset(&sampler.lock);
}

/* A list is whole at any moment but for a record that is in neither. */
void sample_fork_unnoticed(void)
{
    if (lock_is_held(&sampler.lock))
        sampler.unused = NULL;
    lock_reset(&sampler.lock);
    guard_fork_unnoticed();
}
