#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Counts what one malloc and one free that take the fast path execute, and compares with the list
# that is checked in.
#
#     fast_paths.sh OTHER_BUILD VALGRIND PROGRAM GOLDEN_FILE DIRECTORY_FOR_SCRATCH
#
# OTHER_BUILD, unless it is empty, says why the figures of this build cannot be those of the list:
# the test is skipped (status 77). UPDATE_GOLDEN=1 in the environment writes the list anew instead.
#
# The figures are what callgrind counts inside of the function itself in N calls, divided by N.
# Rounds in which it has called another function do not count; the others must all be the same.
# callgrind leaves malloc to the program, so what it counts is ours.

set -u
# Instructions that the list may not go above, whatever it is updated to.
MALLOC_MAX=20
FREE_MAX=24
NEW_MAX=23

if [ -n "$1" ]; then
    echo "skipped: the checked-in figures are not for this build: $1"
    exit 77
fi
valgrind=$2
program=$3
golden=$4
scratch=$5/fast_paths.scratch
LC_ALL=C
export LC_ALL

fail() {
    echo "$*"
    exit 1
}

# run MODE BYTES: leaves a file for each round, and in n_hits the calls of each function in one.
run() {
    rm -f "$scratch"/round*
    # Bins that hold as many blocks as the program wants.
    n_hits=$(POOLALLOC_CONF=cache_class_bytes=64M,cache_thread_bytes=1G,cache_bytes=1G \
        "$valgrind" -q --tool=callgrind --cache-sim=yes --branch-sim=yes \
        --demangle=no --compress-strings=no --compress-pos=no \
        --toggle-collect=round_of_hits --dump-after=round_of_hits \
        --callgrind-out-file="$scratch/round" "$program" "$1" "$2" 2>"$scratch/log") ||
        fail "$(cat "$scratch/log") the program failed under callgrind"
}

# row NAME FUNCTION BYTES: one line of the list.
row() {
    for round in "$scratch"/round.[0-9]*; do
        awk -v "name=$1" -v "function_name=$2" -v "bytes=$3" -v "n=$n_hits" '
            /^events:/ {
                for (i = 2; i <= NF; i++)
                    column[$i] = i # of a line of figures, whose first is a line number
            }
            /^fn=/ { inside = $0 == "fn=" function_name }
            /^calls=/ {
                getline # what the callee cost
                slow = slow || inside
                next
            }
            inside && /^[0-9]/ {
                instructions += $column["Ir"]
                branches += $column["Bc"]
                loads += $column["Dr"]
                stores += $column["Dw"]
            }
            END {
                if (!slow)
                    printf "%-16s %5d %13g %9g %6g %7g\n", name, bytes,
                        instructions / n, branches / n, loads / n, stores / n
            }' "$round"
    done | sort -u
}

list() {
    echo "# SPDX-License-Identifier: MIT"
    echo "# Executed by one call that takes the fast path; callgrind, gcc 12, x86-64, Release."
    echo "# function       bytes  instructions  branches  loads  stores"
    for bytes in 16 64 1000 4096; do
        run c "$bytes"
        row malloc malloc "$bytes"
        row free free "$bytes"
    done
    run cxx 64
    row operator-new _Znwm 64
    row operator-delete _ZdlPv 64
}

mkdir -p "$scratch" || exit 1
found=$scratch/found
list >"$found" || fail "$(cat "$found")"

# One row each, whole figures, and none above its bound.
awk -v "malloc_max=$MALLOC_MAX" -v "free_max=$FREE_MAX" -v "new_max=$NEW_MAX" '
    BEGIN {
        max["malloc"] = malloc_max
        max["free"] = max["operator-delete"] = free_max
        max["operator-new"] = new_max
    }
    /^#/ { next }
    {
        rows++
        differs = key == $1 " " $2
        key = $1 " " $2
    }
    differs { complain("the rounds differ") }
    $0 ~ /\./ { complain("not the same in each call:" $0) }
    $3 == 0 { complain("was not called") }
    $3 > max[$1] { complain($3 " instructions are too many") }
    function complain(what) {
        print key ": " what
        bad = 1
    }
    END {
        if (rows != 10)
            print rows + 0, "rows, not 10: for some the slow path was taken in every round"
        exit bad || rows != 10
    }' "$found" || { cat "$found"; exit 1; }

if [ "${UPDATE_GOLDEN:-0}" = 1 ]; then
    cp "$found" "$golden" || exit 1
    echo "written: $golden"
    exit 0
fi
if diff -u "$golden" "$found"; then
    exit 0
fi
echo
echo "The fast paths (+) are not as in $golden (-). If that is meant so:"
echo "    UPDATE_GOLDEN=1 ctest -R golden.fast_paths"
exit 1
