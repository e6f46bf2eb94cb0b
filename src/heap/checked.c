/* SPDX-License-Identifier: MIT */
#include "heap/checked.h"

#include "base/check.h"
#include "heap/alloc.h"
#include "heap/emergency.h"
#include "heap/held.h"
#include "heap/sites.h"
#include "mem/arena.h"
#include "mem/large.h"
#include "os/sys.h"

#include <errno.h>
#include <string.h>

enum {
    SLACK_MIN_BYTES = 8,          /* behind each block, when writes are looked for */
    SLACK_MAX_BYTES = PAGE_BYTES, /* behind a large one */
    SLACK_FILL = 0xb9,
    JUNK_FILL = 0xd5,
};

_Static_assert((int)SITE_BITS == (int)ENTRY_SITE_BITS, "entries hold numbers of sites");

static bool finds_writes(void)
{
    return options.check >= CHECK_WRITES;
}

/* ---- what blocks are filled with ---- */

static unsigned char free_fill(void)
{
    return options.check_fill == CHECK_FILL_ZERO ? 0 : JUNK_FILL;
}

/* The first of n bytes that is another, or n. */
static size_t find_other(const unsigned char *p, unsigned char fill, size_t n)
{
    if (n == 0 || (p[0] == fill && memcmp(p, p + 1, n - 1) == 0))
        return n;
    size_t i = 0;
    while (p[i] == fill)
        i++;
    return i;
}

/* What there is of a block behind the size that was asked for. */
struct slack {
    unsigned char *begin;
    size_t bytes;
};

static struct slack slack_of(void *p, size_t bytes, size_t room)
{
    struct slack slack = {(unsigned char *)p + bytes, 0};
    if (finds_writes())
        slack.bytes = min_size(room - bytes, SLACK_MAX_BYTES);
    return slack;
}

static void slack_fill(struct slack slack)
{
    memset(slack.begin, SLACK_FILL, slack.bytes);
}

/* ---- faults ---- */

/* A block of the program's and what is known of it. */
struct subject {
    void *p;
    struct entry *entry;
    size_t room;        /* bytes that the block has */
    size_t class_bytes; /* 0: a large block */
};

static struct fault fault_of(const char *what, const struct subject *subject)
{
    return (struct fault){
        .what = what,
        .p = subject->p,
        .class_bytes = subject->class_bytes,
        .entry = subject->entry,
        .family = FAMILY_UNKNOWN,
    };
}

COLD static void fault_in_call(const char *what, const struct subject *subject, uint32_t site)
{
    struct fault fault = fault_of(what, subject);
    fault.site = site;
    fault_report(&fault);
}

COLD static void fault_of_family(const char *what, const struct subject *subject, unsigned family,
                                 uint32_t site)
{
    struct fault fault = fault_of(what, subject);
    fault.family = family;
    fault.site = site;
    fault_report(&fault);
}

/* The block is not used again. */
COLD static void fault_damaged(const char *what, const struct subject *subject, size_t offset)
{
    struct fault fault = fault_of(what, subject);
    fault.is_write = true;
    fault.offset = offset;
    uint64_t word = atomic_get_relaxed(&subject->entry->what);
    atomic_put_relaxed(&subject->entry->what, entry_word_in(word, ENTRY_LOST));
    fault_report(&fault);
}

static const char written_past_end[] = "write past the end of a block";
static const char written_after_free[] = "write to a free block";

/* The first byte from `from` on that is not as it was left when the block was freed, or the end. */
static size_t find_touched(const struct subject *subject, size_t from)
{
    const unsigned char *p = subject->p;
    return from + find_other(p + from, free_fill(), subject->room - from);
}

static bool is_untouched(const struct subject *subject, size_t from)
{
    if (!finds_writes())
        return true;
    size_t at = find_touched(subject, from);
    if (LIKELY(at == subject->room))
        return true;
    fault_damaged(written_after_free, subject, at);
    return false;
}

/* Whether nobody has written past the end of a block that was live. */
static bool is_within_bounds(const struct subject *subject, size_t bytes)
{
    struct slack slack = slack_of(subject->p, bytes, subject->room);
    size_t at = find_other(slack.begin, SLACK_FILL, slack.bytes);
    if (LIKELY(at == slack.bytes))
        return true;
    fault_damaged(written_past_end, subject, bytes + at);
    return false;
}

/* ---- who calls ---- */

uint32_t checked_call_site(void)
{
    return UNLIKELY(options.track) ? sites_here() : 0;
}

static uint32_t thread_number(void)
{
    return options.track ? (uint32_t)sys_gettid() : 0;
}

/* ---- handing out ---- */

struct request {
    size_t bytes;
    size_t room; /* bytes to have room for */
    size_t align;
    size_t asked_align; /* 0 or 1: none was */
    unsigned family;
    uint32_t site;
    bool is_zeroed;
};

static void entry_note(struct entry *entry, const struct request *request)
{
    const struct entry_view view = {
        .state = ENTRY_LIVE,
        .family = request->family,
        .site = request->site,
        .bytes = request->bytes,
    };
    const struct entry_people people = {
        .allocated_by = thread_number(),
        .align_log2 = log2_floor(max_size(request->asked_align, 1)),
    };
    atomic_put_relaxed(&entry->who, entry_people_word(people));
    atomic_put_release(&entry->what, entry_word(view));
}

static struct subject small_at(void *p, struct place place)
{
    size_t bytes = class_bytes(place.class);
    return (struct subject){p, ledger_entry((uintptr_t)p, place), bytes, bytes};
}

static struct subject large_of(struct span *span)
{
    return (struct subject){(void *)span->base, &span->large.entry, large_bytes(span), 0};
}

static unsigned class_for(size_t need, size_t align)
{
    unsigned class = class_of(need);
    while (class_bytes(class) % align != 0)
        class ++;
    return class;
}

/* Also where it was never handed out: what is written before a block's start is found in the one
 * before it. */
void checked_carved(const struct chain *chain, size_t bytes)
{
    struct block *block = chain->head;
    for (size_t i = chain->n; finds_writes() && i > 0; i--) {
        memset(block + 1, free_fill(), bytes - sizeof *block);
        block = i > 1 ? block->next : NULL;
    }
}

/* But for its first bytes, which are its link. */
static bool is_filled(const struct subject *subject)
{
    enum entry_state state = entry_view(atomic_get_acquire(&subject->entry->what)).state;
    return state == ENTRY_FREE || state == ENTRY_FRESH;
}

/* Until there is one that nobody has written to while it was free. */
static struct subject take_small(const struct request *request, size_t need)
{
    unsigned class = class_for(need, request->align);
    for (;;) {
        void *p = heap_take(class, request->bytes);
        if (UNLIKELY(p == NULL))
            return (struct subject){.p = NULL};
        struct subject subject = small_at(p, map_place((uintptr_t)p));
        if (!is_filled(&subject) || is_untouched(&subject, sizeof(struct block)))
            return subject;
    }
}

/* Nobody learns from it where other blocks are. */
static void prepare_small(const struct subject *subject, const struct request *request)
{
    if (request->is_zeroed)
        memset(subject->p, 0, request->bytes);
    else if (finds_writes())
        memset(subject->p, free_fill(), sizeof(struct block));
}

static struct subject take_large(const struct request *request)
{
    struct span *span = NULL;
    size_t room = max_size(request->room, 1);
    if (options.check == CHECK_ALL)
        span = large_take_guarded(room, request->align);
    if (span == NULL) {
        size_t all = room + (finds_writes() ? SLACK_MIN_BYTES : 0);
        void *p = request->is_zeroed ? large_alloc_zeroed(all) : large_alloc(all, request->align);
        span = p != NULL ? arena_large_at(p) : NULL;
    }
    return span != NULL ? large_of(span) : (struct subject){.p = NULL};
}

static void *take(const struct request *request)
{
    size_t least = max_size(request->room, 1) + (finds_writes() ? SLACK_MIN_BYTES : 0);
    size_t need = max_size(least, request->align);
    struct subject subject;
    if (request->room > PTRDIFF_MAX)
        return NULL;
    if (need <= SMALL_MAX_BYTES) {
        subject = take_small(request, need);
        if (subject.p != NULL)
            prepare_small(&subject, request);
    } else {
        subject = take_large(request);
    }
    if (UNLIKELY(subject.p == NULL))
        return NULL;
    slack_fill(slack_of(subject.p, request->bytes, subject.room));
    entry_note(subject.entry, request);
    return subject.p;
}

/* What is held back may be what is missing. */
COLD static void *take_at_last(const struct request *request)
{
    struct heap *heap = heap_attach();
    if (heap == NULL || request->bytes > PTRDIFF_MAX)
        return NULL;
    heap_flush(heap);
    return take(request);
}

/* Inside, and leaves. */
static void *take_inside(const struct request *request)
{
    void *p = take(request);
    if (UNLIKELY(p == NULL))
        p = take_at_last(request);
    heap_finish();
    return p;
}

/* Where there is memory at once. */
static void *take_if_there_is(const struct request *request)
{
    return LIKELY(heap_enter()) ? take_inside(request) : NULL;
}

static void *take_from_outside(const struct request *request)
{
    void *p = take_if_there_is(request);
    for (unsigned n = 0; UNLIKELY(p == NULL) && heap_try_again(request->bytes, n); n++)
        p = take_inside(request);
    return p;
}

void *checked_alloc(size_t bytes, size_t align, unsigned family)
{
    const struct request request = {
        .bytes = bytes,
        .room = bytes,
        .align = max_size(align, BLOCK_ALIGN),
        .asked_align = align,
        .family = family,
        .site = checked_call_site(),
    };
    return take_from_outside(&request);
}

void *checked_alloc_zeroed(size_t bytes)
{
    const struct request request = {
        .bytes = bytes,
        .room = bytes,
        .align = BLOCK_ALIGN,
        .site = checked_call_site(),
        .is_zeroed = true,
    };
    return take_from_outside(&request);
}

/* ---- blocks that leave the quarantine ---- */

static void leave_small(struct heap *heap, void *p, struct place place)
{
    struct subject subject = small_at(p, place);
    if (!is_untouched(&subject, 0))
        return;
    uint64_t word = atomic_get_relaxed(&subject.entry->what);
    atomic_put_release(&subject.entry->what, entry_word_in(word, ENTRY_FREE));
    if (heap != NULL)
        heap_give_to(heap, p, place);
    else
        heap_give(p, place);
}

/* Into `heap`, or whichever is the thread's. */
static void leave(struct heap *heap, const struct held_out *out)
{
    for (size_t i = 0; i < out->n; i++) {
        struct place place = map_place((uintptr_t)out->blocks[i]);
        if (place.is_slab)
            leave_small(heap, out->blocks[i], place);
        else
            large_free_guarded(out->blocks[i]);
    }
}

void checked_release(struct heap *heap)
{
    struct held_out out;
    for (held_take(heap, &out); out.n > 0; held_take(heap, &out))
        leave(heap, &out);
}

typedef void hold_call(struct heap *heap, void *block, size_t bytes, struct held_out *out);

/* In the quarantine of the thread's heap, or as a guest of another's. */
static void hold(void *p, size_t bytes, hold_call *put)
{
    struct held_out out;
    struct heap *heap = heap_attach();
    struct heap *host = heap == NULL ? heap_visit() : NULL;
    if (UNLIKELY(heap == NULL && host == NULL))
        return; /* as in free_as_guest: the block is lost, the program goes on */
    put(heap != NULL ? heap : host, p, bytes, &out);
    if (host != NULL)
        heap_visit_end(host);
    leave(NULL, &out);
}

/* ---- taking back ---- */

/* An alignment that is none is no block's. Where one was asked for it is that, else any that
 * fits. */
static bool is_aligned(const struct subject *subject, size_t align)
{
    uint64_t who = atomic_get_relaxed(&subject->entry->who);
    size_t asked = (size_t)1 << entry_people(who).align_log2;
    if (align == 1)
        return true;
    return is_power_of_two(align) && (uintptr_t)subject->p % align == 0 &&
           (asked == 1 || asked == align);
}

static void check_match(const struct subject *subject, struct entry_view view,
                        const struct freeing *freeing, uint32_t site)
{
    if (!fault_families_match(freeing->family, view.family))
        fault_of_family("free by the wrong function", subject, freeing->family, site);
    else if (freeing->bytes != SIZE_MAX && freeing->bytes != view.bytes)
        fault_in_call(free_of_wrong_size, subject, site);
    else if (!is_aligned(subject, freeing->align))
        fault_in_call("free with a wrong alignment", subject, site);
}

/* Whether a block of which this is known can be freed. */
static bool may_free(const struct subject *subject, struct entry_view view,
                     const struct freeing *freeing, uint32_t site)
{
    if (UNLIKELY(view.state == ENTRY_FRESH)) {
        fault_in_call(free_of_no_block, subject, site);
        return false;
    }
    if (UNLIKELY(view.state > ENTRY_LIVE)) {
        fault_in_call("double free", subject, site);
        return false;
    }
    if (LIKELY(view.state == ENTRY_LIVE))
        check_match(subject, view, freeing, site);
    return true;
}

static bool is_whole(const struct subject *subject, struct entry_view view)
{
    return view.state == ENTRY_OLD || is_within_bounds(subject, view.bytes);
}

/* From live or old to held, by one call alone. False: it is not this call. */
static bool claim(const struct subject *subject, const struct freeing *freeing, uint32_t site)
{
    uint64_t word = atomic_get_acquire(&subject->entry->what);
    do {
        if (!may_free(subject, entry_view(word), freeing, site))
            return false;
    } while (!atomic_try_acq_rel(&subject->entry->what, &word, entry_word_in(word, ENTRY_HELD)));
    return is_whole(subject, entry_view(word));
}

static void note_freed(struct entry *entry, uint32_t site)
{
    if (LIKELY(!options.track))
        return;
    struct entry_people people = entry_people(atomic_get_relaxed(&entry->who));
    people.freed_at = site;
    people.freed_by = thread_number();
    atomic_put_relaxed(&entry->who, entry_people_word(people));
}

/* A group's blocks go home at once: who ends it may rely on that. */
static bool is_held_back(struct place place)
{
    return finds_writes() && !heap_is_group(heap_by_number(place.owner));
}

static void free_small(void *p, struct place place, const struct freeing *freeing, uint32_t site)
{
    struct subject subject = small_at(p, place);
    if (UNLIKELY(!place_is_block(place) || subject.entry == NULL)) {
        fault_report_plain(free_of_no_block, p, class_bytes(place.class));
        return;
    }
    if (!claim(&subject, freeing, site))
        return;
    note_freed(subject.entry, site);
    if (finds_writes())
        memset(p, free_fill(), subject.room);
    if (is_held_back(place)) {
        hold(p, subject.room, held_put);
        return;
    }
    uint64_t word = atomic_get_relaxed(&subject.entry->what);
    atomic_put_release(&subject.entry->what, entry_word_in(word, ENTRY_FREE));
    heap_give(p, place);
}

/* No block that the mode knows; it may be none at all. */
static bool is_let_pass(void *p, struct large_view *seen)
{
    return !arena_large_word(p, lock_take_surely, seen) ||
           entry_view(seen->what).state == ENTRY_FRESH;
}

/* As claim(). A span's record may be another block's from one moment to the next, so until the
 * block is this call's only a copy of what it says is looked at. */
static bool claim_large(void *p, struct large_view *seen, const struct freeing *freeing,
                        uint32_t site)
{
    do {
        struct entry entry = {seen->what, seen->who};
        const struct subject subject = {p, &entry, seen->bytes, 0};
        if (!may_free(&subject, entry_view(seen->what), freeing, site))
            return false;
        if (arena_large_change(p, seen->what, entry_word_in(seen->what, ENTRY_HELD)))
            return true;
    } while (arena_large_word(p, lock_take_surely, seen));
    fault_report_plain("double free", p, 0); /* it was freed meanwhile */
    return false;
}

static bool free_large(void *p, const struct freeing *freeing, uint32_t site)
{
    struct large_view seen;
    if (is_let_pass(p, &seen))
        return large_free(p);
    if (!claim_large(p, &seen, freeing, site))
        return true;
    struct span *span = arena_large_at(p);
    struct subject subject = large_of(span);
    if (!is_whole(&subject, entry_view(seen.what)))
        return true;
    note_freed(subject.entry, site);
    if (!span->large.is_guarded)
        return large_free(p);
    large_hide(span);
    hold(p, subject.room, held_put_large);
    return true;
}

bool checked_free(void *p, struct place place, const struct freeing *freeing, uint32_t site)
{
    if (!place.is_slab)
        return free_large(p, freeing, site);
    free_small(p, place, freeing, site);
    return true;
}

/* ---- realloc ---- */

/* The block there that is checked, live or not; p is NULL if there is none. */
static struct subject subject_at(void *p)
{
    struct place place = map_place((uintptr_t)p);
    struct subject subject = {.p = NULL};
    if (place.is_slab && place_is_block(place))
        subject = small_at(p, place);
    struct span *span = place.is_slab ? NULL : heap_large_at(p);
    if (span != NULL)
        subject = large_of(span);
    if (subject.p == NULL || subject.entry == NULL)
        return (struct subject){.p = NULL};
    enum entry_state state = entry_view(atomic_get_acquire(&subject.entry->what)).state;
    bool is_unknown = state == ENTRY_OLD || (state == ENTRY_FRESH && span != NULL);
    if (is_unknown)
        subject.p = NULL;
    return subject;
}

bool checked_knows(void *p)
{
    return subject_at(p).p != NULL;
}

void checked_put_off(void *p)
{
    struct subject subject = subject_at(p);
    if (subject.p == NULL)
        return;
    struct entry_view view = entry_view(atomic_get_acquire(&subject.entry->what));
    if (view.state == ENTRY_LIVE && view.bytes < sizeof(struct block))
        slack_fill(slack_of(p, view.bytes, sizeof(struct block)));
}

size_t checked_usable_size(void *p)
{
    struct subject subject = subject_at(p);
    if (UNLIKELY(subject.p == NULL))
        return 0;
    struct entry_view view = entry_view(atomic_get_acquire(&subject.entry->what));
    return view.state == ENTRY_LIVE ? view.bytes : 0;
}

/* Whether so many bytes are best left where they are. */
static bool fits(const struct subject *subject, size_t bytes)
{
    size_t need = max_size(bytes, 1) + (finds_writes() ? SLACK_MIN_BYTES : 0);
    if (bytes > PTRDIFF_MAX)
        return false;
    if (subject->class_bytes != 0)
        return need <= SMALL_MAX_BYTES && class_bytes(class_of(need)) == subject->class_bytes;
    return bytes > SMALL_MAX_BYTES && bytes >= subject->room / 2 && need <= subject->room;
}

/* In its place. False: somebody has freed it meanwhile. */
static bool resize(const struct subject *subject, uint64_t word, size_t bytes, uint32_t site)
{
    struct entry_view view = entry_view(word);
    view.bytes = bytes;
    if (options.track)
        view.site = site;
    bool is_done = subject->class_bytes != 0
                       ? atomic_try_acq_rel(&subject->entry->what, &word, entry_word(view))
                       : arena_large_change(subject->p, word, entry_word(view));
    if (!is_done)
        return false;
    slack_fill(slack_of(subject->p, bytes, subject->room));
    return true;
}

static bool is_lost(const struct subject *subject)
{
    return entry_view(atomic_get_relaxed(&subject->entry->what)).state == ENTRY_LOST;
}

/* What is found damaged stays where it is. */
static void *move(const struct subject *subject, size_t old_bytes, size_t bytes, uint32_t site)
{
    static const struct freeing moved = {FAMILY_UNKNOWN, SIZE_MAX, 1}; /* it has been looked at */
    bool may_grow_on = bytes > SMALL_MAX_BYTES && bytes > old_bytes && bytes < PTRDIFF_MAX / 2;
    const struct request request = {
        .bytes = bytes,
        .room = may_grow_on ? bytes + bytes / 8 : bytes,
        .align = BLOCK_ALIGN,
        .site = site,
    };
    void *to = take_if_there_is(&request);
    if (to == NULL && bytes > old_bytes)
        to = heap_alloc(bytes);
    if (to == NULL)
        return NULL;
    memcpy(to, subject->p, min_size(old_bytes, bytes));
    if (!is_lost(subject))
        free_slow_as(subject->p, &moved);
    return to;
}

static void *bad_realloc(const char *what, const struct subject *subject, uint32_t site)
{
    fault_in_call(what, subject, site);
    errno = ENOMEM;
    return NULL;
}

void *checked_realloc(void *p, size_t bytes)
{
    uint32_t site = checked_call_site();
    struct subject subject = subject_at(p);
    if (UNLIKELY(subject.p == NULL)) { /* somebody has freed it since it was looked at */
        errno = ENOMEM;
        return NULL;
    }
    uint64_t word = atomic_get_acquire(&subject.entry->what);
    struct entry_view view = entry_view(word);
    if (UNLIKELY(view.state == ENTRY_FRESH))
        return bad_realloc(realloc_of_no_block, &subject, site);
    if (UNLIKELY(view.state != ENTRY_LIVE))
        return bad_realloc(realloc_of_free, &subject, site);
    if (UNLIKELY(!fault_families_match(FAMILY_MALLOC, view.family)))
        fault_of_family("realloc of what malloc did not allocate", &subject, FAMILY_MALLOC, site);
    if (fits(&subject, bytes) && is_within_bounds(&subject, view.bytes) &&
        resize(&subject, word, bytes, site))
        return p;
    void *to = move(&subject, view.bytes, bytes, site);
    if (to == NULL && bytes <= view.bytes && resize(&subject, word, bytes, site))
        return p;
    if (to == NULL)
        errno = ENOMEM;
    return to;
}

/* ---- for the end ---- */

void checked_look_at_held(void *p)
{
    struct subject subject = small_at(p, map_place((uintptr_t)p));
    (void)is_untouched(&subject, 0);
}

size_t checked_find_damage(void *p)
{
    struct subject subject = small_at(p, map_place((uintptr_t)p));
    if (!is_filled(&subject))
        return 0;
    size_t at = find_touched(&subject, sizeof(struct block));
    return at < subject.room ? at : 0;
}

void checked_tell_damage(void *p, size_t at)
{
    struct subject subject = small_at(p, map_place((uintptr_t)p));
    fault_damaged(written_after_free, &subject, at);
}
