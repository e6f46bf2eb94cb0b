#!/bin/sh
# SPDX-License-Identifier: MIT
# clang compiles templates to the same code, links what it made, and the program runs.
. "$(dirname "$0")/lib.sh"
need clang++
in_use clang++ --version

same clang++ -std=c++17 -O2 -pthread -S -o - "$here/cpp_work.cpp"
[ "$(wc -l <"$scratch/preloaded.out")" -gt 4000 ] || fail "hardly any assembly came out"
preloaded clang++ -std=c++17 -O1 -g -pthread -o "$scratch/program" "$here/cpp_work.cpp" ||
    fail "clang++ with the library: status $?"
same "$scratch/program"
# The analyzer keeps more of a program in memory than a compiler does.
same clang++ -std=c++17 --analyze -Xclang -analyzer-output=text "$here/cpp_work.cpp" -o /dev/null
