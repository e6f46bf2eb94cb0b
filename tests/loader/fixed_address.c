/* SPDX-License-Identifier: MIT */
/* A program linked to a fixed address that takes the addresses of malloc and free: in all of the
 * process they are those of stubs within the program. Its blocks come from the library. */
#include "check.h"

#include <malloc.h>

static void *(*volatile take)(size_t) = malloc;
static void (*volatile give)(void *) = free;

int main(void)
{
    CHECK(is_preloaded());
    size_t before = mallinfo2().uordblks;
    void *block = take(100000);
    CHECK(block != NULL && mallinfo2().uordblks >= before + 100000);
    give(block);
    CHECK(mallinfo2().uordblks < before + 100000);
    use_malloc(10);
    return 0;
}
