/* SPDX-License-Identifier: MIT */
/* A buffer is back when its last slice is released. */
#include <assert.h>
#include <poolalloc.h>
#include <string.h>

int main(void)
{
    poolalloc_buffers *set = poolalloc_buffers_create(&(struct poolalloc_buffers_options){
        .name = "input", .bytes = 65536, .align = 4096, .n = 2});
    poolalloc_buffer *buffer = poolalloc_buffers_acquire(set);
    strcpy(poolalloc_buffer_data(buffer), "GET /index.html");
    poolalloc_slice path;
    assert(poolalloc_slice_make(buffer, 4, 11, &path) == 0);
    poolalloc_buffer_release(buffer); /* the slice holds it */
    assert(memcmp(path.data, "/index.html", path.bytes) == 0);
    poolalloc_slice_release(&path);
    assert(poolalloc_buffers_destroy(set) == 0);
    return 0;
}
