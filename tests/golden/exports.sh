#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The dynamic symbols that the library defines are those that the version script lists, no less and
# no more: a symbol that is gone breaks programs, one that is new is a promise.
#
#     exports.sh LIBRARY EXPORTS_MAP DIRECTORY_FOR_SCRATCH

set -eu
library=$1
map=$2
scratch=$3/exports.scratch
LC_ALL=C
export LC_ALL

mkdir -p "$scratch"
nm -D --defined-only "$library" >"$scratch/symbols"
# valgrind passes weak ones over when it puts its own malloc and new in the place of a library's.
if grep ' [WV] ' "$scratch/symbols"; then
    echo "These exports are weak."
    exit 1
fi
awk '{ print $NF }' "$scratch/symbols" | sort >"$scratch/found"
# Without comments; from "global:" to "local:"; a name a line.
tr '\n' ' ' <"$map" | sed 's|/\*[^*]*\*/||g; s/.*global://; s/local:.*//' |
    tr -s '; ' '\n\n' | sed '/^$/d' | sort >"$scratch/listed"
[ -s "$scratch/listed" ] || { echo "$map lists nothing"; exit 1; }
diff -u "$scratch/listed" "$scratch/found" || {
    echo "The library's exports (+) are not those of $map (-)."
    exit 1
}
