# SPDX-License-Identifier: MIT
# Sourced by the scripts of this folder: runs of a program with and without the library.
# POOLALLOC_LIBRARY names the library.
# shellcheck shell=sh
set -eu

LC_ALL=C
export LC_ALL
unset LD_PRELOAD

scratch=$(mktemp -d "${TMPDIR:-/tmp}/loader.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

fail()
{
    echo "FAILED: $*" >&2
    exit 1
}

# The dump of a program goes to a file of its own; its output to $scratch/out.
dump_of()
{
    env LD_PRELOAD="$1" POOLALLOC_CONF="dump=$scratch/dump" "$2" >"$scratch/out" ||
        fail "status $?: $2 with $1"
    grep -q 'poolalloc: dump of process' "$scratch/dump" || fail "no dump of $2"
}

[ -n "${POOLALLOC_LIBRARY-}" ] || fail "POOLALLOC_LIBRARY is not set"
