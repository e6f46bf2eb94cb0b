/* SPDX-License-Identifier: MIT */
/*
 * What happens when the program misuses a block: the line that LD_PRELOAD.md lists; when blocks are
 * checked, what is known of the block; and then, as on_fault says, the end.
 *
 * Any thread, with any lock held, in a broken heap: takes no memory and no lock, not even libc's.
 */
#ifndef POOLALLOC_HEAP_FAULT_H
#define POOLALLOC_HEAP_FAULT_H

#include "mem/ledger.h"

/* The functions that a block is allocated or freed by. */
enum block_family {
    FAMILY_MALLOC,
    FAMILY_NEW,
    FAMILY_NEW_ARRAY,
    FAMILY_UNKNOWN,
    FAMILY_ALIGNED = 4, /* added to those of C++ */
};

/* Whether a block of the one may be freed by the other's function. */
ALWAYS_INLINE bool fault_families_match(unsigned one, unsigned other)
{
    enum { KIND_BITS = 3 };
    return one == other || (one & KIND_BITS) == FAMILY_UNKNOWN ||
           (other & KIND_BITS) == FAMILY_UNKNOWN;
}

/* A call that does wrong, as far as it matters. */
struct fault {
    const char *what;
    const void *p;
    size_t class_bytes;        /* 0: of no class */
    const struct entry *entry; /* NULL: nothing is known of a block there */
    bool is_write;             /* at `offset` from p there is not what we left there */
    size_t offset;
    unsigned family; /* that it was to be freed by; FAMILY_UNKNOWN: does not matter */
    uint32_t site;   /* of the call, or 0 */
};

/* Returns if on_fault says so: then the call is to be ignored, or the block not to be used
 * again. */
void fault_report(const struct fault *fault);

/* The same where nothing more is known. */
void fault_report_plain(const char *what, const void *p, size_t class_bytes);

/* For who writes the lines himself: the first one's word, and what is done after the last. Returns
 * if on_fault says so. */
const char *fault_word(void);
void fault_act(void);

/* Every fault from now on is followed by what is known of the block. */
void fault_describe_all(void);

#endif
