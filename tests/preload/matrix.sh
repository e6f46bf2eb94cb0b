#!/bin/sh
# SPDX-License-Identifier: MIT
# All scripts of this folder, one after the other, on Debian's own programs:
#
#     tests/preload/matrix.sh LIBRARY [SCRIPT NAME WITHOUT .sh ...]
#
# It prints one line a script, with the seconds it took, and exits with 1 if one failed or none could
# run. What is not installed is passed over.
# All there is to install, as root:
#
#     apt-get install --no-install-recommends bc chromium clang cmake curl default-jre-headless
#         ffmpeg g++ gawk gcc gdb ghostscript git heaptrack imagemagick jq lua5.4 make man-db
#         mariadb-client-core mariadb-server-core mawk memcached nginx-light nodejs openssl
#         php-cli php-gd php-intl php-mbstring php-mysql php-sqlite3 php-xml postgresql perl
#         python3 redis-server redis-tools ruby rsync rustc sqlite3 strace tmux valgrind vim
#         xz-utils zstd
set -eu

if [ $# -lt 1 ] || [ ! -r "$1" ]; then
    echo "usage: $0 LIBRARY [NAME...]" >&2
    exit 2
fi
POOLALLOC_LIBRARY=$(readlink -f "$1")
shift
POOLALLOC_TEST_MAY_SKIP=1
export POOLALLOC_LIBRARY POOLALLOC_TEST_MAY_SKIP

here=$(cd "$(dirname "$0")" && pwd)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 1' HUP INT TERM

if [ $# -eq 0 ]; then
    for script in "$here"/*.sh; do
        name=$(basename "$script" .sh)
        case $name in
        lib | library | matrix) ;;
        *) set -- "$@" "$name" ;;
        esac
    done
fi

n_ok=0
n_failed=0
n_missing=0
for name in "$@"; do
    status=0
    started=$(date +%s)
    timeout -k 30 900 sh "$here/$name.sh" >"$log" 2>&1 </dev/null || status=$?
    took="$name, $(($(date +%s) - started)) s"
    case $status in
    0)
        n_ok=$((n_ok + 1))
        echo "ok       $took"
        ;;
    77)
        n_missing=$((n_missing + 1))
        echo "missing  $took: $(tail -n 1 "$log")"
        ;;
    *)
        n_failed=$((n_failed + 1))
        echo "FAILED   $took: status $status"
        tail -n 30 "$log" | sed 's/^/    /'
        ;;
    esac
done

echo "$n_ok ok, $n_failed failed, $n_missing missing"
[ "$n_failed" -eq 0 ] && [ "$n_ok" -gt 0 ]
