#!/bin/sh
# SPDX-License-Identifier: MIT
# A program with a sanitizer. If the sanitizer's runtime is in the program, that is a program with a
# malloc of its own. The address sanitizer's as a shared library ends the program with a line that
# says why; it works when that library is preloaded before ours. With the thread sanitizer's as a shared
# library ours serves.
#
#     sanitized.sh PROGRAM
. "$(dirname "$0")/lib.sh"

"$1" >"$scratch/plain" 2>"$scratch/err" || {
    echo "skipped: the sanitizer does not work here: $(cat "$scratch/err")"
    exit 77
}
runtime=$(ldd "$1" | awk '/libasan|libclang_rt.asan/ { print $3 }')
if ldd "$1" | grep -q libtsan; then
    env LD_PRELOAD="$POOLALLOC_LIBRARY" POOLALLOC_CONF=dump=stderr "$1" >"$scratch/out" \
        2>"$scratch/err" || fail "status $? with the library: $(cat "$scratch/err")"
    diff "$scratch/plain" "$scratch/out" >&2 || fail "other output with the library"
    grep -q 'poolalloc: dump' "$scratch/err" || fail "the library does not serve"
    exit 0
fi
[ -n "$runtime" ] || exec sh "$(dirname "$0")/own_malloc.sh" "$1"

status=0
env LD_PRELOAD="$POOLALLOC_LIBRARY" "$1" >"$scratch/out" 2>"$scratch/err" || status=$?
[ "$status" -eq 1 ] || fail "status $status, not 1: $(cat "$scratch/err")"
grep -q 'ASan runtime does not come first in initial library list' "$scratch/err" ||
    fail "it does not say why: $(cat "$scratch/err")"
env LD_PRELOAD="$runtime:$POOLALLOC_LIBRARY" "$1" >"$scratch/out" ||
    fail "status $? with the runtime before the library"
diff "$scratch/plain" "$scratch/out" >&2 || fail "other output with the library"
