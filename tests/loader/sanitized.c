/* SPDX-License-Identifier: MIT */
/* A program for sanitizers, which bring a malloc of their own. */
#include "check.h"

int main(void)
{
    use_malloc(100);
    puts("done");
    return 0;
}
