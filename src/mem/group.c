/* SPDX-License-Identifier: MIT */
#include "mem/group.h"

#include "mem/arena.h"

/* The lists are as little to be trusted as those of free spans, in a child of a bare fork. Then
 * large blocks are in no list, and none is freed but one by one. */
static bool lists_are_torn(void)
{
    return free_spans.no_merging;
}

static void link_locked(struct span *span, struct group *group)
{
    span->large.group = group;
    span->large.next = NULL;
    span->large.prev = NULL;
    atomic_add_relaxed(&group->large_bytes, span_bytes(span));
    if (lists_are_torn())
        return;
    span->large.next = group->large;
    if (group->large != NULL)
        group->large->large.prev = span;
    group->large = span;
}

static void unlink_locked(struct span *span)
{
    struct large_part *part = &span->large;
    struct group *group = part->group;
    part->group = NULL;
    atomic_sub_relaxed(&group->large_bytes, span_bytes(span));
    if (lists_are_torn())
        return;
    *(part->prev != NULL ? &part->prev->large.next : &group->large) = part->next;
    if (part->next != NULL)
        part->next->large.prev = part->prev;
}

void group_join(struct span *span, struct group *group)
{
    arena_lock();
    link_locked(span, group);
    arena_unlock();
}

void group_pass(struct span *from, struct span *to)
{
    struct group *group = from->large.group;
    if (LIKELY(group == NULL))
        return;
    arena_lock();
    unlink_locked(from);
    link_locked(to, group);
    arena_unlock();
}

void group_resized_locked(const struct span *span, size_t bytes_before)
{
    struct group *group = span->large.group;
    if (UNLIKELY(group != NULL))
        atomic_add_relaxed(&group->large_bytes, span_bytes(span) - bytes_before);
}

void group_leave_locked(struct span *span)
{
    struct group *group = span->large.group;
    if (LIKELY(group == NULL))
        return;
    unlink_locked(span);
    group_give(group, span_bytes(span), 1);
}

static void *first_of(const struct group *group)
{
    arena_lock();
    const struct span *span = lists_are_torn() ? NULL : group->large;
    void *p = span != NULL ? (void *)span->base : NULL;
    arena_unlock();
    return p;
}

size_t group_free_large(struct group *group)
{
    size_t n = 0;
    for (void *p = first_of(group); p != NULL && arena_free_large(p); p = first_of(group))
        n++;
    return n;
}
