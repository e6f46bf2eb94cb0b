#!/bin/sh
# SPDX-License-Identifier: MIT
# rsync between two processes: lists of files, deltas, checksums, compression.
. "$(dirname "$0")/lib.sh"
need rsync
in_use rsync --version

mkdir "$scratch/from"
for i in 1 2 3 4 5; do
    mkdir "$scratch/from/$i"
    (cd "$scratch/from/$i" &&
        awk -v s="$i" 'BEGIN { for (i = 0; i < 100000; i++) print s, i, i * s % 1009 }' |
        split -l 500 -)
done
# The times of files are of no account.
work()
{
    run rsync -a --no-times "$scratch/from/" to
    for file in to/*/xa[a-f]; do
        sed -i 's/7/77/' "$file"
    done
    run rsync -a --no-times -z --checksum --no-whole-file --delete --itemize-changes "$scratch/from/" to
    run rsync -a -n --list-only to/1/ | wc -l
    diff -r "$scratch/from" to
}
same_work
