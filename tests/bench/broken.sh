#!/bin/sh
# SPDX-License-Identifier: MIT
# Libraries that crash, hang, give out blocks twice or are not there at all have no time.
. "$(dirname "$0")/lib.sh"

# broken NAME WHY OPTION...: compare calls that peer failed in all rows, and none of the others.
broken()
{
    name=$1
    why=$2
    shift 2
    status=0
    compare --quick --peer "$name=$BROKEN/$name.so" --allocators "poolalloc,$name" "$@" || status=$?
    [ "$status" = 1 ] || fail "status $status with $name"
    json_has "all(result['failed'] == (key[1] == '$name') for key, result in results.items())"
    json_has "all('$why' in (result['why'] or '') for key, result in results.items()
        if key[1] == '$name')"
    json_has "all(result[figure]['samples'] == [None] for key, result in results.items()
        for figure in data['units'] if key[1] == '$name')"
    grep -q failed "$scratch/stdout" || fail "no word of $name in the tables"
    leaves_nothing
}

broken overlapping '' --only batches,mixed-sizes,hash-table
broken crashing 'signal 6' --only batches,interner
broken hanging 'no end after 1 s' --only batches --timeout 1
if grep -l -s -F "$BROKEN/hanging.so" /proc/[0-9]*/maps; then fail "a process is left"; fi
broken none 'malloc does not come from' --only pairs,sort

for name in overlapping crashing; do
    "$BENCH/micro" --reps 1 --peer "$name=$BROKEN/$name.so" --allocators "glibc,$name" \
        >"$scratch/stdout" 2>"$scratch/stderr" || :
    grep -q "^$name .*failed.*failed" "$scratch/stdout" || fail "micro has times of $name"
done
