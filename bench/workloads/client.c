/* SPDX-License-Identifier: MIT */
/* The list of client structures, and the tools they share. */
#include "client.h"

#include <stdlib.h>
#include <string.h>

enum { STAMP_STEP_BYTES = 64 };

const struct workload client_workloads[] = {
    {"interner", "strings and paths interned, looked up, all dropped", client_run_interner},
    {"lru-cache", "values of 64 B..16 KiB by recency, age and a byte budget that shrinks",
     client_run_lru_cache},
    {"handle-registry", "handles in 256 locked buckets, two threads", client_run_handle_registry},
    {"buffer-checkout", "buffers of 4, 16 and 64 KiB checked out and returned by four threads",
     client_run_buffer_checkout},
    {"cow-vector", "copy-on-write vector replaced under its readers", client_run_cow_vector},
    {"message-ring", "messages of 16 B..8 KiB through a ring between four threads",
     client_run_message_ring},
    {"frame-loop", "a scene graph built and dropped in each of 300 frames", client_run_frame_loop},
    {"hash-table", "chained table that grows to two million entries, and empties",
     client_run_hash_table},
    {"tree-builder", "binary trees of several depths, and a treap under change",
     client_run_tree_builder},
    {"document-parser", "a JSON-like text parsed, serialised and dropped",
     client_run_document_parser},
    {NULL, NULL, NULL},
};

void *retake(void *block, size_t n_bytes)
{
    void *moved = realloc(block, n_bytes);
    if (moved == NULL) {
        child_fail("realloc returned NULL");
    }
    return moved;
}

/* ---- stamps ---- */

/* The offset goes in as well: a page that shows up in the wrong place is a wrong page. */
static uint64_t stamp_at(uint64_t stamp, size_t offset)
{
    return stamp ^ (offset * 0x9e3779b97f4a7c15U);
}

static void write_word(unsigned char *bytes, size_t offset, uint64_t stamp)
{
    uint64_t word = stamp_at(stamp, offset);
    memcpy(bytes + offset, &word, sizeof word);
}

static bool has_word(const unsigned char *bytes, size_t offset, uint64_t stamp)
{
    uint64_t word;
    memcpy(&word, bytes + offset, sizeof word);
    return word == stamp_at(stamp, offset);
}

/* The last word's place, clear of the stepped ones before it. */
static size_t last_word(size_t n_bytes)
{
    return n_bytes - sizeof(uint64_t);
}

void stamp_write(void *block, size_t n_bytes, uint64_t stamp)
{
    size_t last = last_word(n_bytes);
    for (size_t offset = 0; offset + sizeof stamp <= last; offset += STAMP_STEP_BYTES) {
        write_word(block, offset, stamp);
    }
    write_word(block, last, stamp);
}

void stamp_check(const void *block, size_t n_bytes, uint64_t stamp, const char *why)
{
    size_t last = last_word(n_bytes);
    bool is_whole = has_word(block, last, stamp);
    for (size_t offset = 0; offset + sizeof stamp <= last; offset += STAMP_STEP_BYTES) {
        is_whole &= has_word(block, offset, stamp);
    }
    if (!is_whole) {
        child_fail(why);
    }
}
