#!/bin/sh
# SPDX-License-Identifier: MIT
# The checks of this folder on small trees: one without a fault, which all must pass, and the same
# with one fault each, which the check for it must find.
set -eu

LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/selftest.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
tree=$scratch/tree

fail()
{
    echo "FAILED: $*" >&2
    exit 1
}

# Puts text under a licence line into a file of the tree.
write()
{
    mkdir -p "$tree/$(dirname "$1")"
    printf '/* SPDX-License-%s: MIT */\n%s\n' Identifier "$2" >"$tree/$1"
}

write_clean_tree()
{
    rm -rf "$tree"
    write include/poolalloc.h 'int poolalloc_version(void);'
    write src/base/bits.h '#ifndef BITS_H
#define BITS_H
enum { BITS = 64 };
#endif'
    write src/os/pages.h '#include "base/bits.h"'
    write src/os/pages.c '#include "os/pages.h"

#include <pthread.h>
#include <sys/mman.h>

int pages = BITS; /* getenv("X") belongs here */'
    write src/mem/arena.h '#include "base/bits.h"
#include "os/pages.h"

/* Never getenv("X") here. */
#define ARENA BITS'
    write src/conf/options.c '/* clang-format off */
struct options options = {
    .size = 2 * MIB,
    .mode = MODE_SLOW,
};

static const char *const modes[] = {"fast", "slow", NULL};

static const struct name letters[] = {
    {"A", 1}, {"B", 2}, {NULL, 0},
};

static const struct option table[] = {
    {FIELD(size), .type = OPTION_BYTES, .min = KIB, .max = 1024 * (1024 * GIB),
     .unit = "bytes"},
    {FIELD(mode), .choices = modes, .type = OPTION_CHOICE},
    {FIELD(dump), .type = OPTION_TEXT},
    {FIELD(percent), .type = OPTION_NUMBER, .min = 0, .max = UINT32_MAX,
     .names = letters},
};'
    write README.md '| option | default | range | what it does |
|---|---|---|---|
| `dump` | none | a file | write one |
| `mode` | `slow` | `fast`, `slow` | how |
| `percent` | 0 | 0 to 4294967295, or `A`, `B` | of it |
| `size` | 2 MiB | 1 KiB to 1 PiB, or so | how much |

| another | table |
|---|---|
| `of` | other things |'
    write src/packaging/man/poolalloc.7 '\fBdump\fR = none
Range: a file.
\fBmode\fR = \fBslow\fR
Range: \fBfast\fR, \fBslow\fR.
\fBpercent\fR = 0
Range: 0 to 4294967295, or \fBA\fR, \fBB\fR.
\fBsize\fR = 2 MiB
Range: 1 KiB to 1 PiB.'
    write src/api/exports.map '{ global: malloc; poolalloc_version; poolalloc_dump; };'
    write src/packaging/man/poolalloc.3 'const char *\fBpoolalloc_version\fR(void);
int \fBpoolalloc_dump\fR(int fd);'
    write src/packaging/man/poolalloc.1 '.TP
\fB\-a\fR, \fB\-\-all\fR
all of it'
    write src/obs/counters.h '/* clang-format off */
#define TOTALS(X) \
    X(live_bytes, GAUGE, BYTES, "in live blocks") \
    X(allocs, COUNTER, BLOCKS, "taken: all")

#define CLASS_FIGURES(X) \
    X(live, GAUGE, BLOCKS, "live")'
    write src/objects/registry.h '/* clang-format off */
#define OBJECT_FIGURES(X) \
    X(in_use, GAUGE, PIECES, "used")'
    write src/os/calls.h '/* clang-format off */
#define OS_CALLS(X) \
    X(MAP, mmap, "memory, see src/os/calls.h")'
    write LD_PRELOAD.md '| figure | kind | unit | what it is |
|---|---|---|---|
| `live_bytes` | gauge | bytes | in live blocks |
| `allocs` | counter | blocks | taken: all |

| figure of a class | kind | unit | what it is |
|---|---|---|---|
| `live` | gauge | blocks | live |

| figure of an object | kind | unit | what it is |
|---|---|---|---|
| `in_use` | gauge | pieces | used |

| kind of call | what for |
|---|---|
| `mmap` | memory, see src/os/calls.h |'
    write src/cli/main.c '#include "cli/main.h"

#include <sys/stat.h>

int command; /* getenv("X") is fine here */
static const char text[] = "  -a, --all     all of it\n"
                           "  -h, --help    this\n";
char *home = getenv("HOME");'
    write src/cli/main.h '#ifndef MAIN_H
#define MAIN_H
#endif'
    write src/api/libc.c '#include "mem/arena.h"
#include "poolalloc.h"

#include <errno.h>

int api = ARENA; // not environ'
}

run_check()
{
    status=0
    sh "$here/$1.sh" "$tree" >"$scratch/output" 2>&1 || status=$?
    [ "$status" -le 1 ] || [ "$status" -eq 77 ] ||
        fail "$1 ended with status $status: $(cat "$scratch/output")"
}

# Changes a file of the tree with a command of sed.
edit()
{
    sed -i "$2" "$tree/$1"
}

# $1: check, $2: what its message must hold. The fault has been put into the tree.
finds()
{
    run_check "$1"
    [ "$status" -eq 77 ] || {
        [ "$status" -eq 1 ] || fail "$1 does not find: $2"
        grep -qF "$2" "$scratch/output" || fail "$1 does not say '$2' but: $(cat "$scratch/output")"
    }
    write_clean_tree
}

write_clean_tree
for check in layers headers system length spdx words paths options ranges figures manual format; do
    run_check "$check"
    [ "$status" -ne 1 ] || fail "$check finds a fault where there is none: $(cat "$scratch/output")"
done

write src/os/pages.h '#include "mem/arena.h"'
finds layers 'src/os/pages.h:2: "mem/arena.h" is above os'
write src/mem/arena.c '  #  include  "api/libc.h"'
finds layers '"api/libc.h" is above mem'
write src/mem/arena.h '#include "pages.h"'
finds layers 'is not written as "layer/file.h"'
write src/mem/arena.h '#include "../os/pages.h"'
finds layers 'is not written as "layer/file.h"'
write src/mem/arena.c '#include "os/pages.c"'
finds layers 'is not written as "layer/file.h"'
write src/mem/arena.h '#include "heep/heap.h"'
finds layers 'is of no layer'
write src/heap/heap.h '#include "poolalloc.h"'
finds layers '"poolalloc.h" is for api and objects only'
write src/cli/main.c '#include "mem/arena.h"'
finds layers 'src/cli/main.c:2: "mem/arena.h" is on the other side of the command'
write src/mem/arena.c '#include "cli/main.h"'
finds layers '"cli/main.h" is on the other side of the command'
write src/cli/main.c '#include "poolalloc.h"'
finds layers '"poolalloc.h" is for api and objects only'
write src/extra/extra.h ''
finds layers 'is not a file of a layer'
rm -r "$tree/src"
mkdir "$tree/src"
finds layers 'there are no source files'

write src/mem/arena.h 'enum { ARENA = BITS };'
finds headers 'mem/arena.h does not compile alone'
write src/mem/arena.h 'struct arena { int x; };'
finds headers 'mem/arena.h does not compile alone'

write src/mem/arena.c '#include <sys/mman.h>'
finds system 'src/mem/arena.c:2: #include <sys/mman.h>: only in src/os'
write src/heap/heap.c '# include <pthread.h>'
finds system 'src/heap/heap.c:2'
write src/api/libc.c '/* a
comment */ int x; void *y = getenv("X");'
finds system 'src/api/libc.c:3: the environment'
write src/api/libc.c 'void *y = secure_getenv ("/* no comment");'
finds system 'src/api/libc.c:2: the environment'
write src/conf/options.c 'extern char **environ;'
finds system 'src/conf/options.c:2: the environment'

write src/mem/long.c "$(awk 'BEGIN { for (i = 0; i < 700; i++) print "int x" i ";" }')"
finds length 'src/mem/long.c has 701 lines'

echo 'int x;' >"$tree/src/mem/bare.c"
finds spdx 'src/mem/bare.c has 0 SPDX lines'
write src/mem/twice.c "$(cat "$tree/src/mem/arena.h")"
finds spdx 'src/mem/twice.c has 2 SPDX lines'
write COPYING ''
sed -i 's/MIT/GPL-2.0/' "$tree/COPYING"
finds spdx 'COPYING does not name the licence MIT'

write README.md "In an earlier ses""sion"
finds words 'README.md:2:'
write README.md 'the best obs''ession of all, in his posses''sion'
run_check words
[ "$status" -eq 0 ] || fail "words finds a part of a word: $(cat "$scratch/output")"
write README.md "see /wo""rk/notes"
finds words 'README.md:2:'

edit README.md '/`percent`/d'
finds options 'README.md has no row: `percent` 0'
edit README.md 's/| `size`/| size/'
finds options 'README.md has no row: `size` 2 MiB'
edit README.md 's/2 MiB/2 GiB/'
finds options 'README.md has a row for no option or default: `size` 2 GiB'
edit README.md '/`mode`/p'
finds options 'README.md has more than one row: `mode` `slow`'
edit src/conf/options.c '/FIELD(dump)/d'
finds options 'README.md has a row for no option or default: `dump` none'
edit src/conf/options.c 's/MODE_SLOW/MODE_FAST/'
finds options 'README.md has no row: `mode` `fast`'
edit src/conf/options.c '/\.mode = /d'
finds options 'README.md has no row: `mode` `fast`'
edit src/conf/options.c 's/    \.size/    .percent = 7,\n    .size/'
finds options 'README.md has no row: `percent` 7'
edit src/packaging/man/poolalloc.7 '/percent/d'
finds options 'poolalloc.7 has no row: `percent` 0'
edit src/packaging/man/poolalloc.7 's/slow/fast/'
finds options 'poolalloc.7 has a row for no option or default: `mode` `fast`'
rm "$tree/README.md"
finds options 'there is no src/conf/options.c, no README.md or no src/packaging/man/poolalloc.7'

edit README.md 's/1 PiB/1 TiB/'
finds ranges 'README.md: the range of size is 1 KiB to 1 PiB'
edit src/packaging/man/poolalloc.7 's/1 PiB/1 PiBs/'
finds ranges 'poolalloc.7: the range of size is 1 KiB to 1 PiB'
edit src/packaging/man/poolalloc.7 '/^Range: 0/d'
finds ranges 'poolalloc.7: the range of percent is 0 to 4294967295, or `A`, `B`'
edit src/conf/options.c 's/UINT32_MAX/7/'
finds ranges 'README.md: the range of percent is 0 to 7, or `A`, `B`'
edit src/conf/options.c 's/{"B", 2}, //'
finds ranges 'README.md: the range of percent is 0 to 4294967295, or `A`'
edit src/conf/options.c 's/"fast", //'
finds ranges 'README.md: the range of mode is `slow`'

edit src/packaging/man/poolalloc.3 '/dump/d'
finds manual 'poolalloc.3 lacks poolalloc_dump'
edit src/api/exports.map 's/poolalloc_dump//'
finds manual 'poolalloc.3 has poolalloc_dump, which src/api/exports.map has not'
edit src/packaging/man/poolalloc.1 's/all/every/'
finds manual 'poolalloc.1 lacks -a, --all'
edit src/cli/main.c 's/--all/--every/'
finds manual 'poolalloc.1 has -a, --all, which the command has not'
rm "$tree/src/packaging/man/poolalloc.1"
finds manual 'there is no src/packaging/man/poolalloc.1'

edit LD_PRELOAD.md '/`allocs`/d'
finds figures 'LD_PRELOAD.md lacks: TOTALS: allocs | counter | blocks | taken: all'
edit LD_PRELOAD.md 's/| blocks | live/| slabs | live/'
finds figures 'LD_PRELOAD.md lacks: CLASS_FIGURES: live | gauge | blocks | live'
edit src/obs/counters.h 's/in live blocks/in blocks/'
finds figures 'LD_PRELOAD.md has, and the tables have not: TOTALS: live_bytes | gauge | bytes | in live blocks'
edit src/objects/registry.h 's/PIECES/BLOCKS/'
finds figures 'LD_PRELOAD.md lacks: OBJECT_FIGURES: in_use | gauge | blocks | used'
edit src/os/calls.h '/MAP/d'
finds figures 'LD_PRELOAD.md has, and the tables have not: OS_CALLS: mmap | memory'
rm "$tree/LD_PRELOAD.md"
finds figures 'there is no LD_PRELOAD.md'

write src/mem/arena.c '/* Tests: tests/unit/test_arena.c. */'
finds paths 'src/mem/arena.c:2: there is no tests/unit/test_arena.c'

write src/mem/arena.c 'int   x;'
finds format 'src/mem/arena.c:2'
write src/mem/arena.c "/* $(printf '%0100d' 0) */"
finds format 'src/mem/arena.c:2: longer than 100 columns'

echo "all checks find what they are for"
