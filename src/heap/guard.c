/* SPDX-License-Identifier: MIT */
#include "heap/guard.h"

#include "base/bits.h"
#include "conf/options.h"
#include "heap/alloc.h"
#include "heap/fault.h"
#include "heap/heap.h"
#include "heap/sites.h"
#include "heap/tell.h"
#include "os/clock.h"
#include "os/log.h"
#include "os/pages.h"
#include "os/panic.h"
#include "os/process.h"
#include "os/stack.h"
#include "os/sys.h"

#include <string.h>

enum { N_ROOMS = 256, ROOM_BYTES = GUARD_MAX_BYTES, FILL = 0xa5 };

enum room_state { ROOM_UNUSED, ROOM_LIVE, ROOM_FREED };

/* Who did something to a block. */
struct deed {
    uint32_t site;
    uint32_t thread;
};

struct room {
    _Atomic uint32_t state; /* enum room_state; changes under the lock */
    uintptr_t block;
    size_t bytes;
    size_t open_bytes; /* pages that are open, from the begin or up to the end of the room */
    bool is_at_end;
    struct deed allocated;
    struct deed freed;
};

uintptr_t guard_area_begin;
size_t guard_area_bytes;

/* With guard_every from here on, guarded blocks take no more than a share of the time. */
enum { LIMITED_FROM = 100, TIME_SHARE = 50 };

static struct {
    struct lock lock;
    uint64_t began_ns;         /* [const] */
    _Atomic uint64_t spent_ns; /* since then, by all threads */
    size_t stride;             /* [const] */
    uint64_t n_wanted;         /* [lock] calls that were to get one */
    uint32_t n_used;           /* [lock] rooms that were ever used */
    uint32_t n_free;           /* [lock] others that are free, oldest first: */
    uint32_t first_free;       /* [lock] */
} area = {.lock = LOCK_INIT(LOCK_GUARDED)};

static struct room rooms[N_ROOMS];   /* [lock] */
static uint16_t free_rooms[N_ROOMS]; /* [lock] a ring */

static uintptr_t room_begin(const struct room *room)
{
    return guard_area_begin + os_page_bytes() + (size_t)(room - rooms) * area.stride;
}

/* The room that the address is in, or in the page behind; NULL: it is in the first page. */
static struct room *room_of(uintptr_t address)
{
    uintptr_t offset = address - guard_area_begin;
    if (offset < os_page_bytes())
        return NULL;
    return &rooms[(offset - os_page_bytes()) / area.stride];
}

/* ---- reports ---- */

static void say_where(const struct room *room, uintptr_t address)
{
    struct told line;
    struct text *text = tell_begin(&line, "");
    bool is_before = address < room->block;
    uintptr_t end = room->block + room->bytes;
    text_add_number(text, is_before ? room->block - address
                                    : address - (address < end ? room->block : end));
    text_add(text, is_before ? " bytes before" : address < end ? " bytes into" : " bytes behind");
    text_add(text, " a block of ");
    text_add_number(text, room->bytes);
    text_add(text, " bytes at ");
    text_add_address(text, (const void *)room->block);
    tell_end(&line);
}

static void say_deed(const char *what, const struct deed *deed)
{
    if (deed->site != 0)
        tell_site(what, deed->thread, deed->site);
}

static void report(const char *word, const char *fault, const struct room *room, uintptr_t address)
{
    uintptr_t frames[SITE_FRAMES_MAX];
    panic_line(word, fault, (const void *)address, 0);
    say_where(room, address);
    say_deed("allocated", &room->allocated);
    say_deed("freed", &room->freed);
    tell("found here:");
    tell_frames(frames, os_stack_take(frames, SITE_FRAMES_MAX));
}

/* Of a call, not of an access. */
COLD static void report_free(const char *fault, const struct room *room, const void *p)
{
    report(fault_word(), fault, room, (uintptr_t)p);
    fault_act();
}

static bool was_used(const struct room *room)
{
    return room != NULL && room >= rooms && room < rooms + N_ROOMS &&
           atomic_get_acquire(&room->state) != ROOM_UNUSED;
}

/* Bytes between the address and the block of the room; SIZE_MAX: it never had one. */
static size_t distance(const struct room *room, uintptr_t address)
{
    if (!was_used(room))
        return SIZE_MAX;
    if (address < room->block)
        return room->block - address;
    uintptr_t end = room->block + room->bytes;
    return address < end ? 0 : address - end;
}

/* The room of the block that an access to a closed page was meant for: the nearest. */
static const struct room *meant_by(uintptr_t address)
{
    const struct room *room = room_of(address);
    const struct room *next = room != NULL ? room + 1 : &rooms[0];
    const struct room *best = distance(room, address) <= distance(next, address) ? room : next;
    return was_used(best) ? best : NULL;
}

static const char *fault_at(const struct room *room, uintptr_t address)
{
    if (address < room->block)
        return "access before a block";
    if (address >= room->block + room->bytes)
        return "access behind a block";
    return atomic_get_acquire(&room->state) == ROOM_FREED ? "access after free" : NULL;
}

/* Not sent by anybody: only then is there an address. */
static bool is_fault(const siginfo_t *info)
{
    return info->si_code > 0;
}

static bool report_access(const char *word, const siginfo_t *info)
{
    uintptr_t address = (uintptr_t)info->si_addr;
    if (!is_fault(info) || !guard_owns(info->si_addr))
        return false;
    const struct room *room = meant_by(address);
    const char *fault = room != NULL ? fault_at(room, address) : NULL;
    if (fault != NULL)
        report(word, fault, room, address);
    return fault != NULL;
}

/* A program that goes on may do the same all the time. */
void guard_report_fault(const siginfo_t *info)
{
    enum { REPORTS_MAX = 10 };
    static _Atomic uint32_t n_reports;
    if (atomic_get_relaxed(&n_reports) < REPORTS_MAX && report_access("error", info) &&
        atomic_add_relaxed(&n_reports, 1) == 0)
        panic_look();
}

void guard_on_fault(int signal, siginfo_t *info, void *context)
{
    struct sigaction none = {.sa_handler = SIG_DFL};
    (void)context;
    if (report_access(panic_fatal, info))
        panic_look();
    (void)os_next_sigaction(signal, &none, NULL);
    if (!is_fault(info))
        (void)sys_signal_self(signal, info); /* nothing raises it again by itself */
}

/* ---- rooms ---- */

/* How many may be in use at once: some at first, then as many more with each doubling of the calls
 * that wanted one. So blocks that live for ever leave room for those that come later, however
 * long. */
static size_t rooms_max(uint64_t n_wanted)
{
    enum { FIRST = 64, STEP = 8 };
    if (n_wanted < FIRST)
        return FIRST;
    unsigned doublings = log2_floor(n_wanted / FIRST);
    size_t part = (size_t)((n_wanted >> doublings) - FIRST) * STEP / FIRST;
    return min_size(FIRST + (size_t)doublings * STEP + part, N_ROOMS);
}

static struct room *room_take_locked(void)
{
    if (area.n_used - area.n_free >= rooms_max(++area.n_wanted))
        return NULL;
    if (area.n_used < N_ROOMS)
        return &rooms[area.n_used++];
    if (area.n_free == 0)
        return NULL;
    struct room *room = &rooms[free_rooms[area.first_free++ % N_ROOMS]];
    area.n_free--;
    return room;
}

static void room_give_locked(const struct room *room)
{
    free_rooms[(area.first_free + area.n_free++) % N_ROOMS] = (uint16_t)(room - rooms);
}

static uintptr_t opened_at(const struct room *room)
{
    return room_begin(room) + (room->is_at_end ? ROOM_BYTES - room->open_bytes : 0);
}

static struct deed deed_now(void)
{
    return (struct deed){sites_here(), (uint32_t)sys_gettid()};
}

/* At the right end as near to it as the alignment allows, every other time at the left. */
static void place(struct room *room, size_t bytes, size_t align)
{
    static _Atomic uint32_t turn;
    size_t needed = max_size(bytes, 1);
    room->is_at_end = atomic_add_relaxed(&turn, 1) % 4 != 0;
    room->bytes = bytes;
    room->open_bytes = round_up(needed, os_page_bytes());
    room->block = room_begin(room);
    if (room->is_at_end)
        room->block = round_down(room_begin(room) + ROOM_BYTES - needed, align);
}

/* What is open of it beside the block. */
static void fill_around(const struct room *room)
{
    char *begin = (char *)opened_at(room);
    char *block = (char *)room->block;
    memset(begin, FILL, (size_t)(block - begin));
    memset(block + room->bytes, FILL, (size_t)(begin + room->open_bytes - (block + room->bytes)));
}

/* The first byte beside the block that was written to, the nearest to it first; NULL: none. */
static const char *stray_write(const struct room *room)
{
    const char *begin = (const char *)opened_at(room);
    const char *block = (const char *)room->block;
    const char *end = begin + room->open_bytes;
    for (const char *p = block + room->bytes; p < end; p++) {
        if ((unsigned char)*p != FILL)
            return p;
    }
    for (const char *p = block; p-- > begin;) {
        if ((unsigned char)*p != FILL)
            return p;
    }
    return NULL;
}

static bool is_over_budget(uint64_t now_ns)
{
    return options.guard_every >= LIMITED_FROM &&
           atomic_get_relaxed(&area.spent_ns) > (now_ns - area.began_ns) / TIME_SHARE;
}

static void note_time(uint64_t from_ns)
{
    atomic_add_relaxed(&area.spent_ns, os_clock_ns() - from_ns);
}

static void *alloc(size_t bytes, size_t align)
{
    struct deed deed = deed_now();
    void *p = NULL;
    if (!heap_enter())
        return NULL;
    lock_take(&area.lock);
    struct room *room = room_take_locked();
    if (room != NULL) {
        place(room, bytes, align);
        if (os_pages_open((void *)opened_at(room), room->open_bytes)) {
            fill_around(room);
            room->allocated = deed;
            room->freed = (struct deed){0, 0};
            atomic_put_release(&room->state, ROOM_LIVE);
            p = (void *)room->block;
        } else {
            room_give_locked(room);
        }
    }
    lock_release(&area.lock);
    heap_leave();
    return p;
}

void *guard_alloc(size_t bytes, size_t align)
{
    uint64_t from_ns = os_clock_ns();
    align = max_size(align, BLOCK_ALIGN);
    if (bytes > GUARD_MAX_BYTES || align > os_page_bytes() || ROOM_BYTES % os_page_bytes() != 0 ||
        is_over_budget(from_ns))
        return NULL;
    void *p = alloc(bytes, align);
    note_time(from_ns);
    return p;
}

/* The room of this block. NULL: it is not live. */
static struct room *room_of_block(const void *p)
{
    struct room *room = room_of((uintptr_t)p);
    bool is_block = was_used(room) && (uintptr_t)p == room->block &&
                    atomic_get_acquire(&room->state) == ROOM_LIVE;
    return is_block ? room : NULL;
}

COLD static void report_no_block(const void *p)
{
    struct room *room = room_of((uintptr_t)p);
    if (!was_used(room))
        fault_report_plain(free_of_no_block, p, 0);
    else
        report_free((uintptr_t)p == room->block ? "double free" : free_of_no_block, room, p);
}

/* From live to freed, by one call alone, to which the room belongs until it is closed. NULL: there
 * is no such block. */
static struct room *room_claim_locked(const void *p)
{
    struct room *room = room_of_block(p);
    if (room != NULL)
        atomic_put_release(&room->state, ROOM_FREED);
    return room;
}

static void room_close_locked(struct room *room, struct deed deed)
{
    room->freed = deed;
    (void)os_pages_discard((void *)opened_at(room), room->open_bytes);
    os_pages_guard((void *)opened_at(room), room->open_bytes);
    room_give_locked(room);
}

/* Told while it looks as it does. */
COLD static void free_stray(struct room *room, const char *stray, struct deed deed)
{
    report_free("a block was written beyond its end or before its start", room, stray);
    if (!heap_enter())
        return;
    lock_take(&area.lock);
    room_close_locked(room, deed);
    lock_release(&area.lock);
    heap_leave();
}

void guard_free(void *p)
{
    uint64_t from_ns = os_clock_ns();
    struct deed deed = deed_now();
    if (!heap_enter())
        return; /* a handler, inside: the room stays in use */
    lock_take(&area.lock);
    struct room *room = room_claim_locked(p);
    const char *stray = room != NULL ? stray_write(room) : NULL;
    if (room != NULL && stray == NULL)
        room_close_locked(room, deed);
    lock_release(&area.lock);
    heap_leave();
    if (UNLIKELY(room == NULL))
        report_no_block(p);
    if (UNLIKELY(stray != NULL))
        free_stray(room, stray, deed);
    note_time(from_ns);
}

size_t guard_usable_size(const void *p)
{
    const struct room *room = room_of_block(p);
    return room != NULL ? room->bytes : 0;
}

/* ---- start ---- */

/* Who starts a program so wants no end by SIGSEGV, which a handler would be; and its children shall
 * inherit that. */
static bool is_ignored(int signal)
{
    struct sigaction now;
    return os_next_sigaction(signal, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

bool guard_init(void)
{
    if (is_ignored(SIGSEGV)) {
        log_warn("guard_every: SIGSEGV is ignored, no blocks are guarded", NULL, NULL);
        return false;
    }
    size_t page = os_page_bytes();
    area.stride = ROOM_BYTES + page;
    size_t bytes = page + N_ROOMS * area.stride;
    void *begin = os_pages_map(NULL, bytes);
    if (begin == NULL)
        return false;
    os_pages_guard(begin, bytes);
    if (!os_signal_catch(SIGSEGV, guard_on_fault)) {
        os_pages_unmap(begin, bytes);
        return false;
    }
    area.began_ns = os_clock_ns();
    guard_area_begin = (uintptr_t)begin;
    guard_area_bytes = bytes;
    return true;
}

/* ---- fork ---- */

void guard_fork_prepare(void)
{
    lock_take(&area.lock);
}

void guard_fork_parent(void)
{
    lock_release(&area.lock);
}

void guard_fork_child(void)
{
    lock_reset(&area.lock);
}

void guard_fork_unnoticed(void)
{
    if (lock_is_held(&area.lock))
        area.n_free = 0;
    lock_reset(&area.lock);
}
