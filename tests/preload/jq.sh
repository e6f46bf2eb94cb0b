#!/bin/sh
# SPDX-License-Identifier: MIT
# jq parses, sorts, groups and prints a large document.
. "$(dirname "$0")/lib.sh"
need jq
in_use jq -n 1

awk 'BEGIN {
    for (i = 0; i < 20000; i++)
        printf "{\"i\": %d, \"n\": %d, \"list\": [%d, \"a\\u00e9\", null, {\"x\": %s}]}\n", i,
            i * 7919 % 1009, i % 7, i % 2 ? "true" : "1.5e3"
}' >"$scratch/data"
same jq -c -s 'group_by(.n)[:20] | map({n: .[0].n, sum: map(.i) | add, all: map(.list[3].x)})' \
    "$scratch/data"
same jq -r 'select(.list[0] == 3) | [.i, .n, (.list | tojson)] | @csv' "$scratch/data"
same jq -s 'map(tostring | gsub("(?<d>[0-9]+)7"; "<\(.d)>")) | sort | unique | length' "$scratch/data"
same jq --stream -c 'select(length == 2)' "$scratch/data"
