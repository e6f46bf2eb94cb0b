#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What a release consists of: the source archive of a commit, and the package for Debian that is built
# from it. From the same commit, with the same compiler, all of it is the same bytes wherever and whenever
# it is made.
#
#     release.sh [COMMIT [DIRECTORY]]
set -eu
commit=${1:-HEAD}
directory=$(cd "${2:-.}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/poolalloc-release.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
umask 022

archive=$("$here/tarball.sh" "$commit" "$directory")
SOURCE_DATE_EPOCH=$(git -C "$here" log -1 --format=%ct "$commit")
export SOURCE_DATE_EPOCH
tar -xzf "$archive" -C "$scratch" --strip-components=1
cmake -S "$scratch" -B "$scratch/build" -G Ninja -DCMAKE_INSTALL_PREFIX=/usr \
    -DPOOLALLOC_BUILD_TESTS=OFF -DPOOLALLOC_BUILD_BENCH=OFF \
    "-DCMAKE_C_FLAGS=-ffile-prefix-map=$scratch=." >"$scratch/log"
cmake --build "$scratch/build" >>"$scratch/log" || { cat "$scratch/log"; exit 1; }
(cd "$scratch/build" && cpack -G DEB -B "$scratch/packages" >>"$scratch/log") ||
    { cat "$scratch/log"; exit 1; }
echo "$archive"
for package in "$scratch"/packages/*.deb; do
    cp "$package" "$directory/"
    echo "$directory/$(basename "$package")"
done
