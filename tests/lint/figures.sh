#!/bin/sh
# SPDX-License-Identifier: MIT
# LD_PRELOAD.md's tables of figures have the rows of src/obs/counters.h, src/objects/registry.h and src/os/calls.h: the same
# names, kinds, units and meanings, in the same order.
. "$(dirname "$0")/lib.sh"

manual=LD_PRELOAD.md
tables="src/obs/counters.h src/objects/registry.h src/os/calls.h"
for file in $manual $tables; do
    [ -f "$file" ] || {
        fault "there is no $file"
        verdict figures 0
    }
done

# "table: cell | cell | ..." for each X(cell, cell, ..., "meaning") of a table; the name of a kind of
# system call is its second cell.
# shellcheck disable=SC2086
awk '
/^#define [A-Z_]+\(X\)/ { split($2, define, "("); table = define[1] }
table != "" && match($0, /X\([A-Za-z0-9_]+, .*"\)/) {
    row = substr($0, RSTART + 2, RLENGTH - 4)
    split(row, parts, ", \"")
    n = split(parts[1], cells, ", ")
    if (table == "OS_CALLS")
        print table ": " cells[2] " | " parts[2]
    else if (n == 3)
        print table ": " cells[1] " | " tolower(cells[2]) " | " tolower(cells[3]) " | " parts[2]
}' $tables >"$scratch/defined"

# The rows of the tables below the lines that name their columns.
awk '
/^\| figure \|/ { table = "TOTALS"; next }
/^\| figure of a class \|/ { table = "CLASS_FIGURES"; next }
/^\| figure of an object \|/ { table = "OBJECT_FIGURES"; next }
/^\| figure of the process \|/ { table = "PROCESS_FIGURES"; next }
/^\| kind of call \|/ { table = "OS_CALLS"; next }
!/^\|/ { table = "" }
table != "" && !/^\|-/ {
    row = substr($0, 3, length($0) - 4)
    gsub(/`/, "", row)
    print table ": " row
}' "$manual" >"$scratch/described"

diff "$scratch/defined" "$scratch/described" >"$scratch/differences" || :
sed -n "s|^< |$manual lacks: |p; s|^> |$manual has, and the tables have not: |p" \
    "$scratch/differences" >>"$faults"
verdict figures "$(count_lines <"$scratch/defined")"
