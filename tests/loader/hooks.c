/* SPDX-License-Identifier: MIT */
/*
 * Another preloaded library hooks what an allocator may call, and mallocs in the hooks: neither
 * waits for the other for ever, and the program's own calls give what they should.
 */
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

static void *work(void *unused)
{
    for (int round = 0; round < 50; round++) {
        use_malloc(2);
        void *large = malloc(40 << 20); /* with a mapping of its own */
        CHECK(large != NULL);
        fill(large, 5000, (unsigned)round);
        CHECK(is_filled(large, 5000, (unsigned)round));
        free(large);

        char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(page != MAP_FAILED && page[100] == 0);
        CHECK(munmap(page, 4096) == 0);
        int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
        char text[6];
        CHECK(fd >= 0 && read(fd, text, sizeof text) == sizeof text && close(fd) == 0);
        const char *value = getenv("LOADER_HOOKS");
        CHECK(value != NULL && strcmp(value, "a value") == 0);
    }
    return unused;
}

static unsigned count_of(const char *name)
{
    unsigned *count = dlsym(RTLD_DEFAULT, name);
    CHECK(count != NULL);
    return *count;
}

int main(void)
{
    CHECK(is_preloaded());
    pthread_t threads[4];
    work(NULL);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(count_of("n_hooked_mmap") >= 250);
    CHECK(count_of("n_hooked_open") >= 250);
    CHECK(count_of("n_hooked_getenv") >= 250);
    return 0;
}
