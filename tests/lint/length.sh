#!/bin/sh
# SPDX-License-Identifier: MIT
# A file of src is read in one sitting: 700 lines at most.
. "$(dirname "$0")/lib.sh"

limit=700
find src -type f >"$scratch/sources"
while read -r source; do
    lines=$(count_lines <"$source")
    [ "$lines" -le "$limit" ] || fault "$source has $lines lines, more than $limit"
done <"$scratch/sources"
verdict "source files" "$(count_lines <"$scratch/sources")"
