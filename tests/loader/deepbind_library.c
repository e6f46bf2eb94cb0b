/* SPDX-License-Identifier: MIT */
/* A library to open with RTLD_DEEPBIND: gets and frees blocks, and tells whose names it finds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *deep_strdup(const char *text);
char *deep_line(FILE *file);
void *deep_malloc(size_t bytes);
void *deep_realloc(void *block, size_t bytes);
void deep_free(void *block);
const char *deep_whose(void);
const char *whose(void);

const char *whose(void)
{
    return "library";
}

const char *deep_whose(void)
{
    return whose();
}

char *deep_strdup(const char *text)
{
    return strdup(text);
}

char *deep_line(FILE *file)
{
    char *line = NULL;
    size_t bytes = 0;
    if (getline(&line, &bytes, file) < 0) {
        free(line);
        return NULL;
    }
    return line;
}

void *deep_malloc(size_t bytes)
{
    return malloc(bytes);
}

void *deep_realloc(void *block, size_t bytes)
{
    return realloc(block, bytes);
}

void deep_free(void *block)
{
    free(block);
}
