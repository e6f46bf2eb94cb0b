#!/bin/sh
# SPDX-License-Identifier: MIT
# The manual pages tell of all there is, and of nothing else: of each function that the library exports
# under its own name, and of each option of the command.
. "$(dirname "$0")/lib.sh"

functions=src/packaging/man/poolalloc.3
command=src/packaging/man/poolalloc.1
map=src/api/exports.map
for file in $functions $command $map; do
    [ -f "$file" ] || {
        fault "there is no $file"
        verdict manual 0
    }
done

grep -o 'poolalloc_[a-z_]*' "$map" | sort -u >"$scratch/defined"
grep -o '\\fBpoolalloc_[a-z_]*\\fR(' "$functions" | sed 's/.*\\fB\(.*\)\\fR(/\1/' |
    sort -u >"$scratch/described"
comm -23 "$scratch/defined" "$scratch/described" | while read -r name; do
    fault "$functions lacks $name"
done
comm -13 "$scratch/defined" "$scratch/described" | while read -r name; do
    fault "$functions has $name, which $map has not"
done

# "-o, --output" of the texts that --help prints; --help itself is said once for all.
find src/cli -name '*.c' | while read -r source; do
    grep -o '"  -[a-z], --[a-z]*' "$source" | sed 's/^"  //'
done | grep -v -e '--help' | sort -u >"$scratch/defined_options"
sed 's/\\f[BRI]//g; s/\\-/-/g' "$command" | grep -o '^-[a-z], --[a-z]*' |
    sort -u >"$scratch/described_options"
comm -23 "$scratch/defined_options" "$scratch/described_options" | while read -r option; do
    fault "$command lacks $option"
done
comm -13 "$scratch/defined_options" "$scratch/described_options" | while read -r option; do
    fault "$command has $option, which the command has not"
done
verdict functions "$(count_lines <"$scratch/defined")"
