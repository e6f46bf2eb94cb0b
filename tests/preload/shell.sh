#!/bin/sh
# SPDX-License-Identifier: MIT
# Shells: loops, strings, hundreds of forks and pipes.
. "$(dirname "$0")/lib.sh"
# A shell may leave by _exit, and write no dump.
preloaded sh -c 'while read -r line; do echo "$line"; done <"/proc/$$/maps"' >"$scratch/maps"
grep -qF "$library" "$scratch/maps" || fail "the library is not mapped into sh"

cat >"$scratch/work.sh" <<'END'
i=0
all=
while [ "$i" -lt 300 ]; do
    i=$((i + 1))
    word=$(echo "word $i" | tr a-z A-Z)
    all="$all $word"
    case $i in
    *7) set -- $all ;;
    esac
done
echo "$# ${#all}"
for word in $all; do
    echo "$word"
done | sort | uniq -c | head -n 20
seq 1 2000 | while read -r number; do
    echo "$((number * number % 1009))"
done | sort -n | tail -n 3
( (sleep 0 & wait) && echo waited)
END
same sh "$scratch/work.sh"
if command -v bash >/dev/null; then
    same bash "$scratch/work.sh"
fi
