/* SPDX-License-Identifier: MIT */
/*
 * Which allocations are looked at: a sample of all, by bytes for the heap profile (obs/profile.h),
 * by number for guarded blocks (guard.h).
 *
 * The fast path knows nothing of it. It is the blocks that are chosen, when they come into a bin:
 * each that a refill puts there, and each that is freed. A chosen block gets a mark in its seal
 * (mem/block.h), so the pop that comes upon it ends in the slow path, which takes the mark off and
 * samples that very call. Which of the frees to come is chosen next is known: the countdown of the
 * bin ends there, so that it is this very block that gets the mark. (To mark what lies on top at
 * the usual looks is not the same: these keep in step with programs, which have all their blocks at
 * the top from one place.) When nothing is sampled there are no marks.
 *
 * How far it is to the next choice is drawn from an exponential distribution, for each bin: a block
 * of n bytes is chosen with the probability 1 - exp(-n / interval), independently of all others.
 * The call that gets it may ask for less than the class has; then it is sampled with the smaller
 * probability that it asks for. So figures can be scaled by readers who know the size and the
 * interval.
 *
 * While samples for the profile take more than their share of a thread's time, fewer blocks are
 * chosen in the bins that they come from. The mark of each says how many fewer, for it may be long
 * until the block is taken; what is recorded then counts for as many, until it is freed. So what
 * readers find is of the interval that the option says, in the mean.
 *
 * A call that is sampled for the profile gets pages of its own instead of a block, where its free
 * is noticed: on the slow path, as any large block's. What is known of live ones is in a table by
 * address.
 *
 * [owner] of a heap marks and unmarks its bin's blocks. The table has a lock.
 * Tests: tests/unit/test_sample.c, test_sample_thinned.c.
 */
#ifndef POOLALLOC_HEAP_SAMPLE_H
#define POOLALLOC_HEAP_SAMPLE_H

#include "heap/heap.h"

ALWAYS_INLINE unsigned pace_level(const struct pace *pace)
{
    return atomic_get_relaxed(&pace->level);
}

/* Another epoch has begun. */
ALWAYS_INLINE bool pace_is_old(const struct pace *pace)
{
    return atomic_get_relaxed(&pace->epoch) != atomic_get_relaxed(&idle_epoch);
}

/* Anything is sampled. [const] after the constructor */
extern bool sample_is_on;

/* After options_parse. */
void sample_init(void);

/* n blocks have come into the bin of this class since it was last told. [owner] */
void sample_entered(struct heap *heap, unsigned class, size_t n);

/* A block was freed that is chosen, or may be: the bin's head. [owner] */
void sample_freed(struct heap *heap, unsigned class);

/* Draws which of the frees to come are chosen, if that is not known. [owner] */
void sample_plan(struct heap *heap, unsigned class);

/* Frees from now on that are not chosen, before one that is. [owner] */
ALWAYS_INLINE uint64_t sample_frees_between(struct heap *heap, unsigned class)
{
    uint64_t n_frees = bin_frees(&heap->front.bins[class]);
    if (UNLIKELY(n_frees >= heap->shelves[class].sample_next))
        sample_plan(heap, class);
    return heap->shelves[class].sample_next - n_frees - 1;
}

/* The same when the bin is looked at, upon a free. [owner] */
ALWAYS_INLINE uint64_t sample_look(struct heap *heap, const struct bin *bin, struct shelf *shelf)
{
    uint64_t n_frees = bin_frees(bin);
    if (UNLIKELY(n_frees >= shelf->sample_next))
        sample_freed(heap, (unsigned)(shelf - heap->shelves));
    return shelf->sample_next - n_frees - 1;
}

/* Marks for a block that no bin has: it goes to the program at once. [owner] */
unsigned sample_marks(struct heap *heap, unsigned class);

/* What a slow path returns instead of a block, to be seen to by sample_finish when the thread is
 * not inside any more. NULL: with these marks the call is not to be sampled after all. */
void *sample_wanted(struct heap *heap, unsigned class, unsigned marks, size_t bytes);

extern char sample_wanted_marks[MARKS + 1];

ALWAYS_INLINE bool sample_is_wanted(const void *p)
{
    return (uintptr_t)p - (uintptr_t)sample_wanted_marks <= MARKS;
}

/* What a slow path has answered, or what a sampled call gets instead. The caller is who called
 * malloc, or NULL. Not inside. */
void *sample_finish(void *p, size_t bytes, size_t align, const void *caller);

/* The block goes: before it is freed or resized. Inside. */
void sample_forget(const void *p);

/* What the call asked for that got p instead of a block. 0: it is not of the profile's sample.
 * Inside. */
size_t sample_asked_bytes(const void *p);

/* A large block is new; one that has been resized is as good as that. Not inside. */
void sample_large(const void *p, size_t bytes);

/* One allocation of so many bytes is in the profile; 0: none. */
uint64_t sample_profile_bytes(void);

/* What the profile knows of one site (heap/sites.h), whose outermost frame stands for a size. */
struct sample_counts {
    _Atomic uint64_t live_blocks;
    _Atomic uint64_t live_bytes;
    _Atomic uint64_t blocks; /* since ever */
    _Atomic uint64_t bytes;
};

/* NULL: nothing was sampled there. */
const struct sample_counts *sample_counts_of(uint32_t site);

void sample_fork_prepare(void);
void sample_fork_parent(void);
void sample_fork_child(void);

/* heap/fork.c: a bare fork. */
void sample_fork_unnoticed(void);

#endif
