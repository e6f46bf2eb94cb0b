/* SPDX-License-Identifier: MIT */
/*
 * What the client structures share: small honest implementations of structures that real programs
 * have, each in its file client_<topic>.c and listed in client.c.
 */
#ifndef POOLALLOC_BENCH_CLIENT_H
#define POOLALLOC_BENCH_CLIENT_H

#include "workload.h"

void client_run_interner(void);
void client_run_lru_cache(void);
void client_run_handle_registry(void);
void client_run_buffer_checkout(void);
void client_run_cow_vector(void);
void client_run_message_ring(void);
void client_run_frame_loop(void);
void client_run_hash_table(void);
void client_run_tree_builder(void);
void client_run_document_parser(void);

/* realloc that ends the process when it returns NULL. */
void *retake(void *block, size_t n_bytes);

/*
 * Writes a stamp to one word of every 64 bytes of a block and to its last word, so that every page
 * and every cache line is touched. Blocks have at least 8 bytes.
 */
void stamp_write(void *block, size_t n_bytes, uint64_t stamp);

/* Ends the process, saying why, unless all these words are as stamp_write() left them. */
void stamp_check(const void *block, size_t n_bytes, uint64_t stamp, const char *why);

/* A JSON-like text, and the checksum of all its bytes but white space. */
struct document_text {
    const char *bytes; /* static; ends with a NUL */
    size_t n_bytes;
    uint64_t checksum;
};

struct document_text document_text_generate(void);

/* A checksum begins with 0. */
static inline uint64_t document_checksum_add(uint64_t checksum, char c)
{
    return (checksum ^ (unsigned char)c) * 0x100000001b3U;
}

/* A bijection, so that mixed sequence numbers are distinct keys without order. */
static inline uint64_t mix_number(uint64_t number)
{
    return random_next(&number);
}

#endif
