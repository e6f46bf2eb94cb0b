/* SPDX-License-Identifier: MIT */
/* CHECK, and blocks whose bytes are told by a number, for the programs of this folder. */
#ifndef LOADER_CHECK_H
#define LOADER_CHECK_H

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Also between fork and exec, and where malloc may be what is broken: no buffers, no handlers. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            check_failed(__FILE__, __LINE__, #condition);                                          \
    } while (0)

static inline void check_failed(const char *file, int line, const char *what)
{
    char text[512];
    int n = snprintf(text, sizeof text, "FAILED: %s:%d: %s\n", file, line, what);
    if (n > 0)
        (void)!write(2, text, strlen(text));
    _exit(1);
}

/* A test of a library that is not there would pass. */
static inline int is_preloaded(void)
{
    return dlsym(RTLD_DEFAULT, "poolalloc_version") != NULL;
}

static inline void fill(void *block, size_t bytes, unsigned number)
{
    for (size_t i = 0; i < bytes; i++)
        ((unsigned char *)block)[i] = (unsigned char)(number * 31 + i * 7 + 1);
}

static inline int is_filled(const void *block, size_t bytes, unsigned number)
{
    for (size_t i = 0; i < bytes; i++) {
        if (((const unsigned char *)block)[i] != (unsigned char)(number * 31 + i * 7 + 1))
            return 0;
    }
    return 1;
}

/* Takes, fills, checks and returns blocks of every kind: small, of some classes, large. */
static inline void use_malloc(unsigned rounds)
{
    static const size_t sizes[] = {1, 24, 100, 700, 5000, 33000, 200000};
    void *blocks[7];
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < 7; i++) {
            blocks[i] = malloc(sizes[i]);
            CHECK(blocks[i] != NULL);
            fill(blocks[i], sizes[i] < 6000 ? sizes[i] : 6000, round + i);
        }
        for (unsigned i = 0; i < 7; i++) {
            CHECK(is_filled(blocks[i], sizes[i] < 6000 ? sizes[i] : 6000, round + i));
            free(blocks[i]);
        }
    }
}

#endif
