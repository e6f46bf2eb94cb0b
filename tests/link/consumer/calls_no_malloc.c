/* SPDX-License-Identifier: MIT */
/*
 * Only libc calls malloc here. The block's place in memory tells whose it is: a block of libc's
 * begins 16 bytes into a page at the earliest, one of ours of this size on a page's border.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    static char text[4096];
    memset(text, 'x', sizeof text - 1);
    char *copy = strdup(text);
    if (copy == NULL || strcmp(copy, text) != 0 || (uintptr_t)copy % sizeof text != 0) {
        (void)fprintf(stderr, "the copy at %p is not the library's\n", (void *)copy);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
