#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A program under the library in a root of its own, as in a small container: libc, the program, the
# library, the command, and nothing else; no /proc, no /dev, no /tmp.
#
#     chroot.sh INSTALLED SCRATCH_DIRECTORY
set -eu
installed=$1
root=$2/chroot.scratch
unset LD_PRELOAD POOLALLOC_CONF

if [ "$(id -u)" -eq 0 ]; then
    enter="chroot $root"
elif unshare --user --map-root-user true 2>/dev/null; then
    enter="unshare --user --map-root-user chroot $root"
else
    echo "skipped: neither root nor able to make a user namespace"
    exit 77
fi

rm -rf "$root"
mkdir -p "$root/usr/bin" "$root/usr/lib"
library=$(find "$installed" -name 'libpoolalloc.so.0')
cp -L "$library" "$root/usr/lib/libpoolalloc.so.0"
cp "$installed/bin/poolalloc" "$root/usr/bin/"
for program in sort env; do
    cp "$(command -v "$program")" "$root/usr/bin/"
    # The libraries, and the loader, where they are outside.
    ldd "$(command -v "$program")" | grep -o '/[^ ]*' | while read -r file; do
        mkdir -p "$root$(dirname "$file")"
        cp -L "$file" "$root$file"
    done
done

# $1: what is tried; the rest: the command in there. It gets three lines to sort.
try()
{
    what=$1
    shift
    # shellcheck disable=SC2086
    printf 'c\na\nb\n' | $enter "$@" >"$root/out" 2>"$root/err" || {
        echo "$what: status $?: $(cat "$root/err")"
        exit 1
    }
    [ "$(tr -d '\n' <"$root/out")" = abc ] || { echo "$what: not sorted"; exit 1; }
    grep -q 'poolalloc: dump of process' "$root/err" || {
        echo "$what: no dump: $(cat "$root/err")"
        exit 1
    }
}
try preloaded /usr/bin/env LD_PRELOAD=/usr/lib/libpoolalloc.so.0 POOLALLOC_CONF=dump=stderr \
    /usr/bin/sort
# Without /proc the command does not know where it is.
try 'by the command' /usr/bin/poolalloc run --library /usr/lib/libpoolalloc.so.0 -- /usr/bin/sort
