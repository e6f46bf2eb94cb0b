#!/bin/sh
# SPDX-License-Identifier: MIT
# Python with its own small-block allocator, and with every block by malloc.
. "$(dirname "$0")/lib.sh"
need python3
in_use python3 -c 1

maps='print(open("/proc/self/maps").read())'
preloaded python3 -c "$maps" >"$scratch/python.maps"
grep -qF "$library" "$scratch/python.maps" || fail "$library is not mapped into python3"

export PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
same python3 "$here/python_work.py"
same env PYTHONMALLOC=malloc python3 "$here/python_work.py"
