/* SPDX-License-Identifier: MIT */
#include "poolalloc.h"

#include "base/compiler.h"

#define STRING_OF(x) #x
#define STRING(x)    STRING_OF(x)
#define VERSION_STRING                                                                             \
    STRING(POOLALLOC_VERSION_MAJOR)                                                                \
    "." STRING(POOLALLOC_VERSION_MINOR) "." STRING(POOLALLOC_VERSION_PATCH)

EXPORT const char *poolalloc_version(void)
{
    return VERSION_STRING;
}
