# SPDX-License-Identifier: MIT
# Sourced by every script of this folder. Their only argument is the root of the tree to look at;
# they print one line for each fault and fail if there was one.
# shellcheck shell=sh
set -eu

LC_ALL=C
export LC_ALL

if [ $# -ne 1 ] || [ ! -d "$1" ]; then
    echo "usage: $0 ROOT" >&2
    exit 2
fi
cd "$1"

scratch=$(mktemp -d "${TMPDIR:-/tmp}/lint.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
faults=$scratch/faults
: >"$faults"

fault()
{
    echo "$*" >>"$faults"
}

# The last line of every script. $1: what was looked at, $2: how many of it; none is a fault too,
# for a check that finds nothing to look at proves nothing.
verdict()
{
    [ "$2" -gt 0 ] || fault "there are no $1"
    if [ -s "$faults" ]; then
        cat "$faults" >&2
        exit 1
    fi
    echo "$2 $1: no fault"
    exit 0
}

# All files of the project, one a line: git's if it knows the tree, otherwise all but builds.
list_files()
{
    if git ls-files --cached --others --exclude-standard 2>/dev/null >"$scratch/git" &&
        [ -s "$scratch/git" ]; then
        while read -r file; do
            [ -f "$file" ] && echo "$file"
        done <"$scratch/git"
    else
        find . -name .git -prune -o -name 'build*' -type d -prune -o -type f -print | sed 's|^\./||'
    fi
}

list_text_files()
{
    list_files | while read -r file; do
        # grep -I finds nothing in a binary file; an empty file is neither.
        if grep -Iq . "$file"; then
            echo "$file"
        fi
    done
}

count_lines()
{
    wc -l | tr -d ' '
}

# C without comments and without the insides of strings; one line for each line of the file.
strip_c()
{
    awk '
    {
        line = $0
        out = ""
        while (line != "") {
            if (in_comment) {
                at = index(line, "*/")
                if (at == 0)
                    break
                in_comment = 0
                line = substr(line, at + 2)
            } else if (match(line, /^"([^"\\]|\\.)*"/)) {
                out = out "\"\""
                line = substr(line, RLENGTH + 1)
            } else if (match(line, /^\047([^\047\\]|\\.)*\047/)) {
                out = out "0"
                line = substr(line, RLENGTH + 1)
            } else if (substr(line, 1, 2) == "/*") {
                in_comment = 1
                line = substr(line, 3)
            } else if (substr(line, 1, 2) == "//") {
                break
            } else {
                out = out substr(line, 1, 1)
                line = substr(line, 2)
            }
        }
        print out
    }' "$1"
}

# "name|TYPE|choices|names|min|max" for each row of the table of options in $1; what a row has not is empty.
option_rows()
{
    awk '
    function part(pattern, skipped) {
        return match(row, pattern) ? substr(row, RSTART + skipped, RLENGTH - skipped) : ""
    }
    function finish() {
        if (row != "")
            print part("FIELD\\([a-z_]+", 6) "|" part("OPTION_[A-Z]+", 7) "|" \
                part("\\.choices = [a-z_]+", 11) "|" part("\\.names = [a-z_]+", 9) "|" \
                part("\\.min = [^,]*", 7) "|" part("\\.max = [^,}]*", 7)
        row = ""
    }
    /^static const struct option table\[\]/ { in_table = 1; next }
    in_table && /^};/ { finish(); exit }
    in_table && /FIELD\(/ { finish() }
    in_table { row = row " " $0 }' "$1"
}
