#!/bin/sh
# SPDX-License-Identifier: MIT
# bash forks thousands of times, and starts programs: each child takes over a heap in use.
. "$(dirname "$0")/lib.sh"
need bash
in_use bash -c :

cat >"$scratch/work.bash" <<'END'
declare -A words
for ((i = 0; i < 3000; i++)); do
    words[w$((i * 7919 % 1009))]+=$(printf %s "$((i % 7))")
done
for ((i = 0; i < 1000; i++)); do
    (words[$i]=$i; exit $((i % 100))) &
    ((i % 20)) || wait
done
wait
for ((i = 0; i < 200; i++)); do
    sum=$((sum + $(/bin/echo "$i" | cat)))
done
echo "$sum ${#words[@]} ${words[w77]}"
END
same bash "$scratch/work.bash"
