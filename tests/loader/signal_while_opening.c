/* SPDX-License-Identifier: MIT */
/* Opens a library whose constructor waits for a thread that installs a handler. */
#include "check.h"

int main(int argc, char **argv)
{
    CHECK(argc == 2 && is_preloaded());
    CHECK(dlopen(argv[1], RTLD_NOW) != NULL);
    return 0;
}
