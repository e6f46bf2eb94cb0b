#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Every rule of tests/api under any malloc, as a table.
#
#     conformance.sh [-w] [-d FILE] DIRECTORY LIBRARY [LIBRARY | glibc]...
#
# DIRECTORY holds the built test programs (build/tests/api). Each LIBRARY is preloaded; "glibc" is to
# go without. If only one is named, glibc and what is installed of mimalloc, jemalloc, tcmalloc and
# tbbmalloc come after it. Each rule is checked in a process of its own, so that a crash hides no
# other rule.
#
#     .  holds    FAIL  does not    CRASH  the program ended by a signal    HANG  it did not end
#
# -w: says below the table why, for each rule that does not hold.
# -d FILE: deviations that must be found, as lines "PACKAGE VERSION PROGRAM RULE". Those of other
#     Debian packages and versions than the ones that the libraries are from are not looked for.
#
# Fails if the first library does not hold to every rule, or a deviation was not found.
set -u
unset LD_PRELOAD POOLALLOC_CONF

programs="malloc calloc realloc aligned usable_size names glibc exhaustion operators replaced_plain
    replaced_array replaced_aligned"
peers="libmimalloc.so.2 libmimalloc.so.3 libjemalloc.so.2 libtcmalloc_minimal.so.4
    libtbbmalloc_proxy.so.2"
seconds=120

usage() {
    echo "usage: conformance.sh [-w] [-d FILE] DIRECTORY LIBRARY [LIBRARY | glibc]..." >&2
    exit 2
}

say_why=
deviations=
while getopts wd: option; do
    case $option in
    w) say_why=yes ;;
    d) deviations=$OPTARG ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# -ge 2 ] || usage
directory=$1
shift

# Others of the same architecture are beside it.
libc=$(ldd "$directory/malloc_test" | awk '$1 == "libc.so.6" { print $3 }')

if [ $# -eq 1 ]; then
    set -- "$1" glibc
    for peer in $peers; do
        path=$(dirname "$libc")/$peer
        [ ! -e "$path" ] || set -- "$@" "$path"
    done
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 2' HUP INT TERM
# shellcheck disable=SC3045 # all shells of Linux have it
ulimit -c 0

# The column's head: libNAME.so.3 is NAME.
name_of() {
    basename "$1" | sed 's/^lib//; s/\.so.*//'
}

# check LIBRARY PROGRAM RULE: the word for the table; what was printed is in $scratch/output.
check() {
    preload="LD_PRELOAD=$1"
    [ "$1" != glibc ] || preload=CONFORMANCE=
    env "$preload" timeout -k 5 "$seconds" "$directory/$2_test" "$3" >"$scratch/output" 2>&1
    status=$?
    if [ $status -eq 0 ]; then
        echo .
    elif [ $status -eq 124 ] || [ $status -eq 137 ]; then
        echo HANG
    elif [ $status -ge 128 ] || grep -q 'failed with exception' "$scratch/output"; then
        echo CRASH
    else
        echo FAIL
    fi
}

# The first line that tells something.
reason() {
    grep -a -m 1 -i -E 'does not hold|exception|error|comes from|defined in|is missing| != ' \
        "$scratch/output" | sed "s|$directory/||g; s|[^ ]*/||g" | cut -c 1-160
}

for program in $programs; do
    rules=$("$directory/${program}_test" -l) || exit 2
    for rule in $rules; do
        printf '%s %s' "$program" "$rule"
        for library; do
            word=$(check "$library" "$program" "$rule")
            printf ' %s' "$word"
            [ "$word" = . ] || echo "$(name_of "$library") $program $rule $word: $(reason)" \
                >>"$scratch/reasons"
        done
        echo
    done
done >"$scratch/table"

heads=
for library; do
    heads="$heads $(name_of "$library")"
done
awk -v heads="$heads" '
BEGIN { n = split(heads, head) }
{
    if ($1 != program) {
        program = $1
        line = sprintf("%-62s", program)
        for (i = 1; i <= n; i++)
            line = line sprintf(" %-*s", length(head[i]) > 5 ? length(head[i]) : 5, head[i])
        sub(/ +$/, "", line)
        print (NR > 1 ? "\n" : "") line
    }
    gsub(/_/, " ", $2)
    line = sprintf("  %-60s", $2)
    for (i = 1; i <= n; i++) {
        line = line sprintf(" %-*s", length(head[i]) > 5 ? length(head[i]) : 5, $(i + 2))
        broken[i] += $(i + 2) != "."
    }
    sub(/ +$/, "", line)
    print line
}
END {
    print ""
    for (i = 1; i <= n; i++)
        print head[i] ": " NR - broken[i] " of " NR " rules hold"
}' "$scratch/table"

if [ -n "$say_why" ] && [ -s "$scratch/reasons" ]; then
    echo
    sort -s -k 1,1 "$scratch/reasons"
fi

result=0
awk '$3 != "." { exit 1 }' "$scratch/table" || result=1
[ -s "$scratch/table" ] || result=1

# package_of LIBRARY: the Debian package that it is from, and its version; nothing if none.
package_of() {
    path=$1
    [ "$path" != glibc ] || path=$libc
    path=$(realpath "$path")
    owner=$(dpkg-query -S "$path" 2>/dev/null || dpkg-query -S "${path#/usr}" 2>/dev/null) || return
    # shellcheck disable=SC2016 # dpkg's, not the shell's
    dpkg-query -W -f '${Package} ${Version}\n' "${owner%%:*}" 2>/dev/null | head -n 1
}

if [ -n "$deviations" ]; then
    column=2
    for library; do
        column=$((column + 1))
        found=$(package_of "$library")
        [ -n "$found" ] || continue
        awk -v package="${found% *}" -v version="${found#* }" -v column=$column '
        NR == FNR {
            if ($1 == package && index(version, $2) == 1)
                expected[$3 " " $4] = 1
            next
        }
        ($1 " " $2) in expected {
            if ($column == ".")
                print package ": not found: " $1 ": " $2
            delete expected[$1 " " $2]
        }
        END {
            for (rule in expected)
                print package ": there is no such rule: " rule
        }' "$deviations" "$scratch/table" >"$scratch/missing"
        if [ -s "$scratch/missing" ]; then
            cat "$scratch/missing"
            result=1
        fi
    done
fi
exit $result
