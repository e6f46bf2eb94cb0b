#!/bin/sh
# SPDX-License-Identifier: MIT
# strace, preloaded as what it follows: the calls that matter are those made without the library.
. "$(dirname "$0")/lib.sh"
need strace
in_use strace -V

mkdir "$scratch/tree"
for i in 1 2 3 4 5 6 7 8 9; do
    echo "$i" >"$scratch/tree/$i"
done
strace -o "$scratch/first" true 2>/dev/null || {
    echo "skipped: strace cannot follow a program here"
    exit 77
}
same strace -f -o "$scratch/calls" ls "$scratch/tree"
grep -qF "$library" "$scratch/calls" || fail "ls does not open the library"
same_output strace -f -c -o "$scratch/table" sh -c 'for i in 1 2 3; do ls / | wc -l; done'
same_output strace -f -e trace=write -e signal=none sh -c "cat $scratch/tree/*"
