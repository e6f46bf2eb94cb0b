/* SPDX-License-Identifier: MIT */
#include "early_take.h"

#include <stdlib.h>

enum { EARLY_BYTES = 3000 };

static unsigned char *block;

unsigned char *early_block(void)
{
    return block;
}

static int answer(void)
{
    return 42;
}

static int no_memory(void)
{
    return 0;
}

early_function *early_take(void)
{
    void *passing = malloc(100000);
    block = malloc(EARLY_BYTES);
    if (passing == NULL || block == NULL)
        return no_memory;
    for (int i = 0; i < EARLY_BYTES; i++)
        block[i] = (unsigned char)(i * 7);
    free(passing);
    return answer;
}
