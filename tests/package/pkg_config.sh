#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A compile line with pkg-config, in C and in C++, against the installed tree after it was moved: none of
# it holds the path that it was installed to. The moved command finds the moved library.
#
#     pkg_config.sh INSTALLED VERSION CC CXX SCRATCH_DIRECTORY
set -eu
installed=$1
version=$2
cc=$3
cxx=$4
scratch=$5/pkg_config.scratch
here=$(cd "$(dirname "$0")" && pwd)
unset LD_PRELOAD POOLALLOC_CONF

command -v pkg-config >/dev/null || { echo "skipped: there is no pkg-config"; exit 77; }
rm -rf "$scratch"
mkdir -p "$scratch"
cp -a "$installed" "$scratch/moved"
PKG_CONFIG_PATH=$(dirname "$(find "$scratch/moved" -name poolalloc.pc)")
PKG_CONFIG_LIBDIR=$PKG_CONFIG_PATH
export PKG_CONFIG_PATH PKG_CONFIG_LIBDIR

found=$(pkg-config --modversion poolalloc)
[ "$found" = "$version" ] || { echo "version $found, not $version"; exit 1; }
flags=$(pkg-config --cflags --libs poolalloc)
lib=$(pkg-config --variable=libdir poolalloc)

# $1: program; the rest: how it is compiled.
try()
{
    program=$1
    shift
    # shellcheck disable=SC2086
    "$@" -o "$scratch/$program" $flags "-Wl,-rpath,$lib"
    POOLALLOC_CONF=dump=stderr "$scratch/$program" 2>"$scratch/$program.dump"
    grep -q 'poolalloc: dump of process' "$scratch/$program.dump" || {
        echo "$program leaves no dump: $(cat "$scratch/$program.dump")"
        exit 1
    }
}
try in_c "$cc" "$here/../objects/examples/pool.c"
try in_cpp "$cxx" -std=c++17 "$here/../objects/examples/containers.cpp"

"$scratch/moved/bin/poolalloc" run -- true 2>"$scratch/dump"
grep -q 'poolalloc: dump of process' "$scratch/dump" || {
    echo "the moved command does not find the library: $(cat "$scratch/dump")"
    exit 1
}
if grep -rl --include='*.cmake' --include='*.pc' -F "$installed" "$scratch/moved"; then
    echo "these name the place that they were installed to"
    exit 1
fi
