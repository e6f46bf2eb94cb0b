/* SPDX-License-Identifier: MIT */
/* What the resolvers of early_library.c and early_inner.c do: they malloc. And what the program
 * sees of that. */
#ifndef LOADER_EARLY_TAKE_H
#define LOADER_EARLY_TAKE_H

typedef int early_function(void);

/* A function that returns 42; another if there is no memory. */
__attribute__((visibility("hidden"))) early_function *early_take(void);

/* What it has taken. */
unsigned char *early_block(void);

int early_answer(void);

#endif
