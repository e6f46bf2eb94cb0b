#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The public ABI is the one that is checked in: exported names, SONAME, structs and constants. What is
# added is added there too; what is gone or has moved breaks programs, and takes a new SONAME.
# UPDATE_GOLDEN=1 in the environment writes the list anew instead.
#
#     abi.sh LIBRARY PROGRAM GOLDEN_FILE DIRECTORY_FOR_SCRATCH
set -eu
library=$1
program=$2
golden=$3
found=$4/abi.found
LC_ALL=C
export LC_ALL

{
    echo '# SPDX-License-Identifier: MIT'
    readelf -d "$library" | sed -n 's/.*(SONAME).*\[\(.*\)\]/soname \1/p'
    nm -D --defined-only "$library" | awk '{ print "export " $NF }' | sort
    "$program"
} >"$found"
[ "$(grep -c '^export' "$found")" -gt 50 ] || { echo "nothing is exported"; exit 1; }
if [ "${UPDATE_GOLDEN:-0}" = 1 ]; then
    cp "$found" "$golden"
    echo "written: $golden"
    exit 0
fi
diff -u "$golden" "$found" || {
    echo "The library's ABI (+) is not the one of $golden (-). If that is meant,"
    echo "    UPDATE_GOLDEN=1 ctest -R golden.abi"
    exit 1
}
