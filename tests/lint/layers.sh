#!/bin/sh
# SPDX-License-Identifier: MIT
# Includes go down: base < os < conf < mem < heap < objects < pressure < obs < api. A project header is named
# relative to src/, and the public one is only known to the top and to the objects that it declares.
# The command, in cli, is a program of its own: it knows the library by what it prints.
. "$(dirname "$0")/lib.sh"

find src -type f -name '*.[ch]' >"$scratch/sources"
while read -r source; do
    awk -v source="$source" '
    BEGIN {
        n_layers = split("base os conf mem heap objects pressure obs api", layers, " ")
        for (i = 1; i <= n_layers; i++)
            rank[layers[i]] = i
        rank["cli"] = 0
        n_parts = split(source, parts, "/")
        mine = parts[2]
        if (n_parts != 3 || !(mine in rank)) {
            print source ": is not a file of a layer"
            exit
        }
    }
    /^[ \t]*#[ \t]*include[ \t]*"/ {
        split($0, quoted, "\"")
        header = quoted[2]
        where = source ":" FNR ": \"" header "\" "
        if (header == "poolalloc.h") {
            if (mine != "api" && mine != "objects")
                print where "is for api and objects only"
        } else if (header !~ /^[a-z0-9_]+\/[a-z0-9_]+\.h$/) {
            print where "is not written as \"layer/file.h\""
        } else {
            split(header, at, "/")
            if (!(at[1] in rank))
                print where "is of no layer"
            else if ((at[1] == "cli") != (mine == "cli"))
                print where "is on the other side of the command"
            else if (rank[at[1]] > rank[mine])
                print where "is above " mine
        }
    }' "$source" >>"$faults"
done <"$scratch/sources"
verdict "source files" "$(count_lines <"$scratch/sources")"
