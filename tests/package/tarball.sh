#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The source archive is the same, byte for byte, whoever makes it; all of it is in one directory, and
# what is in the tree is in there.
#
#     tarball.sh SOURCE_DIRECTORY SCRATCH_DIRECTORY
set -eu
source=$1
scratch=$2/tarball.scratch
git -C "$source" rev-parse HEAD >/dev/null 2>&1 || { echo "skipped: not in git"; exit 77; }
rm -rf "$scratch"
mkdir -p "$scratch/a" "$scratch/b"
a=$(cd "$scratch" && "$source/src/packaging/tarball.sh" HEAD a)
b=$(cd / && umask 077 && TZ=Asia/Tokyo "$source/src/packaging/tarball.sh" HEAD "$scratch/b")
cmp "$a" "$b"
name=$(basename "$a" .tar.gz)
tar -tzf "$a" >"$scratch/list"
if grep -v "^$name/" "$scratch/list"; then
    echo "these are outside of $name/"
    exit 1
fi
for file in CMakeLists.txt LICENSE README.md src/api/libc.c include/poolalloc.h; do
    grep -qxF "$name/$file" "$scratch/list" || { echo "there is no $file"; exit 1; }
done
