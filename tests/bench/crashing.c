/* SPDX-License-Identifier: MIT */
/* libc's malloc until some thousand blocks have been freed, then the end. */
#include <stdlib.h>

extern void __libc_free(void *block);
extern void *__libc_malloc(size_t n_bytes);

enum { N_FREES = 3000 };

void *malloc(size_t n_bytes)
{
    return __libc_malloc(n_bytes);
}

void free(void *block)
{
    static int n;
    if (block != NULL && ++n > N_FREES) {
        abort();
    }
    __libc_free(block);
}
