#!/bin/sh
# SPDX-License-Identifier: MIT
# A program with a malloc of its own does the same with the library as without it, and the library
# knows that it does not serve: nothing is taken from it.
#
#     own_malloc.sh PROGRAM
. "$(dirname "$0")/lib.sh"

"$1" >"$scratch/plain" || fail "status $? without the library"
[ -s "$scratch/plain" ] || fail "no output"
env LD_PRELOAD="$POOLALLOC_LIBRARY" POOLALLOC_CONF=verbose=on,dump=stderr \
    "$1" >"$scratch/out" 2>"$scratch/err" || fail "status $? with the library: $(cat "$scratch/err")"
grep -q 'malloc of its own' "$scratch/err" || fail "the library does not say that it is bypassed"
if grep -q 'dump of process' "$scratch/err"; then
    grep -q '^  in live blocks  *0  ' "$scratch/err" || fail "live blocks: $(cat "$scratch/err")"
fi
diff "$scratch/plain" "$scratch/out" >&2 || fail "other output with the library"
