#!/bin/sh
# SPDX-License-Identifier: MIT
# zstd: large windows and worker threads, alone and behind tar.
. "$(dirname "$0")/lib.sh"
need zstd tar
in_use zstd -V

cd "$scratch"
awk 'BEGIN { for (i = 0; i < 300000; i++) print "line", i, i * 7919 % 10007 }' >data
for options in '-1 -T2' '-9 -T4' '-15 --long=27 -T1' '-3 --rsyncable -T3'; do
    # shellcheck disable=SC2086
    same zstd -q -c $options data
    cp preloaded.out packed
    same_from packed zstd -q -dc --long=27
    cmp data preloaded.out || fail "$options gave other data back"
done
mkdir tree
split -l 5000 data tree/part.
preloaded tar --zstd -cf tree.tar.zst --sort=name tree || fail "tar: status $?"
mkdir unpacked
preloaded tar --zstd -xf tree.tar.zst -C unpacked || fail "tar -x: status $?"
diff -r tree unpacked/tree || fail "tar gave other files back"
work()
{
    run zstd -q --train ../tree/* -o dictionary --maxdict=20000
    cksum dictionary
}
same_work
