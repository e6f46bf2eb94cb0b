#!/bin/sh
# SPDX-License-Identifier: MIT
# man starts groff's programs behind a seccomp filter, which ends what makes an unexpected call.
. "$(dirname "$0")/lib.sh"
need man groff
in_use man --version

{
    echo '.TH WORK 1'
    for i in 1 2 3 4 5 6 7 8 9 10; do
        printf '.SH SECTION %s\n.B bold\ntext \\fIitalic\\fR\n.TP\nterm\nwhat it is\n' "$i"
        printf '.TS\ntab(:);\nl l.\na:b\nc:%s\n.TE\n' "$i"
    done
} >"$scratch/work.1"
export MANWIDTH=80 MANPAGER=cat HOME="$scratch"
same man -l "$scratch/work.1"
same man -Tutf8 -l "$scratch/work.1"
grep -q 'what it is' "$scratch/preloaded.out" || fail "the page is not whole"
gzip -k "$scratch/work.1"
same man -l "$scratch/work.1.gz"
