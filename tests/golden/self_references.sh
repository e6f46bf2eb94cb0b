#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What the library exports and has the loader look up all the same must be what a program may
# replace under its feet: what replaceable.list names. A free in there would be a detour on the
# library's own calls, and a chance for a program to come between.
#
#     self_references.sh LIBRARY REPLACEABLE_LIST DIRECTORY_FOR_SCRATCH

set -eu
library=$1
list=$2
scratch=$3/self_references.scratch
LC_ALL=C
export LC_ALL

mkdir -p "$scratch"
nm -D --defined-only "$library" | awk '{ print $NF }' | sort >"$scratch/exports"
readelf -rW "$library" >"$scratch/relocations"
awk '$3 ~ /^R_/ { print $5 }' "$scratch/relocations" | sort -u >"$scratch/looked_up"
comm -12 "$scratch/exports" "$scratch/looked_up" >"$scratch/found"
sed 's|/\*.*||; s|^ \*.*||' "$list" | grep -o '[A-Za-z0-9_][A-Za-z0-9_]*;' | tr -d ';' | sort >"$scratch/expected"
[ -s "$scratch/expected" ] || { echo "$list lists nothing"; exit 1; }
diff -u "$scratch/expected" "$scratch/found" || {
    echo "The library looks up (+) what is not in $list (-)."
    exit 1
}
