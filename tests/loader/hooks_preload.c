/* SPDX-License-Identifier: MIT */
/* A library that hooks mmap, open and getenv, and in each calls dlsym and malloc. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

extern _Atomic unsigned n_hooked_mmap;
extern _Atomic unsigned n_hooked_open;
extern _Atomic unsigned n_hooked_getenv;
_Atomic unsigned n_hooked_mmap;
_Atomic unsigned n_hooked_open;
_Atomic unsigned n_hooked_getenv;

/* Small and large: either may have to ask the kernel. */
static void use_malloc_here(void)
{
    static const size_t sizes[] = {10, 3000, 300000};
    for (int i = 0; i < 3; i++) {
        char *block = malloc(sizes[i]);
        if (block == NULL)
            abort();
        memset(block, i, sizes[i]);
        free(block);
    }
}

void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    __typeof__(mmap) *next;
    *(void **)&next = dlsym(RTLD_NEXT, "mmap");
    n_hooked_mmap++;
    use_malloc_here();
    return next(at, bytes, protection, flags, fd, offset);
}

int open(const char *path, int flags, ...)
{
    __typeof__(open) *next;
    *(void **)&next = dlsym(RTLD_NEXT, "open");
    va_list list;
    va_start(list, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(list, mode_t) : 0;
    va_end(list);
    n_hooked_open++;
    use_malloc_here();
    return next(path, flags, mode);
}

char *getenv(const char *name)
{
    __typeof__(getenv) *next;
    *(void **)&next = dlsym(RTLD_NEXT, "getenv");
    n_hooked_getenv++;
    use_malloc_here();
    return next(name);
}
