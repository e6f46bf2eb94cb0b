#!/bin/sh
# SPDX-License-Identifier: MIT
# All C and C++ is as clang-format leaves it, in 100 columns. Versions differ in what they do, hence
# one for all.
. "$(dirname "$0")/lib.sh"

formatter=
for program in clang-format-14 clang-format; do
    if "$program" --version 2>/dev/null | grep -q 'version 14\.'; then
        formatter=$program
        break
    fi
done
if [ -z "$formatter" ]; then
    echo "skipped: clang-format 14 is missing"
    exit 77
fi

list_files | grep -E '\.(c|h|cpp|hpp)$' >"$scratch/sources" || :
while read -r source; do
    "$formatter" --dry-run -Werror "$source" >"$scratch/messages" 2>&1 ||
        fault "$(head -n 1 "$scratch/messages")"
    # Comments are not its business, nor are tables that are kept from it.
    awk '/clang-format off/ { kept = 1 } /clang-format on/ { kept = 0 }
         length > 100 && !kept { print FNR; exit }' "$source" >"$scratch/long"
    [ ! -s "$scratch/long" ] || fault "$source:$(cat "$scratch/long"): longer than 100 columns"
done <"$scratch/sources"
verdict "source files" "$(count_lines <"$scratch/sources")"
