/* SPDX-License-Identifier: MIT */
#include "os/process.h"

#include "base/atomic.h"
#include "base/bits.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

uint64_t os_random_bits(void)
{
    uint64_t bits[2] = {0, 0};
    const void *given = (const void *)getauxval(AT_RANDOM);
    if (given != NULL)
        memcpy(bits, given, sizeof bits);
    /* The stack protector takes its canary from the first word: never let one tell the other. */
    return mix_bits(bits[0] ^ mix_bits(bits[1] ^ (uintptr_t)given));
}

size_t os_auxv_page_bytes(void)
{
    return getauxval(AT_PAGESZ);
}

bool os_is_privileged(void)
{
    return getauxval(AT_SECURE) != 0;
}

const char *os_env(const char *const *envp, const char *name)
{
    size_t length = strlen(name);
    for (; envp != NULL && *envp != NULL; envp++) {
        if (strncmp(*envp, name, length) == 0 && (*envp)[length] == '=')
            return *envp + length + 1;
    }
    return NULL;
}

static pthread_key_t exit_key;
static _Atomic bool exit_key_made;

bool os_thread_at_exit_init(void (*destructor)(void *))
{
    if (pthread_key_create(&exit_key, destructor) != 0)
        return false;
    atomic_put_release(&exit_key_made, true);
    return true;
}

bool os_thread_at_exit(const void *value)
{
    return atomic_get_acquire(&exit_key_made) && pthread_setspecific(exit_key, value) == 0;
}

bool os_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    return pthread_atfork(prepare, parent, child) == 0;
}

bool os_at_exit(void (*function)(void))
{
    return atexit(function) == 0;
}
