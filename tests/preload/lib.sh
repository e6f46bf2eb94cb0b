# SPDX-License-Identifier: MIT
# Sourced by every script of this folder. The script itself runs on the system's malloc; what it
# tests runs under `preloaded`. POOLALLOC_LIBRARY names the library.
# shellcheck shell=sh
set -eu

# The distribution's own programs.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL
unset LD_PRELOAD

side=preloaded
# shellcheck disable=SC2034
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/preload.XXXXXX")
server=
trap 'stop_server; rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

# In a pipeline `exit` ends the subshell alone: same_work looks for the file.
fail()
{
    echo "FAILED: $*" >&2
    : >"$scratch/failed"
    exit 1
}

# A server that does not end when told to is killed. It may have ended before: both are fine here.
stop_server()
{
    [ -n "$server" ] || return 0
    kill "$server" 2>/dev/null || :
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        server_lives || break
        sleep 0.5
    done
    kill -9 "$server" 2>/dev/null || :
    wait "$server" 2>/dev/null || :
    server=
}

# A child that has ended stays there as a zombie until it is waited for.
server_lives()
{
    grep -q '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$server/status" 2>/dev/null
}

give_up()
{
    tail -n 20 "$scratch/server.log" >&2
    fail "$*"
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

# The program allocates from the library, which shows at exit: one that is mapped and called by nobody
# changes no output either.
in_use()
{
    POOLALLOC_CONF=dump=stderr preloaded "$@" >"$scratch/dump" 2>&1 </dev/null ||
        fail "status $?: $*: $(tail -n 5 "$scratch/dump")"
    grep -q '^poolalloc: dump of process' "$scratch/dump" || fail "the library is not in use: $*"
    grep -q -E '^ +[0-9]+ +[1-9][0-9]* +[0-9]+ +[0-9]+ ' "$scratch/dump" ||
        fail "nothing was allocated from the library: $*"
}

# Words to put before a server that refuses to run as root.
# shellcheck disable=SC2034
if [ "$(id -u)" -eq 0 ]; then
    unprivileged="setpriv --reuid=65534 --regid=65534 --clear-groups"
else
    unprivileged=
fi

# Runs a command without and with the library: exit code 0 twice, and the same output.
same()
{
    same_from /dev/null "$@"
}

# The same with a file as its input.
same_from()
{
    same_output_from "$@"
    shift
    cmp "$scratch/plain.err" "$scratch/preloaded.err" || fail "other messages: $*"
}

# The same for programs whose messages differ from run to run, with addresses or times.
same_output()
{
    same_output_from /dev/null "$@"
}

same_output_from()
{
    input=$1
    shift
    "$@" <"$input" >"$scratch/plain.out" 2>"$scratch/plain.err" ||
        fail "without the library, status $?: $*: $(tail -n 5 "$scratch/plain.err")"
    preloaded "$@" <"$input" >"$scratch/preloaded.out" 2>"$scratch/preloaded.err" ||
        fail "status $?: $*: $(tail -n 5 "$scratch/preloaded.err")"
    cmp "$scratch/plain.out" "$scratch/preloaded.out" || fail "other output: $*"
}

# Calls the script's function `work` twice, in an empty directory each, without and with the library
# in what `run` and `start` start: it must print the same.
same_work()
{
    for side in plain preloaded; do
        mkdir "$scratch/$side"
        cd "$scratch/$side"
        work >"$scratch/$side.out"
        cd "$scratch"
        [ ! -e failed ] || exit 1
        [ -s "$side.out" ] || fail "$side: no output to compare"
    done
    cmp "$scratch/plain.out" "$scratch/preloaded.out" || {
        diff "$scratch/plain.out" "$scratch/preloaded.out" | head -n 20 >&2
        fail "other output"
    }
}

# Messages go to a file, which is shown when the command fails.
run()
{
    if [ "$side" = plain ]; then
        "$@" 2>"$scratch/run.err"
    else
        preloaded "$@" 2>"$scratch/run.err"
    fi || fail "$side, status $?: $*: $(tail -n 5 "$scratch/run.err")"
}

# Starts a server, which is stopped at the end whatever happens.
start()
{
    if [ "$side" = plain ]; then
        "$@" >"$scratch/server.log" 2>&1 </dev/null &
    else
        env LD_PRELOAD="$library" "$@" >"$scratch/server.log" 2>&1 </dev/null &
    fi
    server=$!
}

# Repeats a command until it succeeds, for as long as the server lives.
wait_until()
{
    tries=0
    until "$@" >/dev/null 2>&1; do
        server_lives || give_up "$side: the server has gone"
        tries=$((tries + 1))
        [ "$tries" -lt 3000 ] || give_up "$side: this never succeeds: $*"
        sleep 0.1
    done
    [ "$side" = plain ] || grep -qF "$library" "/proc/$server/maps" ||
        give_up "$library is not mapped into the server"
}

# The library must be where ld.so finds it, or all that follows would test the system's malloc:
# ld.so only warns of a preload that it cannot load.
[ -n "${POOLALLOC_LIBRARY-}" ] || fail "POOLALLOC_LIBRARY is not set"
library=$(readlink -f "$POOLALLOC_LIBRARY")
preloaded cat /proc/self/maps >"$scratch/maps"
grep -qF "$library" "$scratch/maps" || fail "$library is not mapped into a preloaded program"
