/* SPDX-License-Identifier: MIT */
/*
 * What is done once, when the loader runs our constructor. Everything works without it and before
 * it: the first malloc usually comes from the loader itself.
 */
#include "conf/options.h"
#include "heap/heap.h"
#include "obs/dump.h"
#include "os/process.h"

/* glibc passes main's arguments to constructors. */
__attribute__((constructor(101))) static void init(int argc, const char *const *argv,
                                                   const char *const *envp)
{
    (void)argc;
    (void)argv;
    os_foreign_init();
    heap_threads_init();
    heap_fork_init();
    if (!os_is_privileged())
        options_parse(os_env(envp, "POOLALLOC_CONF"));
    dump_init();
}
