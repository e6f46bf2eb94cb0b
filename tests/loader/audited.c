/* SPDX-License-Identifier: MIT */
/* A program that is watched by an LD_AUDIT library with a malloc of its own: both work. */
#include "check.h"

#include <pthread.h>

static void *work(void *unused)
{
    use_malloc(300);
    return unused;
}

int main(void)
{
    CHECK(is_preloaded());
    pthread_t thread;
    work(NULL);
    CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    void *library = dlopen("libm.so.6", RTLD_NOW);
    CHECK(library != NULL && dlsym(library, "cos") != NULL && dlclose(library) == 0);
    puts("done");
    return 0;
}
