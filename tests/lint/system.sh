#!/bin/sh
# SPDX-License-Identifier: MIT
# Only src/os knows the operating system: <sys/...>, <pthread.h> and the environment stay there. The
# command, in src/cli, is an ordinary program.
. "$(dirname "$0")/lib.sh"

find src -type f -name '*.[ch]' ! -path 'src/os/*' ! -path 'src/cli/*' >"$scratch/sources"
while read -r source; do
    strip_c "$source" | awk -v source="$source" '
    /^[ \t]*#[ \t]*include[ \t]*<(sys\/|linux\/|asm\/|pthread\.h)/ {
        print source ":" FNR ": " $0 ": only in src/os"
    }
    /(^|[^A-Za-z0-9_])(secure_)?getenv[ \t]*\(/ || /(^|[^A-Za-z0-9_])environ([^A-Za-z0-9_]|$)/ {
        print source ":" FNR ": the environment is read in src/os only"
    }' >>"$faults"
done <"$scratch/sources"
verdict "source files outside of src/os" "$(count_lines <"$scratch/sources")"
