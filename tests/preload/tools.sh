#!/bin/sh
# SPDX-License-Identifier: MIT
# sort, tar and a compressor (xz where there is one): large buffers, threads, pipes.
. "$(dirname "$0")/lib.sh"
for program in sort grep sed tar; do
    in_use "$program" --version
done
in_use awk 'BEGIN { print "awk" }' # not all of them know --version

cd "$scratch"
awk 'BEGIN {
    x = 1
    for (i = 0; i < 50000; i++) {
        x = (x * 69069 + 1) % 4294967296
        printf "%d %s line %d\n", x, substr("abcdefghijklmnopqrstuvwxyz", x % 20 + 1), i
    }
}' >lines
same sort -n lines
same sort --parallel=4 -S 4M -T . -k 2 -u lines
# shellcheck disable=SC2016
same_from lines awk '{ count[$2] += $1 } END { for (word in count) print word, count[word] | "sort" }'
same grep -c -E '(z|y)+ line [0-9]*7$' lines
same sed -e 's/\([0-9]*\) \(.*\)/\2 \1/' lines

mkdir tree
split -l 1000 lines tree/part.
same tar -cf - --sort=name --mtime=@0 --owner=0 --group=0 tree
cp preloaded.out tree.tar
mkdir unpacked
preloaded tar -xf tree.tar -C unpacked || fail "tar -x: status $?"
diff -r tree unpacked/tree || fail "tar gave other files back"

compressor=gzip
if command -v xz >/dev/null; then
    in_use xz --version
    compressor=xz
    same xz -T 2 -2 -c lines
fi
same "$compressor" -1 -c lines
cp preloaded.out packed
same_from packed "$compressor" -d -c
cmp preloaded.out lines || fail "$compressor gave other data back"
