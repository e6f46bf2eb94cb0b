#!/bin/sh
# SPDX-License-Identifier: MIT
# A few workloads and a program under libc's malloc and ours: all have figures, and the files are
# whole. Then the library under a path that LD_PRELOAD and the shell would split.
. "$(dirname "$0")/lib.sh"

compare --quick --allocators poolalloc,glibc --svg "$scratch/svg" \
    --only pairs,batches,passing-one-way,interner,sort || fail "compare failed"
json_has "list(rows) == ['pairs', 'batches', 'passing-one-way', 'interner', 'sort']"
json_has "not any(result['failed'] or result['why'] for result in results.values())"
json_has "all(result['seconds']['median'] > 0 for result in results.values())"
json_has "all(result['peak_mib']['min'] > 0 for result in results.values())"
json_has "set(data['units']) == {'seconds', 'peak_mib', 'freed_mib', 'faults'}"
json_has "[(a['name'], bool(a['version']), bool(a['path'])) for a in data['allocators']] == \
    [('poolalloc', True, True), ('glibc', True, False)]"
json_has "[mean['rows'] for mean in data['geometric_means']] == [4, 1, 3, 1]"
json_has "all(mean['seconds']['median']['poolalloc'] > 0 for mean in data['geometric_means'])"
grep -q '</svg>' "$scratch/svg" || fail "the chart is not whole"
leaves_nothing

strange="$scratch/a path: of 'parts' \$HOME"
mkdir "$strange"
cp "$POOLALLOC_LIBRARY" "$strange/lib.so"
compare --quick --ours "$strange/lib.so" --allocators poolalloc --only pairs,sort ||
    fail "a path with blanks"
json_has "not any(result['failed'] for result in results.values())"
json_has "data['allocators'][0]['path'].endswith('/lib.so')"
leaves_nothing

for program in micro passing startup turnover; do
    "$BENCH/$program" --help >/dev/null || fail "$program has no help"
done
