#!/bin/sh
# SPDX-License-Identifier: MIT
# heaptrack preloads a library of its own before ours, and counts what a program allocates.
. "$(dirname "$0")/lib.sh"
need heaptrack heaptrack_print gcc

cat >"$scratch/work.c" <<'END'
#include <stdlib.h>
#include <stdio.h>
int main(void)
{
    char line[500];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps))
        fputs(line, stderr);
    fclose(maps);
    static void *volatile blocks[5000];
    for (int i = 0; i < 5000; i++)
        blocks[i] = malloc(i + 1);
    for (int i = 0; i < 5000; i += 2)
        free(blocks[i]);
    puts("done");
    return 0;
}
END
gcc -g -O0 -o "$scratch/program" "$scratch/work.c"
work()
{
    # heaptrack is a script that names its own library in LD_PRELOAD, before what it finds there.
    run heaptrack -o "$PWD/data" "$scratch/program" >messages
    grep '^done$' messages || fail "$side: $(tail -n 5 messages)"
    [ "$side" = plain ] || grep -qF "$library" "$scratch/run.err" ||
        fail "the library is not mapped into the program"
    calls=$(run heaptrack_print data.* | sed -n 's/^calls to allocation functions: \([0-9]*\).*/\1/p')
    [ "$calls" -ge 5000 ] || fail "$side: heaptrack counted $calls calls"
}
same_work
