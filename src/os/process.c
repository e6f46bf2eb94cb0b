/* SPDX-License-Identifier: MIT */
#include "os/process.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "os/sys.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
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
    for (; envp != NULL && *envp != NULL; envp++) {
        size_t n = 0;
        while (name[n] != '\0' && (*envp)[n] == name[n])
            n++;
        if (name[n] == '\0' && (*envp)[n] == '=')
            return *envp + n + 1;
    }
    return NULL;
}

/* The key's number plus 1; 0: there is none yet. */
static _Atomic uint32_t exit_key;

bool os_thread_at_exit_init(void (*destructor)(void *))
{
    pthread_key_t key;
    uint32_t none = 0;
    if (pthread_key_create(&key, destructor) != 0)
        return atomic_get_acquire(&exit_key) != 0;
    if (!atomic_try_acq_rel(&exit_key, &none, key + 1))
        (void)pthread_key_delete(key); /* another thread was first */
    return true;
}

bool os_thread_at_exit(const void *value)
{
    uint32_t key = atomic_get_acquire(&exit_key);
    return key != 0 && pthread_setspecific(key - 1, value) == 0;
}

/* With little thread-local data the least is enough; libc says so if it is not. */
enum { OWN_STACK_BYTES = 128 * 1024, OWN_STACK_MAX_BYTES = 64 * 1024 * 1024 };

/* Always with attributes that have a size: for the program's defaults libc takes a lock. */
static bool thread_create(pthread_attr_t *attributes, void *(*body)(void *))
{
    pthread_t thread;
    int code = EINVAL;
    for (size_t bytes = OWN_STACK_BYTES; code == EINVAL && bytes <= OWN_STACK_MAX_BYTES;
         bytes *= 2) {
        (void)pthread_attr_setstacksize(attributes, bytes);
        code = pthread_create(&thread, attributes, body, NULL);
    }
    return code == 0;
}

bool os_thread_start(void *(*body)(void *))
{
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;
    int saved_errno = errno;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited */
    bool started = thread_create(&attributes, body);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    errno = saved_errno;
    return started;
}

void os_thread_name(const char *name)
{
    (void)pthread_setname_np(pthread_self(), name);
}

int os_cancel_disable(void)
{
    int before = PTHREAD_CANCEL_ENABLE;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

void os_cancel_restore(int before)
{
    (void)pthread_setcancelstate(before, NULL);
}

bool os_is_main_thread(void)
{
    return sys_gettid() == sys_getpid();
}

/* Since glibc 2.32. */
extern char __libc_single_threaded __attribute__((weak));

bool os_is_single_threaded(void)
{
    return &__libc_single_threaded != NULL && __libc_single_threaded != 0;
}

/* What pthread_atfork calls; that is a piece of libc that is linked into each library, and lies
 * there where nothing else is needed at start. We are never unloaded: the handlers belong to
 * nobody. */
/* NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *dso);

bool os_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    return __register_atfork(prepare, parent, child, NULL) == 0;
}

bool os_at_exit(void (*function)(void))
{
    return atexit(function) == 0;
}

bool os_at_quick_exit(void (*function)(void))
{
    return at_quick_exit(function) == 0;
}

void os_program_name(char *name, size_t bytes)
{
    const char *from = program_invocation_short_name;
    size_t n = 0;
    /* Programs write over their arguments, which the name is in. */
    for (; from != NULL && from[n] != '\0' && n + 1 < bytes; n++)
        name[n] = from[n];
    name[n] = '\0';
    for (n = 0; name[n] != '\0'; n++) {
        if (name[n] == '/')
            name[n] = '_';
    }
}

static _Atomic(void *) sigaction_known;

void os_next_sigaction_find(void)
{
    static READ_BY_ALL const char name[] = "sigaction";
    if (atomic_get_relaxed(&sigaction_known) == NULL)
        atomic_put_relaxed(&sigaction_known, os_next_function(name));
}

int os_next_sigaction(int signal, const struct sigaction *act, struct sigaction *old)
{
    __typeof__(sigaction) *next;
    os_next_sigaction_find();
    *(void **)&next = atomic_get_relaxed(&sigaction_known);
    if (next != NULL)
        return next(signal, act, old);
    errno = ENOSYS;
    return -1;
}

bool os_signal_catch(int signal, os_signal_call *handler)
{
    struct sigaction act = {.sa_sigaction = handler,
                            .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    memset(&act.sa_mask, 0xff, sizeof act.sa_mask);
    /* Not ours (api/signals.c): what that runs are the program's handlers. A static program has
     * libc's alone. */
    return os_next_sigaction(signal, &act, NULL) == 0 ||
           (errno == ENOSYS && sigaction(signal, &act, NULL) == 0);
}

/* libc's, which are in no header. */
extern void _IO_list_lock(void) __attribute__((weak));
extern void _IO_list_unlock(void) __attribute__((weak));
extern void _IO_list_resetlock(void) __attribute__((weak));

void os_streams_lock(void)
{
    if (_IO_list_lock != NULL)
        _IO_list_lock();
}

void os_streams_unlock(void)
{
    if (_IO_list_unlock != NULL)
        _IO_list_unlock();
}

void os_streams_lock_reset(void)
{
    if (_IO_list_resetlock != NULL)
        _IO_list_resetlock();
}
