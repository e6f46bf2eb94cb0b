#!/bin/sh
# SPDX-License-Identifier: MIT
# A server and its benchmark, both with the library, on a socket of their own; with a save in the
# background, which forks.
. "$(dirname "$0")/lib.sh"
need redis-server redis-benchmark redis-cli
in_use redis-server --version

socket=$scratch/redis.sock
start redis-server --port 0 --unixsocket "$socket" --dir "$scratch" \
    --save '' --appendonly no --daemonize no --dbfilename dump.rdb

ask()
{
    redis-cli -s "$socket" "$@"
}

# Repeats a question until the answer holds a text, for as long as the server lives.
wait_for()
{
    wanted=$1
    shift
    tries=0
    until ask "$@" 2>/dev/null | grep -q "$wanted"; do
        server_lives || give_up "the server has gone"
        tries=$((tries + 1))
        [ "$tries" -lt 3000 ] || give_up "no '$wanted' from $*"
        sleep 0.1
    done
}

wait_for PONG ping
grep -qF "$library" "/proc/$server/maps" || give_up "$library is not mapped into the server"

preloaded redis-benchmark -s "$socket" -n 20000 -c 20 -r 5000 -d 200 --csv \
    -t set,get,incr,lpush,lpop,sadd,hset,zadd,lrange_100,mset >"$scratch/benchmark.csv" 2>&1 ||
    give_up "the benchmark ended with status $?: $(tail -n 5 "$scratch/benchmark.csv")"
[ "$(wc -l <"$scratch/benchmark.csv")" -ge 10 ] || give_up "the benchmark printed too little"

ask flushall >/dev/null
awk 'BEGIN {
    for (i = 1; i <= 20000; i++) {
        value = sprintf("%0" (i % 700 + 1) "d", i)
        printf "SET key:%d %s\r\n", i, value
        printf "APPEND key:%d tail\r\n", i % 5000
        printf "RPUSH list:%d %s\r\n", i % 100, value
    }
}' | ask --pipe >"$scratch/pipe.out" || give_up "loading failed"
grep -q 'errors: 0, replies: 60000' "$scratch/pipe.out" || give_up "$(cat "$scratch/pipe.out")"
ask bgsave >/dev/null
wait_for 'rdb_bgsave_in_progress:0' info persistence
ask info persistence | grep -q 'rdb_last_bgsave_status:ok' || give_up "the save failed"
[ -s "$scratch/dump.rdb" ] || give_up "nothing was saved"

[ "$(ask get key:20000)" = "$(printf '%0401d' 20000)" ] || give_up "key:20000 has another value"
[ "$(ask strlen key:4999)" -eq 116 ] || give_up "key:4999 has another length"
[ "$(ask llen list:42)" -eq 200 ] || give_up "list:42 has another length"
awk 'BEGIN { for (i = 1; i <= 3000; i++) print "key:" i }' | xargs redis-cli -s "$socket" del \
    >/dev/null
[ "$(ask dbsize)" -eq 17101 ] || give_up "$(ask dbsize) keys are left"

ask shutdown nosave || :
status=0
wait "$server" || status=$?
[ "$status" -eq 0 ] || give_up "the server ended with status $status"
