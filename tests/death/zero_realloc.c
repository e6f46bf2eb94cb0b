/* SPDX-License-Identifier: MIT */
/*
 * realloc and reallocarray of a block to 0 bytes: fatal by the option zero_realloc=abort. Of NULL
 * it never is.
 */
#include "fault.h"

#include <stdlib.h>

static size_t opaque_size(size_t bytes)
{
    __asm__("" : "+r"(bytes));
    return bytes;
}

static void of_block(size_t bytes)
{
    void *p = block_take(bytes);
    expect(REALLOC_TO_0, p, bytes);
    (void)realloc_to_0(p);
    give_up("nothing was noticed");
}

static void array_of_none(size_t bytes)
{
    void *p = block_take(bytes);
    expect(REALLOC_TO_0, p, bytes);
    (void)opaque(reallocarray(opaque(p), opaque_size(0), 8));
    give_up("nothing was noticed");
}

static void array_of_nothing(size_t bytes)
{
    void *p = block_take(bytes);
    expect(REALLOC_TO_0, p, bytes);
    (void)opaque(reallocarray(opaque(p), 8, opaque_size(0)));
    give_up("nothing was noticed");
}

static void of_null(size_t bytes)
{
    void *p = realloc_to_0(NULL);
    void *array = opaque(reallocarray(NULL, opaque_size(bytes), 8));
    if (p == NULL || array == NULL)
        give_up("NULL did not become a block");
    free(p);
    free(array);
}

static void allowed(size_t bytes)
{
    free(realloc_to_0(block_take(bytes)));
}

int main(int argc, char **argv)
{
    static const struct fault_case cases[] = {
        {"block", of_block},
        {"array-of-none", array_of_none},
        {"array-of-nothing", array_of_nothing},
        {"null", of_null},
        {"allowed", allowed},
    };
    return fault_main(argc, argv, cases, ARRAY_LEN(cases));
}
