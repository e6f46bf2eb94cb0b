/* SPDX-License-Identifier: MIT */
#include "os/barrier.h"

#include "os/sys.h"

#include <errno.h>

bool os_barrier_init(void)
{
    return sys_barrier_register() == 0;
}

bool os_barrier_all(void)
{
    return sys_barrier() == 0;
}

bool os_thread_is_there(uint32_t id)
{
    return sys_thread_probe(id) != -ESRCH;
}
