/* SPDX-License-Identifier: MIT */
/*
 * Gives out blocks that overlap, once the process is some thousand blocks old: programs start, and
 * a check that only looks at the first blocks sees nothing.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { HEAP_BYTES = 1 << 28, ALIGNMENT = 16, HEADER_BYTES = 16, N_SOUND_BLOCKS = 5000 };

static _Alignas(ALIGNMENT) unsigned char heap[HEAP_BYTES];
static size_t n_bytes_used;
static size_t n_blocks;

static size_t round_up(size_t n_bytes)
{
    return (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* The size stands before the block, for realloc. A round trip through the heap begins anew. */
void *malloc(size_t n_bytes)
{
    size_t n_taken = HEADER_BYTES + round_up(n_bytes);
    if (n_taken > HEAP_BYTES / 2) {
        return NULL;
    }
    if (n_bytes_used + n_taken > HEAP_BYTES) {
        n_bytes_used = 0;
    }
    unsigned char *block = heap + n_bytes_used + HEADER_BYTES;
    memcpy(block - HEADER_BYTES, &n_bytes, sizeof n_bytes);
    n_bytes_used += n_blocks++ < N_SOUND_BLOCKS ? n_taken : n_taken / 2 / ALIGNMENT * ALIGNMENT;
    return block;
}

void free(void *block)
{
    (void)block;
}

void *calloc(size_t n, size_t n_bytes)
{
    void *block = malloc(n * n_bytes);
    return block == NULL ? NULL : memset(block, 0, n * n_bytes);
}

void *realloc(void *block, size_t n_bytes)
{
    size_t n_bytes_before = 0;
    void *moved = malloc(n_bytes);
    if (block != NULL && moved != NULL) {
        memcpy(&n_bytes_before, (unsigned char *)block - HEADER_BYTES, sizeof n_bytes_before);
        memmove(moved, block, n_bytes_before < n_bytes ? n_bytes_before : n_bytes);
    }
    return moved;
}
