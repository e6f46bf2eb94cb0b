#!/bin/sh
# SPDX-License-Identifier: MIT
# Words that have no business in this tree: traces of where and how it was written.
. "$(dirname "$0")/lib.sh"

# Written so that the list does not find itself.
list_text_files >"$scratch/texts"
while read -r text; do
    grep -n -i -E '(^|[^a-z])s[e]ssion|/wor[k]/|/roo[t]/|/hom[e]/[a-z]' "$text" |
        sed "s|^|$text:|" >>"$faults" || :
done <"$scratch/texts"
verdict "text files" "$(count_lines <"$scratch/texts")"
