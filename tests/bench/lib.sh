# SPDX-License-Identifier: MIT
# Sourced by every script of this folder. BENCH is where the benchmarks are, BROKEN where libraries
# are that must fail, POOLALLOC_LIBRARY is the library under test.
# shellcheck shell=sh
set -eu

scratch=$(mktemp -d "${TMPDIR:-/tmp}/bench.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

fail()
{
    echo "$*" >&2
    cat "$scratch/stderr" >&2 || :
    exit 1
}

command -v python3 >/dev/null || {
    echo "skipped: no python3 to read JSON with"
    exit 77
}

# compare with libc's malloc and ours, once. Its own temporary directory shows what it leaves.
mkdir "$scratch/tmp"
compare()
{
    TMPDIR=$scratch/tmp "$BENCH/compare" --reps 1 --ours "$POOLALLOC_LIBRARY" \
        --json "$scratch/json" "$@" >"$scratch/stdout" 2>"$scratch/stderr"
}

# $1: what must be true of the JSON file, in Python: `rows` by name, `results` by row and allocator.
json_has()
{
    python3 - "$scratch/json" "$1" <<'END' || fail "not so: $1"
import json, sys
data = json.load(open(sys.argv[1]), parse_constant=lambda name: sys.exit('JSON has ' + name))
rows = {row['name']: row for row in data['rows']}
results = {(row['name'], result['allocator']): result
           for row in data['rows'] for result in row['results']}
scope = dict(data=data, rows=rows, results=results)
sys.exit(0 if eval(sys.argv[2], scope) else 1)
END
}

leaves_nothing()
{
    [ -z "$(ls -A "$scratch/tmp")" ] || fail "left behind: $(ls -A "$scratch/tmp")"
}
