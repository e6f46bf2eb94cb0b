#!/bin/sh
# SPDX-License-Identifier: MIT
# A library that wraps malloc is preloaded before ours: our dump tells of the program's blocks.
#
#     counting.sh PROGRAM WRAPPER
. "$(dirname "$0")/lib.sh"

dump_of "$2:$POOLALLOC_LIBRARY" "$1"
live=$(awk '$1 == "5120" { print $4 }' "$scratch/dump")
[ "${live:-0}" -ge 1000 ] || fail "live blocks of 5,120 bytes: $(cat "$scratch/dump")"
