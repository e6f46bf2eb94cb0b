#!/bin/sh
# SPDX-License-Identifier: MIT
# g++ compiles a file that is heavy on templates, and the threaded program it makes runs.
. "$(dirname "$0")/lib.sh"
need g++
in_use g++ --version

preloaded g++ -std=c++17 -O2 -pthread -o "$scratch/program" "$here/cpp_work.cpp" ||
    fail "g++ with the library: status $?"
for _ in 1 2 3; do
    same "$scratch/program"
done
