/* SPDX-License-Identifier: MIT */
/*
 * A C program that brings malloc, calloc, realloc and free, and no other of that family. Tells for
 * all that gives blocks whether they are its own, and how often it was called.
 */
#include "check.h"
#include "own_malloc.h"

#include <malloc.h>
#include <pthread.h>
#include <wchar.h>

void *malloc(size_t bytes)
{
    return own_malloc(bytes);
}

void free(void *p)
{
    CHECK(own_free(p));
}

void *calloc(size_t n, size_t each)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, each, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return own_malloc(bytes); /* never used before, hence zero */
}

void *realloc(void *p, size_t bytes)
{
    void *to = own_malloc(bytes);
    if (p != NULL && to != NULL) {
        CHECK(own_is_block(p) && own_header_of(p)->magic == OWN_MAGIC);
        size_t old = own_header_of(p)->bytes;
        memcpy(to, p, old < bytes ? old : bytes);
        CHECK(own_free(p));
    }
    return to;
}

/* The block, its owner told. */
static void *tell(const char *what, void *block)
{
    CHECK(block != NULL);
    printf("%-16s %s\n", what, own_is_block(block) ? "own" : "strange");
    return block;
}

static void *in_thread(void *unused)
{
    (void)unused;
    return malloc(77);
}

int main(void)
{
    char *p = tell("malloc", malloc(100));
    fill(p, 100, 1);
    p = tell("realloc", realloc(p, 1000));
    CHECK(is_filled(p, 100, 1));
    p = tell("reallocarray", reallocarray(p, 30, 100));
    CHECK(is_filled(p, 100, 1));
    free(p);
    errno = 0;
    volatile size_t much = SIZE_MAX / 2;
    printf("reallocarray     %d", reallocarray(NULL, much, 3) == NULL);
    printf(" %s\n", strerror(errno));

    p = tell("calloc", calloc(10, 10));
    for (int i = 0; i < 100; i++)
        CHECK(p[i] == 0);
    free(p);
    free(tell("strdup", strdup("a text")));
    free(tell("strndup", strndup("a text", 3)));
    free(tell("wcsdup", wcsdup(L"a text")));

    char *text = NULL;
    CHECK(asprintf(&text, "%d %s", 42, "texts") == 8 && strcmp(text, "42 texts") == 0);
    free(tell("asprintf", text));
    text = NULL;
    size_t bytes = 0;
    FILE *file = open_memstream(&text, &bytes);
    CHECK(file != NULL && fputs("streamed", file) >= 0 && fclose(file) == 0);
    CHECK(strcmp(text, "streamed") == 0);
    free(tell("open_memstream", text));
    free(tell("realpath", realpath("/", NULL)));
    free(tell("getcwd", getcwd(NULL, 0)));

    void *aligned = NULL;
    CHECK(posix_memalign(&aligned, 64, 1000) == 0 && (uintptr_t)aligned % 64 == 0);
    fill(aligned, 1000, 2);
    tell("posix_memalign", aligned);
    printf("usable size      %zu\n", malloc_usable_size(aligned));
    free(aligned);
    printf("posix_memalign   %d\n", posix_memalign(&aligned, 3, 1000));
    free(tell("aligned_alloc", aligned_alloc(256, 512)));
    free(tell("memalign", memalign(4096, 100)));
    free(tell("valloc", valloc(100)));
    free(tell("pvalloc", pvalloc(100)));
    printf("usable size      %zu\n", malloc_usable_size(NULL));

    pthread_t thread;
    void *result;
    CHECK(pthread_create(&thread, NULL, in_thread, NULL) == 0);
    CHECK(pthread_join(thread, &result) == 0);
    free(tell("in a thread", result));

    printf("%u allocs, %u frees, %u strangers\n", own_allocs, own_frees, own_strangers);
    return 0;
}
