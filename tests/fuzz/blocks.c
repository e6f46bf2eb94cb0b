/* SPDX-License-Identifier: MIT */
/*
 * malloc and its family. Of each live block the model knows what was asked for and what was written
 * into it, all that malloc_usable_size says of it included.
 *
 * No memory is an answer where it was absurd to ask, or where the kernel has refused some. Success
 * leaves errno alone, failure sets it to ENOMEM, and free never touches it.
 */
#include "base/bits.h"
#include "fuzz.h"
#include "poolalloc.h"

#include <errno.h>
#include <string.h>

enum { N_BLOCKS = 64, ERRNO_MARK = EXDEV, ALIGN = 16 };

static struct block {
    char *p; /* NULL: none */
    size_t bytes;
    size_t usable;
    size_t align; /* 1: none was asked for */
    uint64_t seed;
} blocks[N_BLOCKS];

static size_t refused_before;

static void call_begins(void)
{
    refused_before = system_n_refused();
    errno = ERRNO_MARK;
}

/* The answer to a call that asked for so much. */
static bool is_memory(const void *p, size_t bytes)
{
    check(errno == (p != NULL ? ERRNO_MARK : ENOMEM));
    check(p == NULL || bytes < BYTES_ABSURD);
    check(p != NULL || bytes >= BYTES_ABSURD || system_n_refused() > refused_before);
    return p != NULL;
}

static bool is_zero(const char *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (p[i] != 0)
            return false;
    }
    return true;
}

static void enter(struct block *block, void *p, size_t bytes, size_t align)
{
    *block = (struct block){p, bytes, fuzz_malloc_usable_size(p), align, pattern_new_seed()};
    check((uintptr_t)p % max_size(align, ALIGN) == 0);
    check(block->usable >= bytes);
    extent_add(p, block->usable);
    pattern_fill(p, block->usable, block->seed);
}

static void look(const struct block *block)
{
    check(fuzz_malloc_usable_size(block->p) == block->usable);
    pattern_check(block->p, block->usable, block->seed);
}

static void leave(struct block *block)
{
    look(block);
    extent_remove(block->p);
}

/* ---- free ---- */

static void release(struct block *block)
{
    if (block->p == NULL) {
        fuzz_free(NULL);
        return;
    }
    leave(block);
    errno = ERRNO_MARK;
    fuzz_free(block->p);
    check(errno == ERRNO_MARK);
    block->p = NULL;
}

static struct block *chosen(void)
{
    return &blocks[input_below(N_BLOCKS)];
}

/* The place for a new block. */
static struct block *emptied(void)
{
    struct block *block = chosen();
    if (block->p != NULL)
        release(block);
    return block;
}

static void op_free(void)
{
    release(chosen());
}

static void op_free_sized(void)
{
    struct block *block = chosen();
    if (block->p == NULL) {
        fuzz_free_sized(NULL, 0);
        fuzz_free_aligned_sized(NULL, 1, 0);
        fuzz_cfree(NULL);
        return;
    }
    leave(block);
    errno = ERRNO_MARK;
    if (block->align > 1)
        fuzz_free_aligned_sized(block->p, block->align, block->bytes);
    else
        fuzz_free_sized(block->p, block->bytes);
    check(errno == ERRNO_MARK);
    block->p = NULL;
}

static void op_cfree(void)
{
    struct block *block = chosen();
    if (block->p == NULL)
        return;
    leave(block);
    fuzz_cfree(block->p);
    block->p = NULL;
}

/* A stretch of blocks, up or down: whole bins and slabs at a time. */
static void op_free_many(void)
{
    size_t first = input_below(N_BLOCKS);
    size_t n = input_below(N_BLOCKS);
    for (size_t i = 0; i < n; i++)
        release(&blocks[(n % 2 == 0 ? first + i : first + N_BLOCKS - i) % N_BLOCKS]);
}

/* ---- malloc ---- */

static void make(struct block *block, size_t bytes)
{
    call_begins();
    void *p = fuzz_malloc(bytes);
    if (!is_memory(p, bytes))
        return;
    enter(block, p, bytes, 1);
    check(block->usable == poolalloc_good_size(bytes));
}

static void op_malloc(void)
{
    struct block *block = emptied();
    make(block, input_bytes());
}

static void op_malloc_many(void)
{
    size_t first = input_below(N_BLOCKS);
    size_t n = input_below(N_BLOCKS);
    size_t bytes = input_bytes();
    for (size_t i = 0; i < n && bytes < 65536; i++) {
        release(&blocks[(first + i) % N_BLOCKS]);
        make(&blocks[(first + i) % N_BLOCKS], bytes);
    }
}

/* n and each, whose product may be more than there are numbers for. */
struct array {
    size_t n;
    size_t each;
    size_t bytes; /* SIZE_MAX: too much */
};

static struct array input_array(void)
{
    struct array array = {input_bytes(), 1, 0};
    switch (input_below(4)) {
    case 0:
        array.each = 1 + input_below(9);
        break;
    case 1:
        array.each = array.n;
        array.n = input_below(3);
        break;
    case 2:
        array.each = SIZE_MAX / (input_byte() + 1);
        break;
    default:
        break;
    }
    if (__builtin_mul_overflow(array.n, array.each, &array.bytes))
        array.bytes = SIZE_MAX;
    return array;
}

/* Absurd is one thing, half the memory of this machine another: that much is not asked for. */
static bool is_too_much(size_t bytes)
{
    return bytes > (size_t)64 << 20 && bytes < BYTES_ABSURD;
}

static void op_calloc(void)
{
    enum { LOOKED_AT_BYTES = 256 * 1024 };
    struct block *block = emptied();
    struct array array = input_array();
    if (is_too_much(array.bytes))
        return;
    call_begins();
    void *p = fuzz_calloc(array.n, array.each);
    if (!is_memory(p, array.bytes))
        return;
    check(is_zero(p, min_size(array.bytes, LOOKED_AT_BYTES)));
    enter(block, p, array.bytes, 1);
}

/* ---- realloc ---- */

static void resized(struct block *block, void *p, size_t bytes)
{
    if (!is_memory(p, bytes)) {
        look(block);
        return;
    }
    pattern_check_start(p, min_size(bytes, block->usable), block->seed);
    extent_remove(block->p);
    enter(block, p, bytes, 1);
}

/* To nothing: freed, as by glibc. */
static void resized_to_0(struct block *block, const void *p)
{
    check(p == NULL && errno == ERRNO_MARK);
    extent_remove(block->p);
    block->p = NULL;
}

static void resize(struct block *block, const struct array *array, bool as_array)
{
    size_t bytes = array->bytes;
    if (block->p == NULL || is_too_much(bytes))
        return;
    look(block);
    call_begins();
    void *p = as_array ? fuzz_reallocarray(block->p, array->n, array->each)
                       : fuzz_realloc(block->p, bytes);
    if (bytes == 0)
        resized_to_0(block, p);
    else
        resized(block, p, bytes);
}

static void resize_null(struct block *block, size_t bytes)
{
    call_begins();
    void *p = fuzz_realloc(NULL, bytes);
    if (is_memory(p, bytes))
        enter(block, p, bytes, 1);
}

static void op_realloc(void)
{
    struct block *block = chosen();
    struct array array = {1, 0, input_bytes()};
    if (block->p == NULL)
        resize_null(block, array.bytes);
    else
        resize(block, &array, false);
}

static void op_reallocarray(void)
{
    struct block *block = chosen();
    struct array array = input_array();
    resize(block, &array, true);
}

/* By little, as strings grow. */
static void op_realloc_step(void)
{
    struct block *block = chosen();
    size_t step = input_word();
    struct array array = {1, 0, block->bytes + step};
    if (step % 2 == 1)
        array.bytes = block->bytes > step ? block->bytes - step : 1;
    resize(block, &array, false);
}

/* ---- aligned ---- */

/* Room for the alignment may be what is lacking. */
static void made_aligned(struct block *block, void *p, size_t bytes, size_t align)
{
    if (is_memory(p, bytes))
        enter(block, p, bytes, align);
}

static void op_aligned_alloc(void)
{
    struct block *block = emptied();
    size_t align = input_align();
    size_t bytes = input_bytes();
    call_begins();
    made_aligned(block, fuzz_aligned_alloc(align, bytes), bytes, align);
}

static void op_memalign(void)
{
    struct block *block = emptied();
    size_t align = input_align();
    size_t bytes = input_bytes();
    size_t asked = align > 4 ? align - input_below(2) : align; /* rounded up */
    call_begins();
    made_aligned(block, fuzz_memalign(asked, bytes), bytes, align);
}

static void op_posix_memalign(void)
{
    struct block *block = emptied();
    void *p = block;
    size_t align = input_align();
    size_t bytes = input_bytes();
    call_begins();
    int error = fuzz_posix_memalign(&p, align, bytes);
    check(errno == ERRNO_MARK);
    if (error != 0) {
        check(p == block && error == (align < sizeof(void *) ? EINVAL : ENOMEM));
        return;
    }
    check(align >= sizeof(void *) && is_memory(p, bytes));
    enter(block, p, bytes, align);
}

static void op_valloc(void)
{
    struct block *block = emptied();
    size_t bytes = input_bytes();
    call_begins();
    made_aligned(block, fuzz_valloc(bytes), bytes, 4096);
}

static void op_pvalloc(void)
{
    struct block *block = emptied();
    size_t bytes = input_bytes();
    call_begins();
    made_aligned(block, fuzz_pvalloc(bytes), bytes, 4096);
    check(block->p == NULL || block->usable >= 4096);
}

/* Alignments that are none, and far too large ones. */
static void op_bad_align(void)
{
    void *p = &p;
    size_t align = input_word() * 2 + 3;
    size_t bytes = input_bytes();
    if (is_power_of_two(align))
        return;
    errno = ERRNO_MARK;
    check(fuzz_aligned_alloc(align, bytes) == NULL && errno == EINVAL);
    errno = ERRNO_MARK;
    check(fuzz_posix_memalign(&p, align, bytes) == EINVAL && errno == ERRNO_MARK && p == &p);
    check(fuzz_posix_memalign(&p, (size_t)1 << 62, bytes) == ENOMEM && errno == ERRNO_MARK);
    check(fuzz_aligned_alloc((size_t)1 << 63, bytes) == NULL && errno == ENOMEM);
}

/* ---- looking ---- */

static void op_look(void)
{
    const struct block *block = chosen();
    if (block->p != NULL)
        look(block);
    else
        check(fuzz_malloc_usable_size(NULL) == 0);
}

static void op_trim(void)
{
    size_t pad = input_word() * 64;
    errno = ERRNO_MARK;
    int released = fuzz_malloc_trim(pad);
    check((released == 0 || released == 1) && errno == ERRNO_MARK);
}

operation *const block_operations[] = {
    op_malloc,       op_free,         op_calloc,    op_realloc,        op_malloc_many,
    op_free_many,    op_trim,         op_look,      op_memalign,       op_aligned_alloc,
    op_reallocarray, op_realloc_step, op_bad_align, op_posix_memalign, op_valloc,
    op_pvalloc,      op_free_sized,   op_cfree,
};
const size_t n_block_operations = ARRAY_LEN(block_operations);

void *blocks_any(size_t *bytes)
{
    size_t first = input_below(N_BLOCKS);
    for (size_t i = 0; i < N_BLOCKS; i++) {
        struct block *block = &blocks[(first + i) % N_BLOCKS];
        *bytes = block->bytes;
        if (block->p != NULL)
            return block->p;
    }
    return NULL;
}

void blocks_forget(const void *p)
{
    for (size_t i = 0; i < N_BLOCKS; i++) {
        if (blocks[i].p == p)
            blocks[i].p = NULL;
    }
    extent_remove(p);
}

void blocks_end(void)
{
    for (size_t i = 0; i < N_BLOCKS; i++)
        release(&blocks[i]);
}
