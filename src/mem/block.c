/* SPDX-License-Identifier: MIT */
#include "mem/block.h"

#include "os/panic.h"

READ_BY_ALL ALIGNED(CACHE_LINE_BYTES) const struct block block_end = {0};

uintptr_t block_secret;

void block_secret_init(uint64_t random_bits)
{
    block_secret = (uintptr_t)random_bits | 1;
}

void block_corrupted(const struct block *block, size_t class_bytes)
{
    panic("free block was overwritten or freed twice", block, class_bytes);
}

/* A ring comes back to one of the blocks at which n was a power of two. */
size_t block_count(const struct block *block, size_t class_bytes)
{
    const struct block *seen = NULL;
    size_t n = 0;
    for (; block != BLOCK_END; n++) {
        if (UNLIKELY(block == seen))
            block_corrupted(block, class_bytes);
        if ((n & (n - 1)) == 0)
            seen = block;
        block = block_next_checked(block, class_bytes);
    }
    return n;
}
