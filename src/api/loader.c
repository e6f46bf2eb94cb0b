/* SPDX-License-Identifier: MIT */
/*
 * dlopen without RTLD_DEEPBIND. A library opened with it finds libc's malloc and free before ours,
 * and frees blocks of ours with libc's free: the program ends. Without it the library finds what
 * the program finds.
 *
 * libc tells by the return address who calls, and looks in that library's RUNPATH: our dlopen must
 * be gone from the stack when libc's runs. This file is always compiled with optimisation, which
 * makes a jump of the call; tests/preload proves it.
 */
#include "api/next.h"
#include "conf/options.h"

#include <dlfcn.h>

EXPORT void *dlopen(const char *file, int mode)
{
    static _Atomic(void *) known;
    __typeof__(dlopen) *next;
    *(void **)&next = next_known(&known, "dlopen");
    if (UNLIKELY(next == NULL))
        return NULL;
    if (!options.deepbind && !os_is_bypassed())
        mode &= ~RTLD_DEEPBIND;
    return next(file, mode);
}
