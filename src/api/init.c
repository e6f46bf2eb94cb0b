/* SPDX-License-Identifier: MIT */
/*
 * What is done once, when the loader runs our constructor: options. Everything works without it and
 * before it, and a process that sets no options pays for nothing here.
 */
#include "conf/options.h"
#include "obs/dump.h"
#include "os/process.h"

/* glibc passes main's arguments to constructors. */
__attribute__((constructor(101))) static void init(int argc, const char *const *argv,
                                                   const char *const *envp)
{
    (void)argc;
    (void)argv;
    const char *conf = os_env(envp, "POOLALLOC_CONF");
    if (conf == NULL || os_is_privileged())
        return;
    options_parse(conf);
    dump_init();
}
