#!/bin/sh
# SPDX-License-Identifier: MIT
# Each header compiles alone, and twice in a row, with each compiler there is; the public ones as strict
# C99 and as C++ as well.
. "$(dirname "$0")/lib.sh"

# $1: header; the rest: compiler and options.
compile_alone()
{
    header=$1
    shift
    printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
        "$@" -fsyntax-only -Wall -Wextra -Werror -Isrc -Iinclude - >"$scratch/messages" 2>&1 ||
        fault "$header does not compile alone with $1: $(head -n 3 "$scratch/messages")"
}

find src include -type f -name '*.h' >"$scratch/headers"
grep '^include/' "$scratch/headers" >"$scratch/public" || :
n_compilers=0
for compiler in gcc clang; do
    command -v "$compiler" >/dev/null || continue
    n_compilers=$((n_compilers + 1))
    while read -r header; do
        compile_alone "${header#*/}" "$compiler" -std=gnu11 -D_GNU_SOURCE -x c
    done <"$scratch/headers"
    while read -r header; do
        compile_alone "${header#*/}" "$compiler" -std=c99 -pedantic -x c
    done <"$scratch/public"
done
[ "$n_compilers" -gt 0 ] || fault "there is neither gcc nor clang"
for compiler in g++ clang++; do
    command -v "$compiler" >/dev/null || continue
    while read -r header; do
        compile_alone "${header#*/}" "$compiler" -std=c++11 -x c++
    done <"$scratch/public"
    for header in include/*.hpp; do
        [ -e "$header" ] || continue
        compile_alone "${header#*/}" "$compiler" -std=c++17 -x c++
    done
done
verdict headers "$(count_lines <"$scratch/headers")"
