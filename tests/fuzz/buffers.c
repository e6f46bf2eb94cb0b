/* SPDX-License-Identifier: MIT */
/* Buffers of poolalloc.h, their slices, and sets that end before their last buffer does. */
#include "base/bits.h"
#include "fuzz.h"
#include "poolalloc.h"

#include <errno.h>

enum { N_BUFFERS = 12, N_SLICES = 3, ERRNO_MARK = EXDEV };

static struct set {
    poolalloc_buffers *set; /* NULL: none */
    size_t bytes;
    size_t align;
    size_t n;
    size_t n_out;
} set;

/* Of this set, or of one that has ended. */
static struct held {
    poolalloc_buffer *buffer; /* NULL: none */
    size_t bytes;
    size_t n_holders; /* without slices */
    poolalloc_slice slices[N_SLICES];
    uint64_t seed;
    bool set_has_ended;
} helds[N_BUFFERS];

static void set_make(void)
{
    set.bytes = 1 + input_word();
    set.align = min_size(input_align(), 4096);
    set.n = 1 + input_below(N_BUFFERS);
    set.n_out = 0;
    size_t refused = system_n_refused();
    set.set = poolalloc_buffers_create(&(struct poolalloc_buffers_options){
        .name = "buffers", .bytes = set.bytes, .align = set.align, .n = set.n});
    check(set.set != NULL || system_n_refused() > refused);
}

static void hold(struct held *held, poolalloc_buffer *buffer)
{
    *held = (struct held){
        .buffer = buffer, .bytes = set.bytes, .n_holders = 1, .seed = pattern_new_seed()};
    char *data = poolalloc_buffer_data(buffer);
    check((uintptr_t)data % set.align == 0);
    check(poolalloc_buffer_bytes(buffer) == set.bytes && poolalloc_buffer_holders(buffer) == 1);
    extent_add(data, set.bytes);
    pattern_fill(data, set.bytes, held->seed);
    set.n_out++;
}

static void buffer_take(struct held *held)
{
    errno = ERRNO_MARK;
    poolalloc_buffer *buffer = poolalloc_buffers_try(set.set);
    if (buffer != NULL) {
        check(set.n_out < set.n && errno == ERRNO_MARK);
        hold(held, buffer);
    } else {
        check(set.n_out == set.n && errno == EAGAIN);
    }
}

static size_t n_slices(const struct held *held)
{
    size_t n = 0;
    for (size_t i = 0; i < N_SLICES; i++)
        n += held->slices[i].buffer != NULL;
    return n;
}

static void look(const struct held *held)
{
    check(poolalloc_buffer_holders(held->buffer) == held->n_holders + n_slices(held));
    pattern_check(poolalloc_buffer_data(held->buffer), held->bytes, held->seed);
}

/* The last holder is about to leave. */
static void forget_if_last(struct held *held)
{
    if (held->n_holders + n_slices(held) > 1)
        return;
    extent_remove(poolalloc_buffer_data(held->buffer));
    set.n_out -= !held->set_has_ended;
}

static void release(struct held *held)
{
    poolalloc_buffer *buffer = held->buffer;
    if (held->n_holders == 0)
        return;
    look(held);
    forget_if_last(held);
    check(poolalloc_buffer_release(buffer) == 0);
    held->n_holders--;
    if (held->n_holders + n_slices(held) == 0)
        held->buffer = NULL;
}

static void slice_take(struct held *held, poolalloc_slice *slice)
{
    size_t offset = input_word();
    size_t bytes = input_word();
    bool is_inside = offset <= held->bytes && bytes <= held->bytes - offset;
    int result = poolalloc_slice_make(held->buffer, offset, bytes, slice);
    check(result == (is_inside ? 0 : -1));
    if (!is_inside) {
        slice->buffer = NULL;
        return;
    }
    check(slice->buffer == held->buffer && slice->bytes == bytes);
    check((char *)slice->data == (char *)poolalloc_buffer_data(held->buffer) + offset);
}

static void slice_release(struct held *held, poolalloc_slice *slice)
{
    look(held);
    forget_if_last(held);
    check(poolalloc_slice_release(slice) == 0 && slice->buffer == NULL && slice->bytes == 0);
    check(poolalloc_slice_release(slice) == 0);
    if (held->n_holders + n_slices(held) == 0)
        held->buffer = NULL;
}

static void op_buffer(void)
{
    struct held *held = &helds[input_below(N_BUFFERS)];
    size_t what = input_below(3 + N_SLICES);
    if (set.set == NULL)
        set_make();
    else if (held->buffer == NULL)
        buffer_take(held);
    else if (what == 0 && held->n_holders > 0)
        held->n_holders += poolalloc_buffer_retain(held->buffer) == held->buffer;
    else if (what < 3)
        release(held);
    else if (held->slices[what - 3].buffer == NULL)
        slice_take(held, &held->slices[what - 3]);
    else
        slice_release(held, &held->slices[what - 3]);
}

static void set_end(void)
{
    check(poolalloc_buffers_destroy(set.set) == set.n_out);
    for (size_t i = 0; i < N_BUFFERS; i++)
        helds[i].set_has_ended = true;
    set.set = NULL;
}

static void op_set(void)
{
    struct poolalloc_buffers_stats stats;
    if (set.set == NULL)
        return;
    size_t what = input_below(4);
    if (what == 0) {
        set_end();
        return;
    }
    if (what == 1)
        (void)poolalloc_buffers_trim(set.set);
    poolalloc_buffers_get_stats(set.set, &stats);
    check(stats.total == set.n && stats.out == set.n_out && stats.waiting == 0);
    check(stats.available == set.n - set.n_out);
}

operation *const buffer_operations[] = {op_buffer, op_set};
const size_t n_buffer_operations = ARRAY_LEN(buffer_operations);

static void let_go(struct held *held)
{
    for (size_t i = 0; i < N_SLICES && held->buffer != NULL; i++) {
        if (held->slices[i].buffer != NULL)
            slice_release(held, &held->slices[i]);
    }
    while (held->buffer != NULL)
        release(held);
}

void buffers_end(void)
{
    if (set.set != NULL)
        set_end();
    for (size_t i = 0; i < N_BUFFERS; i++)
        let_go(&helds[i]);
}
