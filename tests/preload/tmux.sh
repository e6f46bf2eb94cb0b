#!/bin/sh
# SPDX-License-Identifier: MIT
# tmux: a server that forks, a shell in a terminal, keys in and the screen out.
. "$(dirname "$0")/lib.sh"
need tmux
in_use tmux -V

trap 'tmux -S "$scratch/$side/socket" kill-server 2>/dev/null || :; rm -rf "$scratch"' EXIT
work()
{
    set -- tmux -S "$PWD/socket" -f /dev/null
    run "$@" new -d -x 100 -y 40 'env PS1= sh'
    if [ "$side" = preloaded ]; then
        pid=$(run "$@" display-message -p '#{pid}')
        grep -qF "$library" "/proc/$pid/maps" || fail "the library is not mapped into the server"
    fi
    run "$@" set-option -g history-limit 20000
    # The keys are echoed, or not yet: only what the commands print is compared.
    run "$@" send-keys \
        "stty -echo; clear; seq 1 5000; echo sum \$((40 + 2)); echo 1 >$PWD/ended" Enter
    tries=0
    until [ -s ended ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || fail "$side: the keys had no effect"
        sleep 0.1
    done
    for split in -h -v -h; do
        run "$@" split-window "$split" -t 0 'cat'
    done
    run "$@" select-layout tiled
    tries=0
    until run "$@" capture-pane -p -t 0 -S -3000 >screen && grep -q 'sum 42' screen; do
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || fail "$side: the screen lacks the sum"
        sleep 0.1
    done
    grep 'sum 42' screen
    run "$@" list-panes | wc -l
    run "$@" kill-server
}
same_work
