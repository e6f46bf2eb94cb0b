/* SPDX-License-Identifier: MIT */
/* A function whose implementation is chosen, before any constructor, by a resolver that mallocs. */
#include <stdlib.h>

extern unsigned char *early_block;
unsigned char *early_block;
int early_answer(void);

enum { EARLY_BYTES = 3000 };

static int answer(void)
{
    return 42;
}

static int no_memory(void)
{
    return 0;
}

static __attribute__((used)) int (*resolve(void))(void)
{
    void *passing = malloc(100000);
    early_block = malloc(EARLY_BYTES);
    if (passing == NULL || early_block == NULL)
        return no_memory;
    for (int i = 0; i < EARLY_BYTES; i++)
        early_block[i] = (unsigned char)(i * 7);
    free(passing);
    return answer;
}

int early_answer(void) __attribute__((ifunc("resolve")));
