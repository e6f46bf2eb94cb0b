#!/bin/sh
# SPDX-License-Identifier: MIT
# Each awk there is: arrays, strings, patterns, fields, pipes.
. "$(dirname "$0")/lib.sh"
need awk
in_use awk 'BEGIN { print 1 }'

cat >"$scratch/work.awk" <<'END'
BEGIN {
    for (i = 0; i < 100000; i++)
        words["w" i * 7919 % 10007] = words["w" i * 7919 % 10007] sprintf("%c", 65 + i % 26)
    for (i = 0; i < 10007; i += 3)
        delete words["w" i]
    for (word in words) {
        n++
        text = words[word]
        gsub(/[AEIOU]+/, "<&>", text)
        total += length(text) + split(text, parts, /[<>]/)
        $0 = text " " word
        $5 = toupper(word)
        total += NF + length($0)
        print word, text | "sort | tail -n 30"
    }
    close("sort | tail -n 30")
    long = "x"
    while (length(long) < 3000000)
        long = long long
    print n, total, length(long), match(long "y", /xy/), substr(long, 5, 3)
}
END
for program in awk mawk gawk; do
    command -v "$program" >/dev/null || continue
    same "$program" -f "$scratch/work.awk"
done
