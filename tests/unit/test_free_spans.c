/* SPDX-License-Identifier: MIT */
/*
 * The free spans alone: what is cut and merged, and the order of age, against a naive model. The
 * pages are addresses of our own making; nothing there is ever dereferenced.
 */
#include "mem/free_spans.h"

#include "unit.h"

#include <string.h>
#include <sys/mman.h>

enum { N_PAGES = 3000 };

/* Half of the pages on each side of a border between two leaves of the map. */
static const uintptr_t pages_base =
    ((uintptr_t)6 << LEAF_SHIFT) - (uintptr_t)N_PAGES / 2 * (size_t)PAGE_BYTES;

static uintptr_t address_of(size_t page)
{
    return pages_base + page * PAGE_BYTES;
}

static size_t page_at(uintptr_t address)
{
    return (address - pages_base) / PAGE_BYTES;
}

static void give(struct span *span, size_t first, size_t n_pages, uint32_t freed_ms)
{
    span->base = address_of(first);
    span->n_pages = (uint32_t)n_pages;
    span->free.n_touched = (uint32_t)map_touched_count(span->base, n_pages);
    span->free.freed_ms = freed_ms;
    free_merge_and_insert(span);
}

static struct span *cut(size_t first_of_free, size_t first, size_t end)
{
    struct span *span = free_neighbour_after(address_of(first_of_free));
    check(span != NULL && spares_fill());
    size_t n_touched = map_touched_count(address_of(first), end - first);
    check_equal(free_cut(span, address_of(first), address_of(end)), n_touched);
    check_equal(span->was_zero, n_touched == 0);
    check_equal(span->base, address_of(first));
    check_equal(span_end(span), address_of(end));
    span->kind = SPAN_LARGE;
    return span;
}

static struct span *new_span(void)
{
    check(spares_fill());
    return spare_get();
}

/* ---- random operations against a model ---- */

enum { N_RANDOM_PAGES = 400, N_STEPS = 15000, CLOCKS_APART_MS = 40 };

/* All free spans. Those with touched pages are in the order of age; the others lie in between. */
static struct model_span {
    size_t first;
    size_t n_pages;
    uint32_t freed_ms;
} model[N_RANDOM_PAGES];
static size_t n_model;

static struct span *used[N_RANDOM_PAGES];
static size_t n_used;
static bool touched[N_RANDOM_PAGES];

static size_t model_touched(size_t at)
{
    size_t n = 0;
    for (size_t i = 0; i < model[at].n_pages; i++)
        n += touched[model[at].first + i];
    return n;
}

static void model_insert(size_t at, struct model_span span)
{
    if (span.n_pages == 0)
        return;
    memmove(&model[at + 1], &model[at], (n_model - at) * sizeof span);
    model[at] = span;
    n_model++;
}

static void model_remove(size_t at)
{
    n_model--;
    memmove(&model[at], &model[at + 1], (n_model - at) * sizeof model[0]);
}

/* What is left has the place of the whole; of the two ends the high one goes to the kernel first.
 */
static void model_cut(size_t at, size_t first, size_t end)
{
    struct model_span whole = model[at];
    size_t whole_end = whole.first + whole.n_pages;
    model_remove(at);
    model_insert(at, (struct model_span){whole.first, first - whole.first, whole.freed_ms});
    model_insert(at, (struct model_span){end, whole_end - end, whole.freed_ms});
}

/* The whole has age and place of the part that has more touched pages. Returns its index. */
static size_t model_join(size_t one, size_t other)
{
    bool other_wins = model_touched(other) > model_touched(one);
    size_t winner = other_wins ? other : one;
    size_t loser = other_wins ? one : other;
    model[winner].first = min_size(model[one].first, model[other].first);
    model[winner].n_pages += model[loser].n_pages;
    model_remove(loser);
    return winner - (loser < winner);
}

static size_t model_find(size_t page)
{
    size_t at = 0;
    while (at < n_model && page - model[at].first >= model[at].n_pages)
        at++;
    return at;
}

static void model_give(struct model_span span)
{
    size_t at = n_model;
    while (at > 0 &&
           (model_touched(at - 1) == 0 || (int32_t)(model[at - 1].freed_ms - span.freed_ms) > 0))
        at--;
    model_insert(at, span);
    size_t before = model_find(span.first - 1);
    if (before < n_model)
        at = model_join(at, before);
    size_t after = model_find(span.first + span.n_pages);
    if (after < n_model)
        (void)model_join(at, after);
}

static void check_against_model(void)
{
    const struct span *span = free_spans.oldest;
    size_t n_pages = 0;
    for (size_t i = 0; i < n_model; i++) {
        n_pages += model[i].n_pages;
        if (model_touched(i) == 0)
            continue;
        check(span != NULL);
        check_equal(span->base, address_of(model[i].first));
        check_equal(span->n_pages, model[i].n_pages);
        check_equal(span->free.n_touched, model_touched(i));
        check_equal(span->free.freed_ms, model[i].freed_ms);
        span = span->free.newer;
    }
    check(span == NULL);
    check_equal(free_spans.free_pages, n_pages);
    free_spans_check();
}

static void step_cut(struct random *dice)
{
    size_t at = random_below(dice, n_model);
    size_t from = model[at].first;
    size_t first = from + random_below(dice, model[at].n_pages);
    size_t left = from + model[at].n_pages - first;
    size_t end = first + min_size(random_bytes(dice, 32), left);
    if (random_below(dice, 8) == 0) {
        first = from;
        end = from + model[at].n_pages;
    }
    used[n_used++] = cut(from, first, end);
    model_cut(at, first, end);
}

static void touch(const struct span *span, size_t n_pages)
{
    map_touched_set(span->base, n_pages);
    memset(&touched[page_at(span->base)], true, n_pages);
}

/* What has gone to the kernel and comes back without a touched page. */
static void untouch(const struct span *span)
{
    map_touched_clear(span->base, span->n_pages);
    memset(&touched[page_at(span->base)], false, span->n_pages);
}

static void step_give(struct random *dice, uint32_t now)
{
    size_t at = random_below(dice, n_used);
    struct span *span = used[at];
    used[at] = used[--n_used];
    size_t n_touched = random_below(dice, span->n_pages + 1);
    if (random_below(dice, 4) == 0)
        untouch(span);
    else
        touch(span, n_touched);
    /* Threads read the clock before they wait for the lock. */
    uint32_t freed_ms = now - (uint32_t)random_below(dice, CLOCKS_APART_MS);
    struct model_span freed = {page_at(span->base), span->n_pages, freed_ms};
    give(span, freed.first, freed.n_pages, freed_ms);
    model_give(freed);
}

static void body_random(void *argument)
{
    struct random dice = {*(uint64_t *)argument};
    uint32_t now = (uint32_t)-N_STEPS; /* half of the steps are after the clock's overflow */
    give(new_span(), 0, N_RANDOM_PAGES, now);
    model_give((struct model_span){0, N_RANDOM_PAGES, now});
    for (int i = 0; i < N_STEPS; i++) {
        now += (uint32_t)random_below(&dice, 5);
        /* Now many small ones, now few large ones. */
        bool cuts = random_below(&dice, 8) < (i / 500 % 2 == 0 ? 6 : 2);
        if (n_model > 0 && (cuts || n_used == 0))
            step_cut(&dice);
        else
            step_give(&dice, now);
        check_against_model();
    }
}

static void test_random_cuts_and_merges(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++)
        child_passes(body_random, &seed);
}

/* ---- the list of age is not walked ---- */

enum { N_SPANS = 500, SPAN_PAGES = 5 };

/* Every span but the last ones of the region is followed by a page in use. */
static void make_aged_spans(void)
{
    map_touched_set(pages_base, N_PAGES);
    for (size_t i = 0; i < N_SPANS; i++)
        give(new_span(), i * (SPAN_PAGES + 1), SPAN_PAGES, (uint32_t)i);
    free_spans_check();
}

static struct span *nth_span(size_t i)
{
    struct span *span = free_neighbour_after(address_of(i * (SPAN_PAGES + 1)));
    check(span != NULL);
    return span;
}

/* The list is interrupted where nothing is done: whoever walks over that place crashes. */
static void body_no_walk(void *argument)
{
    (void)argument;
    make_aged_spans();
    struct span *end_of_old = nth_span(N_SPANS / 2 - 1);
    struct span *begin_of_young = nth_span(N_SPANS / 2);
    void *trap = mmap(NULL, PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(trap != MAP_FAILED);
    end_of_old->free.newer = trap;
    begin_of_young->free.older = trap;
    for (size_t i = 0; i < N_SPANS; i++) {
        if (i >= N_SPANS / 2 - 2 && i <= N_SPANS / 2 + 1)
            continue;
        size_t first = i * (SPAN_PAGES + 1);
        /* The middle page, and back again: joined with both its sides. */
        struct span *span = cut(first, first + 2, first + 3);
        give(span, first + 2, 1, N_SPANS + (uint32_t)i);
        span = cut(first, first, first + SPAN_PAGES - 1);
        give(span, first, SPAN_PAGES - 1, N_SPANS + (uint32_t)i);
    }
    end_of_old->free.newer = begin_of_young;
    begin_of_young->free.older = end_of_old;
    free_spans_check();
}

static void test_cutting_and_merging_old_spans_does_not_walk(void **state)
{
    (void)state;
    child_passes(body_no_walk, NULL);
}

static int cover(void **state)
{
    (void)state;
    check(map_cover(pages_base - PAGE_BYTES, (N_PAGES + 2) * (size_t)PAGE_BYTES));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_cuts_and_merges),
        cmocka_unit_test(test_cutting_and_merging_old_spans_does_not_walk),
    };
    return cmocka_run_group_tests(tests, cover, NULL);
}
