#!/bin/sh
# SPDX-License-Identifier: MIT
# Files that comments and documents name are there: src/..., tests/..., bench/..., include/....
. "$(dirname "$0")/lib.sh"

# The fault finder's own files are made up.
list_text_files | grep -v '^tests/lint/' >"$scratch/texts"
while read -r text; do
    grep -n -o -E '\b(src|tests|bench|include)/[A-Za-z0-9_/]+\.(c|h|cpp|hpp|sh|py|list|map)\b' "$text" |
        sed "s|^\([0-9]*\):|$text:\1: |" >>"$scratch/named" || :
done <"$scratch/texts"
while read -r where path; do
    [ -f "$path" ] || fault "$where there is no $path"
done <"$scratch/named"
verdict "names of files" "$(count_lines <"$scratch/named")"
