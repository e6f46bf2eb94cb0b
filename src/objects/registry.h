/* SPDX-License-Identifier: MIT */
/*
 * All objects that programs have made through the public interface, for the dump, for forks and for
 * giving memory back: heaps, pools and buffer sets always, arenas and frames if they have a name.
 *
 * Any thread. The list is guarded by the registry's lock, the lowest of all ranks; objects with
 * locks of their own take these under it.
 *
 * Fork: prepare takes the registry's lock, whether there are objects or not yet, and then asks
 * every object to hold still, so that all are whole in the child (heap/fork.c calls before it takes
 * locks of its own).
 */
#ifndef POOLALLOC_OBJECTS_REGISTRY_H
#define POOLALLOC_OBJECTS_REGISTRY_H

#include "base/atomic.h"
#include "os/lock.h"

enum { OBJECT_NAME_BYTES = 32 };

/* What there is to say of an object, as in obs/counters.h. Its pieces are the objects of a pool,
 * the buffers of a set, the bytes of an arena or a heap. */
/* clang-format off */
#define OBJECT_FIGURES(X) \
    X(memory_bytes, GAUGE, BYTES, "memory it has taken, with its records") \
    X(piece_bytes, GAUGE, BYTES, "of one piece; 1 for an arena or a heap") \
    X(pieces, GAUGE, PIECES, "pieces there is memory for") \
    X(in_use, GAUGE, PIECES, "pieces in use") \
    X(in_use_peak, PEAK, PIECES, "most in_use; of a shared pool, with what threads keep at hand") \
    X(failures, COUNTER, CALLS, "calls that got nothing") \
    X(waits, COUNTER, CALLS, "calls that had to wait")
/* clang-format on */

#define OBJECT_FIGURE_FIELD(name, kind, unit, meaning) uint64_t name;

struct object_figures {
    OBJECT_FIGURES(OBJECT_FIGURE_FIELD)
    uint64_t number;  /* of objects made before it, and it; no two have the same */
    const char *kind; /* "heap", "pool", "arena", "buffers" */
    char name[OBJECT_NAME_BYTES];
};

struct heap_fork_hooks;
struct object;

/* Moments of a fork; UNNOTICED is that of heap/fork.c's, in a child. */
enum object_fork {
    OBJECT_FORK_PREPARE,
    OBJECT_FORK_PARENT,
    OBJECT_FORK_CHILD,
    OBJECT_FORK_UNNOTICED,
    N_OBJECT_FORKS
};

/* All but `kind` and `read` may be NULL. */
struct object_kind {
    const char *kind;
    void (*read)(const struct object *object, struct object_figures *figures);
    size_t (*trim)(struct object *object); /* from any thread; the bytes given back */
    void (*fork[N_OBJECT_FORKS])(struct object *object);
};

/* The part that all kinds have in common. */
struct object {
    const struct object_kind *kind; /* [const] */
    char name[OBJECT_NAME_BYTES];   /* [const] */
    struct object *next;            /* [lock: registry] */
    struct object *prev;            /* [lock: registry] */
    uint64_t number;                /* [lock: registry] rises along the list; 0: not in it */
};

/* name may be NULL. */
void object_init(struct object *object, const struct object_kind *kind, const char *name);

/* One line on fd 2: "poolalloc: <kind> <name>: <fault>: <address>". Not to be called with locks. */
void object_report(const struct object *object, const char *fault, const void *p);

void registry_add(struct object *object);

/* Nothing if it is not in the list. Nobody looks at the object after that. */
void registry_remove(struct object *object);

/* visit(figures, context) for each object in the order they were made, until it returns false; no
 * lock is held. Nothing is allocated and no lock is waited for: false when it was not had soon,
 * some were not visited then. */
bool registry_each(bool (*visit)(const struct object_figures *figures, void *context),
                   void *context);

/* For heap_fork_also. */
extern const struct heap_fork_hooks registry_fork_hooks;

/* Asks all objects that can to give memory back that is not in use. Returns the bytes. */
size_t registry_trim(void);

#endif
