#!/bin/sh
# SPDX-License-Identifier: MIT
# sort with many threads, little memory and temporary files, packed and not.
. "$(dirname "$0")/lib.sh"
in_use sort /dev/null

awk 'BEGIN {
    x = 1
    for (i = 0; i < 200000; i++) {
        x = (x * 69069 + 1) % 4294967296
        print x, substr("abcdefghijklmnopqrstuvwxyz", x % 20 + 1), i
    }
}' >"$scratch/data"
same sort --parallel=8 -n "$scratch/data"
same sort --parallel=8 -k 2,2 -k 1,1nr -S 20M "$scratch/data"
same sort --parallel=4 -S 1M -T "$scratch" -R --random-source=/dev/zero "$scratch/data"
same sort --parallel=2 -S 1M -T "$scratch" --compress-program=gzip --batch-size=4 "$scratch/data"
sort "$scratch/data" >"$scratch/sorted"
same sort -c "$scratch/sorted"
same sort -m "$scratch/sorted" "$scratch/sorted"
