/* SPDX-License-Identifier: MIT */
/* Each frame may look at what the one before has left. */
#include <assert.h>
#include <poolalloc.h>

int main(void)
{
    poolalloc_frame *frame = poolalloc_frame_create(2, NULL);
    const int *before = NULL;
    for (int i = 0; i < 1000; i++) {
        (void)poolalloc_frame_begin(frame);
        int *now = poolalloc_frame_alloc(frame, sizeof *now);
        *now = before != NULL ? *before + 1 : 1;
        before = now;
    }
    assert(*before == 1000);
    poolalloc_frame_destroy(frame);
    return 0;
}
