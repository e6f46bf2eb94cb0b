/* SPDX-License-Identifier: MIT */
/*
 * malloc is called before any constructor has run: by an ifunc resolver, and from
 * .preinit_array. The blocks keep their bytes, and are freed by main.
 */
#include "check.h"
#include "early_take.h"

#include <malloc.h>

static unsigned char *preinit_blocks[200];
static volatile int constructed; /* or clang has it set before the program starts */
static int preinit_came_first;

static void preinit(void)
{
    preinit_came_first = !constructed;
    for (unsigned i = 0; i < 200; i++) {
        preinit_blocks[i] = malloc(i * i + 1);
        if (preinit_blocks[i] != NULL)
            fill(preinit_blocks[i], i * i + 1, i);
    }
    for (unsigned i = 0; i < 200; i += 2) {
        free(preinit_blocks[i]);
        preinit_blocks[i] = NULL;
    }
}

__attribute__((section(".preinit_array"), used)) static void (*const preinit_entry)(void) = preinit;

__attribute__((constructor)) static void construct(void)
{
    constructed = 1;
}

int main(void)
{
    CHECK(is_preloaded());
    CHECK(preinit_came_first && constructed);
    CHECK(early_answer() == 42 && early_block() != NULL);
    use_malloc(100);
    unsigned char *block = early_block();
    for (int i = 0; i < 3000; i++)
        CHECK(block[i] == (unsigned char)(i * 7));
    block = realloc(block, 6000);
    CHECK(block != NULL);
    for (int i = 0; i < 3000; i++)
        CHECK(block[i] == (unsigned char)(i * 7));
    free(block);
    for (unsigned i = 1; i < 200; i += 2) {
        CHECK(preinit_blocks[i] != NULL && malloc_usable_size(preinit_blocks[i]) >= i * i + 1);
        CHECK(is_filled(preinit_blocks[i], i * i + 1, i));
        free(preinit_blocks[i]);
    }
    use_malloc(100);
    return 0;
}
