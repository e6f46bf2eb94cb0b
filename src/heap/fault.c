/* SPDX-License-Identifier: MIT */
#include "heap/fault.h"

#include "conf/options.h"
#include "heap/tell.h"
#include "mem/span.h"
#include "os/maps.h"
#include "os/panic.h"
#include "os/sys.h"
#include "os/text.h"

static const char *family_name(unsigned family)
{
    static const char *const names[] = {"malloc", "operator new", "operator new[]", "?"};
    return names[family & ~(unsigned)FAMILY_ALIGNED];
}

static const char *freeing_name(unsigned family)
{
    static const char *const names[] = {"free", "operator delete", "operator delete[]", "?"};
    return names[family & ~(unsigned)FAMILY_ALIGNED];
}

static const char *aligned(unsigned family)
{
    return (family & FAMILY_ALIGNED) != 0 ? " with an alignment" : "";
}

/* ---- what is known ---- */

static const char *state_words(enum entry_state state)
{
    static const char *const words[] = {
        [ENTRY_FRESH] = "never handed out",
        [ENTRY_OLD] = "from before checks began, or of a poolalloc_heap",
        [ENTRY_LIVE] = "live",
        [ENTRY_HELD] = "freed, in quarantine",
        [ENTRY_FREE] = "freed",
        [ENTRY_LOST] = "damaged",
    };
    return words[state];
}

static void say_entry(const struct entry *entry)
{
    struct told line;
    struct entry_view view = entry_view(atomic_get_relaxed(&entry->what));
    struct entry_people people = entry_people(atomic_get_relaxed(&entry->who));
    struct text *text = tell_begin(&line, "the block: ");
    text_add(text, state_words(view.state));
    if (view.state >= ENTRY_LIVE) {
        text_add(text, ", ");
        text_add_number(text, view.bytes);
        text_add(text, " bytes asked of ");
        text_add(text, family_name(view.family));
        text_add(text, aligned(view.family));
    }
    tell_end(&line);
    if (view.state < ENTRY_LIVE)
        return;
    tell_site("allocated", people.allocated_by, view.site);
    if (view.state > ENTRY_LIVE)
        tell_site("freed", people.freed_by, people.freed_at);
}

static void say_offset(const struct fault *fault)
{
    struct told line;
    struct text *text = tell_begin(&line, "found written: byte ");
    text_add_number(text, fault->offset);
    tell_end(&line);
}

static void say_family(unsigned family)
{
    struct told line;
    struct text *text = tell_begin(&line, "given to ");
    text_add(text, freeing_name(family));
    text_add(text, aligned(family));
    tell_end(&line);
}

static void say_mapping(const void *p)
{
    char found[256];
    struct told line;
    struct text *text = tell_begin(&line, "mapping: ");
    text_add(text, os_maps_line(p, found, sizeof found) ? found : "none");
    tell_end(&line);
}

static void say_option(void)
{
    if (options.check < CHECK_WRITES && options.track)
        tell("POOLALLOC_CONF=check=3 would find more");
    else if (options.check < CHECK_WRITES)
        tell("POOLALLOC_CONF=check=3,track=on would find more, and tell who did it");
    else if (!options.track)
        tell("POOLALLOC_CONF=track=on would tell who allocated and freed it");
}

/* Where in its block the address lies, if it is not the start. */
static void say_inside(const void *p)
{
    struct told line;
    struct place place = map_place((uintptr_t)p);
    size_t inside = place.is_slab ? place.offset % class_bytes(place.class) : 0;
    if (inside == 0)
        return;
    struct text *text = tell_begin(&line, "inside of a block: byte ");
    text_add_number(text, inside);
    tell_end(&line);
}

static void describe(const struct fault *fault)
{
    if (fault->is_write)
        say_offset(fault);
    say_inside(fault->p);
    if (fault->entry != NULL)
        say_entry(fault->entry);
    if (fault->family != FAMILY_UNKNOWN)
        say_family(fault->family);
    tell_site("this call", 0, fault->site);
    say_mapping(fault->p);
    say_option();
}

/* ---- faults ---- */

static const struct entry *entry_of(const void *p)
{
    struct place place = map_place((uintptr_t)p);
    return place.is_slab && place.offset + class_bytes(place.class) <= class_slab_bytes(place.class)
               ? ledger_entry((uintptr_t)p, place)
               : NULL;
}

static void describe_address(const void *p)
{
    const struct fault fault = {
        .p = p,
        .entry = entry_of(p),
        .family = FAMILY_UNKNOWN,
    };
    describe(&fault);
}

void fault_describe_all(void)
{
    atomic_put_relaxed(&panic_describe, describe_address);
}

const char *fault_word(void)
{
    return options.on_fault == ON_FAULT_ABORT ? panic_fatal : "error";
}

void fault_act(void)
{
    if (options.on_fault == ON_FAULT_ABORT)
        panic_end();
    if (options.on_fault == ON_FAULT_TRAP)
        sys_trap();
}

void fault_report(const struct fault *fault)
{
    panic_line(fault_word(), fault->what, fault->p, fault->class_bytes);
    if (options.check != CHECK_OFF)
        describe(fault);
    fault_act();
}

void fault_report_plain(const char *what, const void *p, size_t class_bytes)
{
    const struct fault fault = {
        .what = what,
        .p = p,
        .class_bytes = class_bytes,
        .entry = options.check != CHECK_OFF ? entry_of(p) : NULL,
        .family = FAMILY_UNKNOWN,
    };
    fault_report(&fault);
}
