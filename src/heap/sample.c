/* SPDX-License-Identifier: MIT */
#include "heap/sample.h"

#include "base/chance.h"
#include "conf/options.h"
#include "heap/alloc.h"
#include "heap/guard.h"
#include "heap/sites.h"
#include "mem/large.h"
#include "mem/meta.h"
#include "os/clock.h"
#include "os/log.h"
#include "os/pages.h"
#include "os/process.h"
#include "os/stack.h"

#include <string.h>

enum {
    N_BUCKETS = 4096,
    RECORDS_BYTES = META_REUSE_MAX_BYTES,
    N_LARGE_SIZES = 4 * 64,
    ONE_CALL = 4096, /* by number: so much of a distance a call is */
};

bool sample_is_on;

/* A live block of the sample. */
struct record {
    struct record *next;
    uintptr_t address;
    size_t bytes;
    uint32_t site;
    uint32_t weight; /* it counts for so many: the others were not chosen */
};

static struct {
    struct lock lock;
    struct record **buckets;       /* [lock] each */
    struct record *unused;         /* [lock] */
    struct sample_counts *counts;  /* [const] by site */
    uint64_t mean[N_SAMPLE_KINDS]; /* [const] distance from one choice to the next; 0: none */
    _Atomic uint64_t random;
    _Atomic uint64_t cost_ns;         /* of a sample for the profile, of late */
    struct pace large[N_LARGE_SIZES]; /* change under the lock */
    uint64_t large_until_ns;          /* [lock] pace_next */
} sampler = {.lock = LOCK_INIT(LOCK_SAMPLE), .cost_ns = 4000};

/* ---- thinning ----
 *
 * Of each bin, and of large blocks of like size, one in 16 or in 512 is chosen of those that would
 * have been; a mark says which level of this it was made at, and what is recorded counts for as
 * many. So it does not matter when the level changes, as long as that tells nothing of the blocks
 * that are marked then: it follows from the samples that were taken before. It changes where
 * samples come from, so that a few busy bins do not spoil the figures of all. Large blocks of all
 * threads are thinned together.
 */
enum {
    LEVEL_MAX = 2,
    RENEW_FREES = 4096,              /* at a thinned bin, until the level is looked at again */
    TIME_SHARE = 200,                /* of a thread's time one part is for samples, */
    CREDIT_NS = 200 * 1000 * 1000,   /* or so much at once, if there were few before */
    THINNED_FROM_BYTES = 128 * 1024, /* who asks for more than the default by much shall have it */
};

_Static_assert(LEVEL_MAX < MARK_PROFILE / MARK_PROFILE_ONE, "marks have room for all levels");

/* The last: one sample is told as 256 MiB, with the default interval, and no more. */
static const uint8_t level_shifts[LEVEL_MAX + 1] = {0, 4, 9};

static void note_cost(uint64_t from_ns)
{
    uint64_t cost_ns = atomic_get_relaxed(&sampler.cost_ns);
    uint64_t new_ns = min_size(os_clock_ns() - from_ns, 4 * cost_ns); /* it may have had to wait */
    atomic_put_relaxed(&sampler.cost_ns, (7 * cost_ns + new_ns) / 8 + 1);
}

static unsigned level_over(unsigned level, bool is_rare)
{
    return is_rare || level == LEVEL_MAX ? level : level + 1;
}

static unsigned level_below(unsigned level, uint32_t n)
{
    return level > n ? level - n : 0;
}

/* A sample is taken that was chosen at this level: the level from now on. Marks that were made at
 * another one say nothing of it, nor does the first sample for long. */
static unsigned pace_next(struct pace *pace, uint64_t *until_ns, unsigned level)
{
    uint64_t now_ns = os_clock_ns();
    uint64_t began_ns = max_size(*until_ns, now_ns);
    uint64_t end_ns = began_ns + atomic_get_relaxed(&sampler.cost_ns) * TIME_SHARE;
    bool is_rare = !pace->is_busy;
    pace->is_busy = true;
    /* Where nothing more can be left out the others do not pay for it. */
    uint64_t last_ns = now_ns + (level == LEVEL_MAX ? CREDIT_NS / 2 : CREDIT_NS);
    *until_ns = max_size(began_ns, min_size(end_ns, last_ns));
    if (level != pace_level(pace) || sampler.mean[SAMPLE_PROFILE] < THINNED_FROM_BYTES)
        return pace_level(pace);
    if (end_ns > last_ns)
        return level_over(level, is_rare);
    return level_below(level, began_ns == now_ns);
}

/* In another epoch: one level less for each that went by without a sample. */
static unsigned pace_renewed(struct pace *pace)
{
    uint32_t epoch = atomic_get_relaxed(&idle_epoch);
    uint32_t n = epoch - atomic_get_relaxed(&pace->epoch) - pace->is_busy;
    atomic_put_relaxed(&pace->epoch, epoch);
    pace->is_busy = false;
    return level_below(pace_level(pace), n);
}

/* Choices are drawn anew: how far it was to the next says nothing of how far it is. */
static void level_set(struct heap *heap, unsigned class, unsigned level)
{
    struct shelf *shelf = &heap->shelves[class];
    int32_t left = atomic_get_relaxed(&heap->front.bins[class].left);
    if (level == pace_level(&shelf->sample_pace))
        return;
    atomic_put_relaxed(&shelf->sample_pace.level, (uint16_t)level);
    shelf->sample_until[SAMPLE_PROFILE] = 0;
    shelf->sample_free[SAMPLE_PROFILE] = 0;
    sample_plan(heap, class);
    heap_set_left(heap, class, left > 0 ? (size_t)left : 0);
}

static void shelf_renew(struct heap *heap, unsigned class)
{
    level_set(heap, class, pace_renewed(&heap->shelves[class].sample_pace));
}

static void shelf_sampled(struct heap *heap, unsigned class, unsigned level)
{
    struct pace *pace = &heap->shelves[class].sample_pace;
    level_set(heap, class, pace_next(pace, &heap->sampled_until_ns, level));
}

/* ---- choosing ---- */

static uint64_t random_bits(void)
{
    return mix_bits(atomic_add_relaxed(&sampler.random, UINT64_C(0x9e3779b97f4a7c15)));
}

static uint64_t mean_at(enum sample_kind kind, unsigned level)
{
    return kind == SAMPLE_PROFILE ? sampler.mean[kind] << level_shifts[level] : sampler.mean[kind];
}

static uint64_t draw(const struct shelf *shelf, enum sample_kind kind)
{
    uint64_t mean = mean_at(kind, pace_level(&shelf->sample_pace));
    return 1 + (uint64_t)(chance_distance(random_bits()) * (double)mean);
}

static uint64_t cost_of(enum sample_kind kind, unsigned class)
{
    return kind == SAMPLE_PROFILE ? class_bytes(class) : ONE_CALL;
}

static unsigned mark_of(const struct shelf *shelf, enum sample_kind kind)
{
    return kind == SAMPLE_PROFILE ? (1 + pace_level(&shelf->sample_pace)) * MARK_PROFILE_ONE
                                  : MARK_GUARD;
}

/* That a mark for the profile was made at. */
static unsigned level_of(unsigned marks)
{
    return (marks & MARK_PROFILE) / MARK_PROFILE_ONE - 1;
}

static void mark_nth(struct bin *bin, unsigned class, uint64_t n, unsigned mark)
{
    struct block *block = bin->head;
    for (; n > 0; n--)
        block = block_next_checked(block, class_bytes(class));
    block_mark(block, mark);
}

/* n blocks go by: the index of the next that is chosen, or n if none is any more. *at is where the
 * search stands, 0 at first. */
static uint64_t choose_next(struct shelf *shelf, enum sample_kind kind, uint64_t cost, uint64_t n,
                            uint64_t *at)
{
    uint64_t *until = &shelf->sample_until[kind];
    if (*until == 0)
        *until = draw(shelf, kind);
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

static bool is_sampled(const struct heap *heap, enum sample_kind kind)
{
    return sampler.mean[kind] != 0 && !heap_is_group(heap);
}

/* Of a refill's chain any block. */
void sample_entered(struct heap *heap, unsigned class, size_t n)
{
    struct shelf *shelf = &heap->shelves[class];
    for (enum sample_kind kind = 0; kind < N_SAMPLE_KINDS; kind++) {
        uint64_t at = 0;
        uint64_t chosen = is_sampled(heap, kind) ? 0 : n;
        while (chosen < n) {
            chosen = choose_next(shelf, kind, cost_of(kind, class), n, &at);
            if (chosen < n)
                mark_nth(&heap->front.bins[class], class, chosen, mark_of(shelf, kind));
        }
    }
    if (UNLIKELY(pace_is_old(&shelf->sample_pace)))
        shelf_renew(heap, class);
}

/* The number of the free that is chosen after so many. */
static uint64_t choose_free(const struct shelf *shelf, enum sample_kind kind, unsigned class,
                            uint64_t n_frees)
{
    return n_frees + 1 + (draw(shelf, kind) - 1) / cost_of(kind, class);
}

/* Its block is the bin's head. Frees that were not watched for are passed over. */
static void sample_freed_for(struct heap *heap, unsigned class, enum sample_kind kind)
{
    uint64_t n_frees = bin_frees(&heap->front.bins[class]);
    struct shelf *shelf = &heap->shelves[class];
    uint64_t *chosen = &shelf->sample_free[kind];
    if (*chosen < n_frees)
        *chosen = choose_free(shelf, kind, class, n_frees - 1);
    if (*chosen > n_frees)
        return;
    block_mark(heap->front.bins[class].head, mark_of(shelf, kind));
    *chosen = choose_free(shelf, kind, class, n_frees);
}

void sample_freed(struct heap *heap, unsigned class)
{
    for (enum sample_kind kind = 0; kind < N_SAMPLE_KINDS; kind++) {
        if (is_sampled(heap, kind))
            sample_freed_for(heap, class, kind);
    }
    if (UNLIKELY(pace_is_old(&heap->shelves[class].sample_pace)))
        shelf_renew(heap, class);
    sample_plan(heap, class);
}

void sample_plan(struct heap *heap, unsigned class)
{
    uint64_t n_frees = bin_frees(&heap->front.bins[class]);
    struct shelf *shelf = &heap->shelves[class];
    uint64_t next = UINT64_MAX;
    for (enum sample_kind kind = 0; kind < N_SAMPLE_KINDS; kind++) {
        uint64_t *chosen = &shelf->sample_free[kind];
        if (!is_sampled(heap, kind))
            continue;
        if (*chosen <= n_frees)
            *chosen = choose_free(shelf, kind, class, n_frees);
        next = min_size(next, *chosen);
    }
    if (pace_level(&shelf->sample_pace) > 0)
        next = min_size(next, n_frees + RENEW_FREES);
    shelf->sample_next = next;
}

unsigned sample_marks(struct heap *heap, unsigned class)
{
    struct shelf *shelf = &heap->shelves[class];
    unsigned marks = 0;
    for (enum sample_kind kind = 0; kind < N_SAMPLE_KINDS; kind++) {
        uint64_t at = 0;
        if (is_sampled(heap, kind) && choose_next(shelf, kind, cost_of(kind, class), 1, &at) < 1)
            marks |= mark_of(shelf, kind);
    }
    return marks;
}

static double chance_of(size_t bytes, unsigned level)
{
    return chance_within((double)bytes / (double)mean_at(SAMPLE_PROFILE, level));
}

/* How many it stands for. Those whose size is beyond the interval of the level are not thinned. */
static uint32_t weight_of(size_t bytes, unsigned level)
{
    if (level == 0)
        return 1;
    double weight = chance_of(bytes, 0) / chance_of(bytes, level);
    uint32_t whole = (uint32_t)weight;
    return whole + chance_happens(weight - whole, random_bits());
}

/* The call that asks for so much gets a block that is marked. */
static bool call_is_profiled(struct heap *heap, unsigned class, unsigned level, size_t bytes)
{
    double chance = chance_of(bytes, level) / chance_of(class_bytes(class), level);
    if (!chance_happens(chance, random_bits()))
        return false;
    shelf_sampled(heap, class, level);
    return true;
}

/* What slow paths return points in here, as far from the start as the marks say. */
char sample_wanted_marks[MARKS + 1];

void *sample_wanted(struct heap *heap, unsigned class, unsigned marks, size_t bytes)
{
    if ((marks & MARK_PROFILE) != 0 && !call_is_profiled(heap, class, level_of(marks), bytes))
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
static void add_locked(const void *p, size_t bytes, uint32_t site, uint32_t weight)
{
    if (sampler.unused == NULL)
        records_make_locked();
    struct record *record = sampler.unused;
    if (record == NULL)
        return;
    sampler.unused = record->next;
    struct record **bucket = bucket_of(p);
    *record = (struct record){*bucket, (uintptr_t)p, bytes, site, weight};
    *bucket = record;
    struct sample_counts *counts = &sampler.counts[site];
    atomic_add_relaxed(&counts->live_blocks, weight);
    atomic_add_relaxed(&counts->live_bytes, weight * bytes);
    atomic_add_relaxed(&counts->bytes, weight * bytes);
    (void)atomic_add_release(&counts->blocks, weight); /* who sees it sees the site's stack */
}

/* Readers scale what they find at a site by its average size, so sizes that differ much are
 * different sites: the outermost frame is the size's. */
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
NOINLINE static void add(const void *p, size_t bytes, unsigned level)
{
    uint64_t from_ns = os_clock_ns();
    uint32_t weight = weight_of(bytes, level);
    uint32_t site = site_of(bytes);
    if (!heap_enter())
        return;
    lock_take(&sampler.lock);
    add_locked(p, bytes, site, weight);
    lock_release(&sampler.lock);
    heap_leave();
    note_cost(from_ns);
}

/* The link to it, or to NULL. */
static struct record **find_locked(const void *p)
{
    struct record **link = bucket_of(p);
    while (*link != NULL && (*link)->address != (uintptr_t)p)
        link = &(*link)->next;
    return link;
}

size_t sample_asked_bytes(const void *p)
{
    if (sampler.mean[SAMPLE_PROFILE] == 0)
        return 0;
    lock_take(&sampler.lock);
    const struct record *record = *find_locked(p);
    size_t bytes = record != NULL ? record->bytes : 0;
    lock_release(&sampler.lock);
    return bytes;
}

void sample_forget(const void *p)
{
    if (sampler.mean[SAMPLE_PROFILE] == 0)
        return;
    lock_take(&sampler.lock);
    struct record **link = find_locked(p);
    struct record *record = *link;
    if (record != NULL) {
        *link = record->next;
        record->next = sampler.unused;
        sampler.unused = record;
        struct sample_counts *counts = &sampler.counts[record->site];
        atomic_sub_relaxed(&counts->live_blocks, record->weight);
        atomic_sub_relaxed(&counts->live_bytes, record->weight * record->bytes);
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
        add(p, bytes, level_of(marks));
    return p;
}

/* Four to a doubling. */
static struct pace *large_pace(size_t bytes)
{
    size_t exponent = log2_floor(bytes | 4);
    return &sampler.large[exponent * 4 + ((bytes >> (exponent - 2)) & 3)];
}

static void large_sampled(struct pace *pace, unsigned level)
{
    if (!heap_enter())
        return;
    lock_take(&sampler.lock);
    level = pace_next(pace, &sampler.large_until_ns, level);
    atomic_put_relaxed(&pace->level, (uint16_t)level);
    lock_release(&sampler.lock);
    heap_leave();
}

COLD static void large_renew(struct pace *pace)
{
    if (!heap_enter())
        return;
    lock_take(&sampler.lock);
    if (pace_is_old(pace))
        atomic_put_relaxed(&pace->level, (uint16_t)pace_renewed(pace));
    lock_release(&sampler.lock);
    heap_leave();
}

void sample_large(const void *p, size_t bytes)
{
    struct pace *pace = large_pace(bytes);
    if (sampler.mean[SAMPLE_PROFILE] == 0)
        return;
    if (UNLIKELY(pace_is_old(pace)))
        large_renew(pace);
    unsigned level = pace_level(pace);
    if (!chance_happens(chance_of(bytes, level), random_bits()))
        return;
    large_sampled(pace, level);
    add(p, bytes, level);
}

/* As sample_finish, for a call that is sampled, may be, or is the first. */
NOINLINE static void *finish(void *p, size_t bytes, size_t align, const void *caller)
{
    bool is_wanted = sample_is_wanted(p);
    os_stack_init();
    if (UNLIKELY(os_stack_is_unwinder(caller)))
        return is_wanted ? heap_alloc_unprofiled(align, bytes) : p;
    if (is_wanted)
        return alloc_wanted((unsigned)((char *)p - sample_wanted_marks), bytes, align);
    if (p != NULL && !heap_has_class(align, bytes))
        sample_large(p, bytes);
    return p;
}

void *sample_finish(void *p, size_t bytes, size_t align, const void *caller)
{
    if (LIKELY(heap_has_class(align, bytes) && !sample_is_wanted(p)) && LIKELY(os_stack_is_begun()))
        return p;
    return finish(p, bytes, align, caller);
}

/* ---- start ---- */

static uint64_t mean_bytes(void)
{
    enum { DEFAULT_BYTES = 512 * 1024 };
    return options.profile_bytes > 0 ? options.profile_bytes : DEFAULT_BYTES;
}

static void *table_make(size_t bytes)
{
    return os_pages_map(NULL, round_up(bytes, os_page_bytes()));
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
    sampler.buckets = is_profiled ? table_make(N_BUCKETS * sizeof(void *)) : NULL;
    sampler.counts = is_profiled ? table_make((SITES_MAX + 1) * sizeof *sampler.counts) : NULL;
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
