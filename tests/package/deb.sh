#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The package for Debian: what is in it and how, and that what it holds works from where it is unpacked.
# .ci/run installs and removes it.
#
#     deb.sh CPACK BUILD_DIRECTORY VERSION SCRATCH_DIRECTORY
set -eu
cpack=$1
build=$2
version=$3
scratch=$4/deb.scratch
unset LD_PRELOAD POOLALLOC_CONF
LC_ALL=C
export LC_ALL

for program in dpkg-deb dpkg-shlibdeps file; do
    command -v "$program" >/dev/null || { echo "skipped: there is no $program"; exit 77; }
done
fail()
{
    echo "FAILED: $*"
    exit 1
}

rm -rf "$scratch"
mkdir -p "$scratch"
(cd "$build" && "$cpack" -G DEB -D CPACK_DEBIAN_COMPRESSION_TYPE=gzip -B "$scratch" \
    >"$scratch/log" 2>&1) || {
    cat "$scratch/log"
    exit 1
}
package=$(echo "$scratch"/poolalloc_"$version"_*.deb)
[ -f "$package" ] || fail "there is no $package"

dpkg-deb --contents "$package" >"$scratch/contents"
while read -r mode owner _ _ _ name _; do
    [ "$owner" = root/root ] || fail "$name belongs to $owner"
    case $mode in
    drwxr-xr-x | -rw-r--r-- | -rwxr-xr-x | lrwxrwxrwx) ;;
    *) fail "$name has mode $mode" ;;
    esac
    case $name in
    ./usr/ | ./usr/bin/* | ./usr/include/* | ./usr/lib/* | ./usr/share/*) ;;
    *) fail "$name is in a place that is none of ours" ;;
    esac
done <"$scratch/contents"
for file in bin/poolalloc include/poolalloc.h include/poolalloc.hpp share/man/man1/poolalloc.1 \
    share/man/man3/poolalloc.3 share/man/man7/poolalloc.7 share/doc/poolalloc/copyright; do
    grep -qF " ./usr/$file" "$scratch/contents" || fail "there is no /usr/$file"
done
for file in libpoolalloc.so.0 libpoolalloc.so libpoolalloc.a pkgconfig/poolalloc.pc \
    cmake/poolalloc/poolalloc-config.cmake; do
    grep -q " \./usr/lib/.*$file" "$scratch/contents" || fail "there is no $file"
done

field()
{
    dpkg-deb --field "$package" "$1"
}
[ "$(field Package)" = poolalloc ] || fail "its name is $(field Package)"
[ "$(field Version)" = "$version" ] || fail "its version is $(field Version)"
[ -n "$(field Description)" ] && [ -n "$(field Maintainer)" ] || fail "it is not described"
# libc and nothing else.
case $(field Depends) in
'libc6 (>= '*')') ;;
*) fail "it depends on $(field Depends)" ;;
esac

dpkg-deb --extract "$package" "$scratch/tree"
dpkg-deb --control "$package" "$scratch/control"
(cd "$scratch/tree" && md5sum --quiet --check "$scratch/control/md5sums")
# What its documents refer to is there.
documents=$scratch/tree/usr/share/doc/poolalloc
grep -ohE '\]\([^)#]+' "$documents"/*.md | sed 's/^](//' | sort -u >"$scratch/links"
while read -r link; do
    [ -f "$documents/$link" ] || fail "its documents refer to $link, which is not there"
done <"$scratch/links"
for file in pool.c heap.c poolalloc-example.service; do
    grep -qxF "examples/$file" "$scratch/links" || fail "its documents do not refer to $file"
done
cc -I "$scratch/tree/usr/include" "$documents/examples/pool.c" -o "$scratch/pool" \
    "$(find "$scratch/tree" -name libpoolalloc.a)" && "$scratch/pool" >/dev/null ||
    fail "the example of a pool does not work"

library=$(find "$scratch/tree" -name 'libpoolalloc.so.0')
# Each function has a page, which leads to that of all of them.
nm -D --defined-only "$library" | sed -n 's/.* \(poolalloc_[a-z_]*\)$/\1/p' >"$scratch/functions"
[ -s "$scratch/functions" ] || fail "it has no functions"
while read -r name; do
    grep -qE " \./usr/share/man/man3/$name\.3(\.gz)?$" "$scratch/contents" || fail "there is no page $name"
done <"$scratch/functions"
if command -v man >/dev/null; then
    man -M "$scratch/tree/usr/share/man" 3 poolalloc_dump 2>/dev/null | grep -q 'poolalloc_pool_create' ||
        fail "the page poolalloc_dump does not lead to poolalloc"
fi
readelf -d "$library" | grep -q 'SONAME.*\[libpoolalloc.so.0\]' || fail "it has another SONAME"
readelf -d "$library" "$scratch/tree/usr/bin/poolalloc" >"$scratch/dynamic"
readelf -d "$scratch/tree/usr/bin/poolalloc" | grep -q NOW || fail "the command is not bound at start"
if grep -E 'RPATH|RUNPATH' "$scratch/dynamic"; then
    fail "it looks for libraries in a directory of its own"
fi
"$scratch/tree/usr/bin/poolalloc" run -- sort "$0" >"$scratch/sorted" 2>"$scratch/dump"
grep -q 'poolalloc: dump of process' "$scratch/dump" || fail "no dump: $(cat "$scratch/dump")"
