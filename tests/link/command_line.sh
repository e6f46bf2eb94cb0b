#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The README's command lines for linking, with the library where the test has installed it.
#
#     command_line.sh CC DIRECTORY_OF_PROGRAMS INCLUDE_DIRECTORY LIBRARY_DIRECTORY SCRATCH_DIRECTORY

set -eu
cc=$1
programs=$2
include=$3
lib=$4
scratch=$5/command_line.scratch
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$scratch"

# names.c asks for its include directory and threads; the library for nothing.
"$cc" -fno-builtin "$programs/names.c" -o "$scratch/shared" -pthread "-I$include" \
    "-L$lib" "-Wl,-rpath,$lib" -lpoolalloc
ldd "$scratch/shared" | grep -qF "$lib/libpoolalloc.so" || {
    echo "libpoolalloc.so is not what it is linked with: $(ldd "$scratch/shared")"
    exit 1
}
sh "$here/dumps.sh" "$scratch/shared"

"$cc" -fno-builtin "$programs/calls_no_malloc.c" -o "$scratch/static" \
    "-L$lib" -Wl,-u,malloc -l:libpoolalloc.a
sh "$here/dumps.sh" "$scratch/static"
