/* SPDX-License-Identifier: MIT */
/*
 * What is done once, when the loader runs our constructor, which is the first of all (linked with
 * -z initfirst): handlers of fork and options. malloc works before it.
 */
#include "api/cxx.h"
#include "conf/options.h"
#include "heap/checked.h"
#include "heap/sample.h"
#include "mem/huge.h"
#include "objects/registry.h"
#include "obs/dump.h"
#include "os/log.h"
#include "os/process.h"
#include "pressure/pressure.h"

/* And what follows from them at once. */
static void take_options(const char *conf, bool is_bypassed)
{
    if (!os_fixed_open()) {
        log_warn("POOLALLOC_CONF: cannot be taken in", NULL, NULL);
        return;
    }
    options_parse(conf);
    log_open(options.log);
    if (!is_bypassed) { /* else libc's functions may be the program's, and not be up yet */
        log_remember_stderr();
        checked_start();
        huge_init();
        if (cxx_checked_start != NULL)
            cxx_checked_start();
    }
    os_fixed_close();
}

static READ_BY_ALL const char conf_name[] = "POOLALLOC_CONF";
static READ_BY_ALL const char watch_name[] = "MEMORY_PRESSURE_WATCH";

/* glibc passes main's arguments to constructors. */
__attribute__((constructor(101))) static void init(int argc, const char *const *argv,
                                                   const char *const *envp)
{
    (void)argc;
    (void)argv;
    heap_fork_also(&registry_fork_hooks);
    heap_fork_init();
    os_foreign_init();
    bool is_bypassed = os_is_bypassed(); /* looks once, while there is one thread */
    const char *conf = os_env(envp, conf_name);
    if (os_is_privileged())
        return;
    if (conf != NULL)
        take_options(conf, is_bypassed);
    if (is_bypassed) {
        if (options.verbose)
            log_warn("the program has a malloc of its own, which serves instead of this one", NULL,
                     NULL);
        return;
    }
    const char *watch = os_env(envp, watch_name);
    if (watch != NULL || conf != NULL)
        pressure_init(watch, os_env(envp, "MEMORY_PRESSURE_WRITE"));
    if (conf == NULL)
        return;
    sample_init();
    dump_init();
    heap_background_init();
}
