#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs a linked program: it must succeed, and leave a dump that tells of its blocks.
#
#     dumps.sh PROGRAM

set -eu
program=$1
unset LD_PRELOAD

if [ ! -e "$program" ]; then
    echo "skipped: there is no $program; linking all of it needs static libraries of the system"
    exit 77
fi
POOLALLOC_CONF=dump=stderr "$program" 2>"$program.dump" || {
    echo "status $?: $(cat "$program.dump")"
    exit 1
}
grep -q 'poolalloc: dump of process' "$program.dump" || {
    echo "there is no dump: $(cat "$program.dump")"
    exit 1
}
