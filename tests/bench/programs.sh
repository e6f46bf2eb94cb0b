#!/bin/sh
# SPDX-License-Identifier: MIT
# A real program that fails under a library, or that the preload does not reach, has no time.
. "$(dirname "$0")/lib.sh"

status=0
compare --quick --peer "overlapping=$BROKEN/overlapping.so" --allocators glibc,overlapping \
    --only perl,sort || status=$?
[ "$status" = 1 ] || fail "status $status with blocks that overlap"
json_has "any(result['failed'] for key, result in results.items() if key[1] == 'overlapping')"
json_has "not any(result['failed'] for key, result in results.items() if key[1] == 'glibc')"
leaves_nothing

# The witness sees which malloc a process has. $1: expected, $2: what is preloaded with it, or
# nothing, $3: what comes out.
witnessed()
{
    : >"$scratch/witnessed"
    env LD_PRELOAD="$BENCH/witness.so:$2" WITNESS_LIBRARY="$1" \
        WITNESS_FILE="$scratch/witnessed" true
    grep -q -x "true $3" "$scratch/witnessed" || fail "the witness says $(cat "$scratch/witnessed")"
}
witnessed "$POOLALLOC_LIBRARY" "$POOLALLOC_LIBRARY" ok
witnessed - '' ok
witnessed "$POOLALLOC_LIBRARY" '' '/.*/libc.*'
witnessed - "$POOLALLOC_LIBRARY" '/.*poolalloc.*'
