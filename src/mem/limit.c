/* SPDX-License-Identifier: MIT */
#include "mem/limit.h"

struct memory_limits memory_limits = {
    .hard_bytes = LIMIT_NONE,
    .soft_bytes = LIMIT_NONE,
    .look_bytes = LIMIT_NONE,
};
