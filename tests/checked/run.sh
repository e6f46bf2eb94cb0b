#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs a case of misuse with the library preloaded.
#
#     run.sh LIBRARY OPTIONS WORD STATUS PROGRAM CASE BYTES
#
# The first line on its stderr must be "poolalloc: WORD: " and what the program announced on its
# stdout before it did wrong; WORD "none": nothing may be on stderr; "signal": what is there does not
# matter. It must leave with STATUS.
set -u
library=$1 options=$2 word=$3 status=$4
shift 4
scratch=$(mktemp -d "${TMPDIR:-/tmp}/checked.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
ulimit -c 0
LD_PRELOAD=$library POOLALLOC_CONF=$options "$@" >"$scratch/out" 2>"$scratch/err"
left=$?
first=$(head -n 1 "$scratch/err")
announced=$(head -n 1 "$scratch/out")
fail()
{
    echo "$1; status $left, announced '$announced', stderr:" >&2
    cat "$scratch/err" >&2
    exit 1
}
[ "$left" -eq "$status" ] || fail "expected status $status"
[ "$word" != signal ] || exit 0
if [ "$word" = none ]; then
    [ ! -s "$scratch/err" ] || fail "expected nothing on stderr"
    exit 0
fi
case $first in
"poolalloc: $word: $announced, class "[n0-9]*) ;;
*) fail "expected 'poolalloc: $word: $announced, class ...'" ;;
esac
if [ "$word" = fatal ] || [ "$word" = error ]; then
    [ "$(grep -c "^poolalloc: $word: " "$scratch/err")" -eq 1 ] || fail "expected one report"
    grep -q '^poolalloc:   mapping: [0-9a-f]' "$scratch/err" || fail "expected the mapping"
fi
# What is on is not recommended.
case ",$options,$(grep '^poolalloc:   POOLALLOC_CONF=' "$scratch/err" || :)" in
*,track=on,*track=on*would*) fail "expected no word of track=on" ;;
esac
