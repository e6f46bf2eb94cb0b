#!/bin/sh
# SPDX-License-Identifier: MIT
# Every text file names its licence on exactly one line, and all name the same. A line that only
# prints such a line does not count: nothing but the signs of a comment may stand before it.
. "$(dirname "$0")/lib.sh"

list_text_files >"$scratch/texts"
while read -r text; do
    lines=$(grep -c '^[^[:alnum:]]*SPDX-License-Identifier: ' "$text") || :
    [ "$lines" -eq 1 ] || fault "$text has $lines SPDX lines"
    grep -q '^[^[:alnum:]]*SPDX-License-Identifier: MIT\([^A-Za-z0-9.-]\|$\)' "$text" ||
        fault "$text does not name the licence MIT"
done <"$scratch/texts"
verdict "text files" "$(count_lines <"$scratch/texts")"
