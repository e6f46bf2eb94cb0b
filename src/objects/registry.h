/* SPDX-License-Identifier: MIT */
/*
 * All objects that programs have made through the public interface, for the dump, for forks and for
 * giving memory back: pools and buffer sets always, arenas and frames if they have a name.
 *
 * Any thread. The list is guarded by the registry's lock, the lowest of all ranks; objects with locks
 * of their own take these under it.
 *
 * Fork: prepare takes the registry's lock and then asks every object to hold still, so that all are
 * whole in the child (heap/fork.c calls before it takes locks of its own).
 */
#ifndef POOLALLOC_OBJECTS_REGISTRY_H
#define POOLALLOC_OBJECTS_REGISTRY_H

#include "base/atomic.h"
#include "os/lock.h"

enum { OBJECT_NAME_BYTES = 32 };

/* What there is to say of one object. */
struct object_figures {
    const char *kind; /* "pool", "arena", "buffers" */
    char name[OBJECT_NAME_BYTES];
    size_t bytes;       /* of memory that the object has taken */
    size_t piece_bytes; /* of one piece; 0: of all sizes */
    size_t total;       /* pieces there is memory for; bytes if they are of all sizes */
    size_t in_use;
    size_t peak;
    uint64_t n_failures;
    uint64_t n_waits;
};

struct object;

/* All but `kind` and `read` may be NULL. */
struct object_kind {
    const char *kind;
    void (*read)(const struct object *object, struct object_figures *figures);
    size_t (*trim)(struct object *object); /* from any thread; the bytes given back */
    void (*fork_prepare)(struct object *object);
    void (*fork_parent)(struct object *object);
    void (*fork_child)(struct object *object);
    void (*fork_unnoticed)(struct object *object); /* heap/fork.c: a bare fork */
};

/* The part that all kinds have in common. */
struct object {
    const struct object_kind *kind; /* [const] */
    char name[OBJECT_NAME_BYTES];   /* [const] */
    struct object *next;            /* [lock: registry] */
    struct object *prev;            /* [lock: registry] */
    uint64_t serial;                /* [lock: registry] rises along the list; 0: not in it */
};

/* name may be NULL. */
void object_init(struct object *object, const struct object_kind *kind, const char *name);

/* One line on fd 2: "poolalloc: <kind> <name>: <fault>: <address>". Not to be called with locks. */
void object_report(const struct object *object, const char *fault, const void *p);

void registry_add(struct object *object);

/* Nothing if it is not in the list. Nobody looks at the object after that. */
void registry_remove(struct object *object);

/* visit(figures, context) for each object in the order they were made, with no lock held. Nothing is
 * allocated and no lock is waited for: false when it was not had soon, some were not visited then. */
bool registry_each(void (*visit)(const struct object_figures *figures, void *context),
                   void *context);

/* Asks all objects that can to give memory back that is not in use. Returns the bytes. */
size_t registry_trim(void);

#endif
