#!/bin/sh
# SPDX-License-Identifier: MIT
# The library as a file: what it needs, what it offers, and what a small program pays for it.
. "$(dirname "$0")/lib.sh"
need readelf

readelf -dW "$library" >"$scratch/dynamic"
readelf -lW "$library" >"$scratch/segments"
readelf -VW "$library" >"$scratch/versions"
readelf --dyn-syms -W "$library" >"$scratch/symbols"

# libc alone: whatever else is loaded allocates before we are ready, and costs start-up time.
needed=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' "$scratch/dynamic")
[ "$needed" = libc.so.6 ] || fail "NEEDED is: $needed"

grep -q '(SONAME).*\[libpoolalloc\.so' "$scratch/dynamic" || fail "no SONAME libpoolalloc.so"

# dlclose() must not take away the code that destructors of thread-local data will run.
grep -q '(FLAGS_1).*NODELETE' "$scratch/dynamic" || fail "not marked NODELETE"

# Thread-local data comes out of the static block, of which a dlopen() finds little left.
tls_bytes=$(awk '$1 == "TLS" { print $6 }' "$scratch/segments")
[ "$((${tls_bytes:-0}))" -le 64 ] || fail "$((tls_bytes)) bytes of thread-local data"

# A preloaded malloc that carries a version is passed over without a word.
if grep -q 'Version definition section' "$scratch/versions"; then
    fail "the library defines symbol versions"
fi
awk '$7 != "UND" && $5 != "LOCAL" && $8 != "" && NR > 3 { print $8 }' "$scratch/symbols" |
    sort >"$scratch/exports"
if grep '@' "$scratch/exports"; then
    fail "exports carry versions"
fi
for name in malloc calloc realloc free posix_memalign aligned_alloc malloc_usable_size; do
    grep -qx "$name" "$scratch/exports" || fail "$name is not exported"
done

# Text relocations, an executable stack or writable code are refused by hardened systems.
if grep -q TEXTREL "$scratch/dynamic"; then
    fail "the library has text relocations"
fi
grep 'GNU_STACK' "$scratch/segments" | grep -q 'RW ' || fail "the library wants an executable stack"

# Address space of a program that does next to nothing, in KiB.
preloaded grep -E '^Vm(Peak|Size):' /proc/self/status >"$scratch/status"
[ "$(wc -l <"$scratch/status")" -eq 2 ] || fail "no VmPeak and VmSize in /proc/self/status"
while read -r field kib _; do
    [ "$kib" -lt 100000 ] || fail "$field $kib kB in a program that does next to nothing"
done <"$scratch/status"
