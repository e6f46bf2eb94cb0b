#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Configuring for 32 bits fails with a sentence that says why. Few machines have a compiler for it:
# CMake is told of one instead.
#
#     refuse_32_bit.sh CMAKE CC SOURCE_DIRECTORY SCRATCH_DIRECTORY

set -eu
cmake=$1
cc=$2
source=$3
scratch=$4/refuse_32_bit.scratch

rm -rf "$scratch"
mkdir -p "$scratch"
# Included right after project().
echo 'set(CMAKE_SIZEOF_VOID_P 4)' >"$scratch/pretend.cmake"
if "$cmake" -S "$source" -B "$scratch/build" -DCMAKE_C_COMPILER="$cc" \
    -DCMAKE_PROJECT_poolalloc_INCLUDE="$scratch/pretend.cmake" >"$scratch/log" 2>&1; then
    echo "it was not refused: $(cat "$scratch/log")"
    exit 1
fi
grep -q 'poolalloc is for 64-bit machines only' "$scratch/log" || {
    echo "it does not say why: $(cat "$scratch/log")"
    exit 1
}
