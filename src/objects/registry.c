/* SPDX-License-Identifier: MIT */
#include "objects/registry.h"

#include "heap/heap.h"
#include "os/log.h"
#include "os/text.h"

#include <string.h>

enum { SOON_TRIES = 1000 };

/* A ring through `list`, which is no object. */
static struct {
    struct lock lock;
    struct object list;
    uint64_t number; /* [lock] of the newest */
} registry = {
    .lock = LOCK_INIT(LOCK_REGISTRY),
    .list = {.next = &registry.list, .prev = &registry.list},
};

void object_init(struct object *object, const struct object_kind *kind, const char *name)
{
    size_t n = name != NULL ? strnlen(name, OBJECT_NAME_BYTES - 1) : 0;
    memset(object, 0, sizeof *object);
    object->kind = kind;
    if (n > 0)
        memcpy(object->name, name, n);
    else
        object->name[0] = '-';
}

void object_report(const struct object *object, const char *fault, const void *p)
{
    char line[192];
    struct text text;
    text_init(&text, line, sizeof line);
    text_add(&text, "poolalloc: ");
    text_add(&text, object->kind->kind);
    text_add(&text, " ");
    text_add(&text, object->name);
    text_add(&text, ": ");
    text_add(&text, fault);
    text_add(&text, ": ");
    text_add_address(&text, p);
    text_add(&text, "\n");
    log_text(&text);
}

/* ---- the list ---- */

static struct object *first_after_locked(uint64_t number)
{
    struct object *object = registry.list.next;
    while (object != &registry.list && object->number <= number)
        object = object->next;
    return object != &registry.list ? object : NULL;
}

static void fork_each_locked(enum object_fork moment)
{
    for (struct object *object = registry.list.next; object != &registry.list;
         object = object->next) {
        if (object->kind->fork[moment] != NULL)
            object->kind->fork[moment](object);
    }
}

static void fork_prepare(void)
{
    lock_take(&registry.lock);
    fork_each_locked(OBJECT_FORK_PREPARE);
}

static void fork_parent(void)
{
    fork_each_locked(OBJECT_FORK_PARENT);
    lock_release(&registry.lock);
}

static void fork_child(void)
{
    fork_each_locked(OBJECT_FORK_CHILD);
    lock_reset(&registry.lock);
}

/* If the lock is held, its holder is not here and the ring may be half linked: it is given up. */
static void fork_unnoticed(void)
{
    if (lock_is_held(&registry.lock))
        registry.list.next = registry.list.prev = &registry.list;
    fork_each_locked(OBJECT_FORK_UNNOTICED);
    lock_reset(&registry.lock);
}

const struct heap_fork_hooks registry_fork_hooks = {fork_prepare, fork_parent, fork_child,
                                                    fork_unnoticed};

void registry_add(struct object *object)
{
    if (!heap_enter())
        return;
    lock_take(&registry.lock);
    object->number = ++registry.number;
    object->next = &registry.list;
    object->prev = registry.list.prev;
    object->prev->next = object;
    registry.list.prev = object;
    lock_release(&registry.lock);
    heap_leave();
}

void registry_remove(struct object *object)
{
    if (object->number == 0 || !heap_enter())
        return;
    lock_take(&registry.lock);
    object->next->prev = object->prev;
    object->prev->next = object->next;
    lock_release(&registry.lock);
    heap_leave();
}

/* ---- looking at it ---- */

static bool lock_soon(void)
{
    for (int i = 0; i < SOON_TRIES; i++) {
        if (lock_try(&registry.lock))
            return true;
        CPU_RELAX();
    }
    return false;
}

/* The first object after this number: its figures and its number, 0 if there is none. False: the
 * lock was not had. */
static bool read_next(uint64_t *number, struct object_figures *figures)
{
    if (!heap_enter())
        return false;
    bool locked = lock_soon();
    if (locked) {
        struct object *object = first_after_locked(*number);
        *number = object != NULL ? object->number : 0;
        if (object != NULL) {
            *figures = (struct object_figures){.kind = object->kind->kind, .number = *number};
            memcpy(figures->name, object->name, sizeof object->name);
            object->kind->read(object, figures);
        }
        lock_release(&registry.lock);
    }
    heap_leave();
    return locked;
}

bool registry_each(bool (*visit)(const struct object_figures *figures, void *context),
                   void *context)
{
    struct object_figures figures;
    uint64_t number = 0;
    while (read_next(&number, &figures)) {
        if (number == 0 || !visit(&figures, context))
            return true;
    }
    return false;
}

size_t registry_trim(void)
{
    size_t bytes = 0;
    if (!heap_enter())
        return 0;
    lock_take(&registry.lock);
    for (struct object *object = registry.list.next; object != &registry.list;
         object = object->next) {
        if (object->kind->trim != NULL)
            bytes += object->kind->trim(object);
    }
    lock_release(&registry.lock);
    heap_leave();
    return bytes;
}
