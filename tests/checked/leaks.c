/* SPDX-License-Identifier: MIT */
/* Ends with 10 blocks of 100 bytes, made by one function, and a larger one, made by another. */
#include <stdlib.h>

__attribute__((noinline)) void *make_small(void);
__attribute__((noinline)) void *make_large(void);

void *volatile kept;

void *make_small(void)
{
    void *p = malloc(100);
    kept = p;
    return p;
}

void *make_large(void)
{
    void *p = calloc(1, 200000);
    kept = p;
    return p;
}

int main(void)
{
    for (int i = 0; i < 10; i++) {
        free(make_small());
        (void)make_small();
    }
    free(make_large());
    (void)make_large();
    return EXIT_SUCCESS;
}
