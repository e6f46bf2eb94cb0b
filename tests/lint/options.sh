#!/bin/sh
# SPDX-License-Identifier: MIT
# README.md's table of options and the manual page have the rows of src/conf/options.c: the same names,
# in backquotes or bold, and the defaults that hold when nothing is set.
. "$(dirname "$0")/lib.sh"

options=src/conf/options.c
readme=README.md
manual=src/packaging/man/poolalloc.7
[ -f "$options" ] && [ -f "$readme" ] && [ -f "$manual" ] || {
    fault "there is no $options, no $readme or no $manual"
    verdict options 0
}

option_rows "$options" >"$scratch/rows"
# "`name` default" for each FIELD(name): its line in the initialiser of `options`, or what is zero.
awk '
function number(text,    n, units) {
    n = text
    units = ""
    if (match(text, / \* [KMG]IB$/)) {
        n = substr(text, 1, RSTART - 1)
        units = " " substr(text, RSTART + 3, 1) "iB"
    }
    return n units
}
function finish(    value, choice) {
    if (name == "")
        return
    value = (name in set) ? set[name] : ""
    if (type == "CHOICE") {
        choice = choices[list "," 0]
        for (i = 0; (list "," i) in choices; i++)
            if (value ~ "_" toupper(choices[list "," i]) "$" || value == i "")
                choice = choices[list "," i]
        value = "`" choice "`"
    } else if (type == "TEXT") {
        value = value == "" ? "none" : value
    } else {
        value = value == "" ? "0" : number(value)
    }
    print "`" name "` " value
    name = ""
}
/^struct options options = \{/ { in_defaults = 1; next }
in_defaults && /^};/ { in_defaults = 0 }
in_defaults && /^ *\.[a-z_]+ = .*,$/ {
    key = $1
    sub(/^\./, "", key)
    value = $0
    sub(/^[^=]*= /, "", value)
    sub(/,$/, "", value)
    set[key] = value
}
/^static const char \*const [a-z_]+\[\] = / {
    n = split($0, words, "\"")
    split($5, array, "[")
    for (i = 2; i < n; i += 2)
        choices[array[1] "," (i / 2 - 1)] = words[i]
}
FS == "|" { name = $1; type = $2; list = $3; finish() }
' "$options" FS='|' "$scratch/rows" | sort >"$scratch/defined"

# The rows below the one that names the columns.
awk -F ' *[|] *' '
/^\| option \| default \|/ { in_table = 1; next }
!/^\|/ { in_table = 0 }
in_table && !/^\|-/ { print $2 " " $3 }
' "$readme" | sort >"$scratch/$(basename "$readme")"

# "\fBname\fR = default"
sed -n 's/^\\fB\([a-z_]*\)\\fR = /`\1` /p' "$manual" | sed 's/\\f[BR]/`/g' |
    sort >"$scratch/$(basename "$manual")"

for text in "$readme" "$manual"; do
    described=$scratch/$(basename "$text")
    comm -23 "$scratch/defined" "$described" | while read -r option; do
        fault "$text has no row: $option"
    done
    comm -13 "$scratch/defined" "$described" | while read -r option; do
        fault "$text has a row for no option or default: $option"
    done
    repeated=$(uniq -d "$described")
    [ -z "$repeated" ] || fault "$text has more than one row: $repeated"
done
verdict options "$(count_lines <"$scratch/defined")"
