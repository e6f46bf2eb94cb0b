#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The manual pages are formatted without a warning, and have their sections.
#
#     manual.sh DIRECTORY
set -eu
command -v man >/dev/null || { echo "skipped: there is no man"; exit 77; }
LC_ALL=C.UTF-8
export LC_ALL
n=0
for page in "$1"/*.[1-8]; do
    said=$(MANWIDTH=100 man --warnings -l -Tutf8 "$page" 2>&1 >/dev/null)
    [ -z "$said" ] || { echo "$page: $said"; exit 1; }
    for section in NAME SYNOPSIS\|LIBRARY DESCRIPTION 'SEE ALSO'; do
        grep -qE "^\.SH ($section)\$" "$page" || { echo "$page: no section $section"; exit 1; }
    done
    grep -qE "^poolalloc \\\\- " "$page" || { echo "$page: no line for apropos"; exit 1; }
    n=$((n + 1))
done
[ "$n" -eq 3 ] || { echo "$n pages, not 3"; exit 1; }
