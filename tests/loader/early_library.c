/* SPDX-License-Identifier: MIT */
/* A function whose implementation is chosen by a resolver that mallocs: before any constructor,
 * when the program is relocated or calls it for the first time. */
#include "early_take.h"

static __attribute__((used)) early_function *resolve(void)
{
    return early_take();
}

int early_answer(void) __attribute__((ifunc("resolve")));
