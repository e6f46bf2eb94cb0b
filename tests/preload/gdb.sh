#!/bin/sh
# SPDX-License-Identifier: MIT
# gdb, itself preloaded, runs a preloaded program, stops in it, and calls its malloc.
. "$(dirname "$0")/lib.sh"
need gdb gcc
in_use gdb -nx -batch

cat >"$scratch/work.c" <<'END'
#include <stdlib.h>
#include <string.h>
struct node { struct node *next; int value; } *head;
static int stop_here(int value) { return value + 1; }
int main(void)
{
    int sum = 0;
    for (int i = 0; i < 50; i++) {
        struct node *node = malloc(sizeof *node);
        node->next = head;
        node->value = i;
        head = node;
    }
    sum = stop_here(head->value);
    while (head) {
        struct node *next = head->next;
        free(head);
        head = next;
    }
    return sum != 50;
}
END
gcc -g -O0 -o "$scratch/program" "$scratch/work.c"
cat >"$scratch/commands" <<'END'
set confirm off
set pagination off
set width 0
break stop_here
run
print value
up
print head->value + head->next->value
ptype head
print ((char *(*)(const char *))strdup)("a string in the program")[2]
python print(sum(len(str(i)) for i in range(200000)))
info line stop_here
python open("libraries", "w").write(gdb.execute("info sharedlibrary", to_string=True))
continue
print $_exitcode
END
# Where the machine allows no tracing there is nothing to test.
gdb -nx -batch -ex 'run' --args true >"$scratch/first" 2>&1 || :
grep -q 'exited normally' "$scratch/first" || {
    echo "skipped: gdb cannot run a program here"
    exit 77
}
work()
{
    run gdb -nx -batch -x "$scratch/commands" "$scratch/program" | sed 's/process [0-9]*/process/'
}
same_work
grep -qF "$library" "$scratch/preloaded/libraries" || fail "the program has not loaded the library"
grep -q '^\$[0-9]* = 0$' "$scratch/preloaded.out" || fail "the program ended otherwise"
