#!/bin/sh
# SPDX-License-Identifier: MIT
#
# systemd finds no fault with the example of a service, nor with any line for one in the documents.
#
#     systemd.sh SOURCE_DIRECTORY SCRATCH_DIRECTORY
set -eu
source=$1
scratch=$2/systemd.scratch
command -v systemd-analyze >/dev/null || { echo "skipped: there is no systemd-analyze"; exit 77; }
rm -rf "$scratch"
mkdir -p "$scratch"

# What it says of the machine's own units is none of ours.
verify()
{
    said=$(systemd-analyze verify --man=no "$1" 2>&1) || { echo "$said"; exit 1; }
    if echo "$said" | grep -F "$(basename "$1")"; then
        exit 1
    fi
}
verify "$source/src/packaging/poolalloc-example.service"

# A line each, in a unit of its own: a bad one is passed over.
cat "$source/README.md" "$source/LD_PRELOAD.md" "$source/src/packaging/man/poolalloc.7" |
    grep -oE '(^|`)Environment=[^` ]*' | sed 's/^`//' | sort -u >"$scratch/lines"
n=0
while read -r line; do
    n=$((n + 1))
    printf '[Service]\n%s\nExecStart=/bin/true\n' "$line" >"$scratch/poolalloc-line-$n.service"
    verify "$scratch/poolalloc-line-$n.service"
done <"$scratch/lines"
[ "$n" -ge 4 ] || { echo "only $n lines for units in the documents"; exit 1; }
grep -q '%%p' "$scratch/lines" || { echo "no line says how to write %p"; exit 1; }
