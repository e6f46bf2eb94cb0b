# SPDX-License-Identifier: MIT
# Sourced by every script of this folder. The script itself runs on the system's malloc; what it
# tests runs under `preloaded`. POOLALLOC_LIBRARY names the library.
# shellcheck shell=sh
set -eu

LC_ALL=C
export LC_ALL
unset LD_PRELOAD

# shellcheck disable=SC2034
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/preload.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

fail()
{
    echo "FAILED: $*" >&2
    exit 1
}

# A missing program is a failure, except where POOLALLOC_TEST_MAY_SKIP says that skipping is fine.
need()
{
    for program in "$@"; do
        command -v "$program" >/dev/null && continue
        [ -n "${POOLALLOC_TEST_MAY_SKIP-}" ] || fail "$program is missing"
        echo "skipped: $program is missing"
        exit 77
    done
}

preloaded()
{
    env LD_PRELOAD="$library" "$@"
}

# Runs a command without and with the library: exit code 0 twice, and the same output.
same()
{
    same_from /dev/null "$@"
}

# The same with a file as its input.
same_from()
{
    input=$1
    shift
    "$@" <"$input" >"$scratch/plain.out" 2>"$scratch/plain.err" ||
        fail "without the library, status $?: $*: $(tail -n 5 "$scratch/plain.err")"
    preloaded "$@" <"$input" >"$scratch/preloaded.out" 2>"$scratch/preloaded.err" ||
        fail "status $?: $*: $(tail -n 5 "$scratch/preloaded.err")"
    cmp "$scratch/plain.out" "$scratch/preloaded.out" || fail "other output: $*"
    cmp "$scratch/plain.err" "$scratch/preloaded.err" || fail "other messages: $*"
}

# The library must be where ld.so finds it, or all that follows would test the system's malloc:
# ld.so only warns of a preload that it cannot load.
[ -n "${POOLALLOC_LIBRARY-}" ] || fail "POOLALLOC_LIBRARY is not set"
library=$(readlink -f "$POOLALLOC_LIBRARY")
preloaded cat /proc/self/maps >"$scratch/maps"
grep -qF "$library" "$scratch/maps" || fail "$library is not mapped into a preloaded program"
