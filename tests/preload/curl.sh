#!/bin/sh
# SPDX-License-Identifier: MIT
# curl reads files through its transfer code, many at once, and starts and ends its TLS library.
. "$(dirname "$0")/lib.sh"
need curl
in_use curl -V

cd "$scratch"
for i in 1 2 3 4 5 6 7 8 9; do
    awk -v n="$((i * i * 300))" 'BEGIN { for (i = 0; i < n; i++) print "line", i }' >"part$i"
done
same curl -sS "file://$scratch/part[1-9]"
preloaded curl -sS --parallel "file://$scratch/part[1-9]" -o 'copy#1' ||
    fail "--parallel: status $?"
for i in 1 2 3 4 5 6 7 8 9; do
    cmp "part$i" "copy$i" || fail "part$i was copied otherwise"
done
same curl -V
# What nothing listens on: the ways out after an error.
status=0
preloaded curl -s "https://127.0.0.1:1/" || status=$?
[ "$status" -eq 7 ] || fail "status $status from a connection that is refused"
