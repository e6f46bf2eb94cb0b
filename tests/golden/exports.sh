#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Compares the dynamic symbols that the library defines with the list that is checked in.
#
#     exports.sh LIBRARY GOLDEN_FILE
#
# UPDATE_GOLDEN=1 in the environment writes the list anew instead.

set -u
library=$1
golden=$2

LC_ALL=C
export LC_ALL

found="# SPDX-License-Identifier: MIT
$(nm -D --defined-only "$library" | awk '{ print $NF }' | sort)"

if [ "${UPDATE_GOLDEN:-0}" = 1 ]; then
    printf '%s\n' "$found" >"$golden"
    echo "written: $golden"
    exit 0
fi

if printf '%s\n' "$found" | diff -u "$golden" -; then
    exit 0
fi
echo
echo "The library's exports (+) are not those of $golden (-)."
echo "A symbol that is gone breaks programs, one that is new is a promise. If that is meant so:"
echo "    UPDATE_GOLDEN=1 ctest -R golden.exports"
exit 1
