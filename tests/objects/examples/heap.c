/* SPDX-License-Identifier: MIT */
/* A plug-in's memory: it frees what it likes by free(); what it forgets ends with its heap. */
#include <assert.h>
#include <poolalloc.h>
#include <stdlib.h>
#include <string.h>

static void run(poolalloc_heap *heap)
{
    char *kept = poolalloc_heap_malloc(heap, 100);
    char *text = poolalloc_heap_calloc(heap, 10, 10);
    text = realloc(text, 100000); /* still in the heap */
    strcpy(kept, "forgotten");
    strcpy(text, "freed");
    free(text);
}

int main(void)
{
    poolalloc_heap *heap = poolalloc_heap_create(
        &(struct poolalloc_heap_options){.name = "plug-in", .max_bytes = 1 << 20});
    run(heap);
    assert(poolalloc_heap_malloc(heap, 1 << 20) == NULL); /* more than it may have */
    assert(poolalloc_heap_destroy(heap) == 1);
    return 0;
}
