#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The source archive of a commit, the same bytes whoever makes it, and when.
#
#     tarball.sh [COMMIT [DIRECTORY]]
#
# writes DIRECTORY/poolalloc-VERSION.tar.gz and prints its name.
set -eu
commit=${1:-HEAD}
directory=$(cd "${2:-.}" && pwd)
cd "$(dirname "$0")/../.."

version=$(git show "$commit:CMakeLists.txt" | sed -n 's/^project(poolalloc VERSION \([0-9.]*\).*/\1/p')
[ -n "$version" ] || { echo "$0: no version in CMakeLists.txt of $commit" >&2; exit 1; }
archive=$directory/poolalloc-$version.tar.gz
# git sets owners and modes, and the commit's time; -n leaves the compressor's out.
git -c tar.umask=0022 archive --format=tar --prefix="poolalloc-$version/" "$commit" |
    gzip -9n >"$archive.part"
mv "$archive.part" "$archive"
echo "$archive"
