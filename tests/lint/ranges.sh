#!/bin/sh
# SPDX-License-Identifier: MIT
# The ranges in README.md's table of options and in the manual page begin with those of
# src/conf/options.c: `a`, `b` for choices, 0 to 64 for numbers, 1 MiB to 1 GiB for sizes, with the names
# that a number may have instead.
. "$(dirname "$0")/lib.sh"

options=src/conf/options.c
readme=README.md
manual=src/packaging/man/poolalloc.7
for file in $options $readme $manual; do
    [ -f "$file" ] || {
        fault "there is no $file"
        verdict ranges 0
    }
done

option_rows "$options" >"$scratch/rows"
# "name range" for each option but texts.
awk '
function size(text,    n, unit) {
    if (text == "0")
        return "0"
    n = text ~ /^[0-9]+ \*/ ? text + 0 : 1
    unit = "KMGTP"
    unit = substr(unit, text ~ /KIB/ ? 1 : text ~ /MIB/ ? 2 : 3)
    gsub(/[()]/, "", text)
    while (sub(/1024 \* /, "", text)) {
        n = 1
        unit = substr(unit, 2)
    }
    return n " " substr(unit, 1, 1) "iB"
}
function number(text) {
    if (text == "UINT32_MAX")
        return "4294967295"
    if (text == "UINT32_MAX - 1")
        return "4294967294"
    return text == "INT32_MAX" ? "2147483647" : text
}
function finish() {
    if (name != "" && type == "CHOICE")
        print name " " choices[list]
    else if (name != "" && type == "NUMBER")
        print name " " number(min) " to " number(max) (names == "" ? "" : ", or " words[names])
    else if (name != "" && type != "TEXT")
        print name " " size(min) " to " size(max) (type == "SHARE" ? ", or `1%` to `100%`" : "")
    name = ""
}
function quoted(line,    out) {
    out = ""
    while (match(line, /"[^"]*"/)) {
        out = out (out == "" ? "" : ", ") "`" substr(line, RSTART + 1, RLENGTH - 2) "`"
        line = substr(line, RSTART + RLENGTH)
    }
    return out
}
/^static const char \*const [a-z_]+\[\] = / { split($5, array, "["); choices[array[1]] = quoted($0) }
/^static const struct name [a-z_]+\[\] = / { split($5 == "=" ? $4 : $5, array, "["); names_of = array[1] }
names_of != "" && /^};/ { names_of = "" }
names_of != "" && quoted($0) != "" {
    words[names_of] = words[names_of] (words[names_of] == "" ? "" : ", ") quoted($0)
}
FS == "|" { name = $1; type = $2; list = $3; names = $4; min = $5; max = $6; finish() }
' "$options" FS='|' "$scratch/rows" >"$scratch/defined"

awk -F ' *[|] *' '
/^\| option \| default \| range \|/ { in_table = 1; next }
!/^\|/ { in_table = 0 }
in_table && !/^\|-/ { gsub(/`/, "", $2); print $2 " " $4 }
' "$readme" >"$scratch/$(basename "$readme")"

sed -n 's/^\\fB\([a-z_]*\)\\fR = .*/\1/p; s/^Range: \(.*\)\.$/ \1/p' "$manual" |
    sed 's/\\f[BR]/`/g' | awk '/^ / { print name $0; next } { name = $0 }' \
    >"$scratch/$(basename "$manual")"

# The same names as those of another option may be said so.
for text in "$readme" "$manual"; do
    awk -v file="$text" '
    FNR == NR { name = $1; sub(/^[^ ]* /, ""); described[name] = $0; next }
    {
        name = $1
        sub(/^[^ ]* /, "")
        found = described[name]
        sub(/names as for `dump_signal`/, "`HUP`", found)
        wanted = found ~ /or `HUP`$/ ? substr($0, 1, index($0, "`HUP`") + 4) : $0
        rest = substr(found, length(wanted) + 1)
        if (substr(found, 1, length(wanted)) != wanted || rest !~ /^$|^ |^, or /)
            print file ": the range of " name " is " $0
    }' "$scratch/$(basename "$text")" "$scratch/defined" >>"$faults"
done
verdict ranges "$(count_lines <"$scratch/defined")"
