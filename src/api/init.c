/* SPDX-License-Identifier: MIT */
/*
 * What is done once, when the loader runs our constructor, which is the first of all (linked with
 * -z initfirst): handlers of fork and options. malloc works before it.
 */
#include "conf/options.h"
#include "heap/heap.h"
#include "obs/dump.h"
#include "os/process.h"
#include "os/text.h"
#include "pressure/pressure.h"

/* glibc passes main's arguments to constructors. */
__attribute__((constructor(101))) static void init(int argc, const char *const *argv,
                                                   const char *const *envp)
{
    (void)argc;
    (void)argv;
    heap_fork_init();
    os_foreign_init();
    bool is_bypassed = os_is_bypassed(); /* looks once, while there is one thread */
    if (os_is_privileged())
        return;
    options_parse(os_env(envp, "POOLALLOC_CONF"));
    if (is_bypassed) {
        if (options.verbose)
            text_warn("the program has a malloc of its own, which serves instead of this one", NULL,
                      NULL);
        return;
    }
    pressure_init(os_env(envp, "MEMORY_PRESSURE_WATCH"), os_env(envp, "MEMORY_PRESSURE_WRITE"));
    dump_init();
    heap_background_start();
}
