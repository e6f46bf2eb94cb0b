/* SPDX-License-Identifier: MIT */
/* The same of a function that nobody else sees: it is chosen when this library is relocated. */
#include "early_take.h"

static __attribute__((used)) early_function *resolve(void)
{
    return early_take();
}

static int chosen(void) __attribute__((ifunc("resolve")));

int early_answer(void)
{
    return chosen();
}
