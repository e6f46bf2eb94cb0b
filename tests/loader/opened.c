/* SPDX-License-Identifier: MIT */
/*
 * The library itself is opened and closed three times, in a program where it is preloaded or is
 * not. The program's blocks stay what they are, and so do those that its malloc gave.
 *
 *     opened LIBRARY yes|no
 */
#include "check.h"

#include <pthread.h>

static void *library_malloc_block;
static pthread_barrier_t opened;

static void *old_thread(void *unused)
{
    char *block = malloc(1000);
    CHECK(block != NULL);
    fill(block, 1000, 7);
    (void)pthread_barrier_wait(&opened); /* before it is opened */
    (void)pthread_barrier_wait(&opened); /* after */
    CHECK(is_filled(block, 1000, 7));
    free(block);
    use_malloc(100);
    return unused;
}

static void *new_thread(void *unused)
{
    use_malloc(100);
    return unused;
}

static void open_and_close(const char *file, int preloaded)
{
    void *library = dlopen(file, RTLD_NOW);
    if (library == NULL)
        puts(dlerror());
    CHECK(library != NULL);
    void *(*its_malloc)(size_t);
    void (*its_free)(void *);
    *(void **)&its_malloc = dlsym(library, "malloc");
    *(void **)&its_free = dlsym(library, "free");
    CHECK(its_malloc != NULL && its_free != NULL);
    CHECK((its_malloc == malloc) == preloaded);
    CHECK((dlsym(library, "poolalloc_version") == dlsym(RTLD_DEFAULT, "poolalloc_version")) ==
          preloaded);

    /* The one that the round before gave, from what was opened then. */
    if (library_malloc_block != NULL) {
        CHECK(is_filled(library_malloc_block, 5000, 9));
        its_free(library_malloc_block);
    }
    library_malloc_block = its_malloc(5000);
    CHECK(library_malloc_block != NULL);
    fill(library_malloc_block, 5000, 9);
    use_malloc(10);
    CHECK(dlclose(library) == 0);
    use_malloc(10);
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    int preloaded = strcmp(argv[2], "yes") == 0;
    CHECK(is_preloaded() == preloaded);
    char *before[100];
    for (unsigned i = 0; i < 100; i++) {
        before[i] = malloc(i * 100 + 1);
        CHECK(before[i] != NULL);
        fill(before[i], i * 100 + 1, i);
    }
    CHECK(pthread_barrier_init(&opened, NULL, 3) == 0);
    pthread_t old[2];
    pthread_t new[2];
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&old[i], NULL, old_thread, NULL) == 0);
    (void)pthread_barrier_wait(&opened);
    for (int i = 0; i < 3; i++)
        open_and_close(argv[1], preloaded);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&new[i], NULL, new_thread, NULL) == 0);
    (void)pthread_barrier_wait(&opened);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(old[i], NULL) == 0 && pthread_join(new[i], NULL) == 0);
    for (unsigned i = 0; i < 100; i++) {
        CHECK(is_filled(before[i], i * 100 + 1, i));
        before[i] = realloc(before[i], i * 100 + 2000);
        CHECK(before[i] != NULL && is_filled(before[i], i * 100 + 1, i));
        free(before[i]);
    }
    return 0;
}
