/* SPDX-License-Identifier: MIT */
/* The malloc of the programs own_malloc_*: a header before each block tells who made it. */
#ifndef LOADER_OWN_MALLOC_H
#define LOADER_OWN_MALLOC_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define OWN_MAGIC UINT64_C(0x6f776e206d616c6c)
#define OWN_FREED UINT64_C(0x6f776e2066726565)

struct own_header {
    uint64_t magic;
    size_t bytes;
};

static _Alignas(16) unsigned char own_memory[8 << 20];
static volatile size_t own_used;
static volatile unsigned own_allocs;
static volatile unsigned own_frees;
static volatile unsigned own_strangers;

static inline struct own_header *own_header_of(void *p)
{
    return (struct own_header *)(void *)((unsigned char *)p - sizeof(struct own_header));
}

static inline int own_is_block(void *p)
{
    return (uintptr_t)p >= (uintptr_t)own_memory &&
           (uintptr_t)p < (uintptr_t)own_memory + sizeof own_memory;
}

static inline void *own_malloc(size_t bytes)
{
    size_t need = (bytes + sizeof(struct own_header) + 15) & ~(size_t)15;
    if (bytes > sizeof own_memory || need > sizeof own_memory - own_used) {
        errno = ENOMEM;
        return NULL;
    }
    struct own_header *header = (struct own_header *)(void *)(own_memory + own_used);
    own_used += need;
    header->magic = OWN_MAGIC;
    header->bytes = bytes;
    own_allocs++;
    return header + 1;
}

/* False: the block was not live. */
static inline int own_free(void *p)
{
    if (p == NULL)
        return 1;
    if (!own_is_block(p)) {
        own_strangers++;
        return 1;
    }
    if (own_header_of(p)->magic != OWN_MAGIC)
        return 0;
    own_header_of(p)->magic = OWN_FREED;
    own_frees++;
    return 1;
}

#endif
