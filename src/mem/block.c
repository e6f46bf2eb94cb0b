/* SPDX-License-Identifier: MIT */
#include "mem/block.h"

#include "os/panic.h"

const ALIGNED(CACHE_LINE_BYTES) struct block block_end;

uintptr_t block_secret;

void block_secret_init(uint64_t random_bits)
{
    block_secret = (uintptr_t)random_bits | 1;
}

void block_corrupted(const struct block *block, size_t class_bytes)
{
    panic("free block was overwritten or freed twice", block, class_bytes);
}
