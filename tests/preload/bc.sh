#!/bin/sh
# SPDX-License-Identifier: MIT
# bc: numbers of thousands of digits, each a block of its own.
. "$(dirname "$0")/lib.sh"
need bc
in_use bc -v

cat >"$scratch/work.bc" <<'END'
scale = 400
4 * a(1)
e(1)
define f(n) { if (n < 2) return 1; return n * f(n - 1) }
f(700)
for (i = 0; i < 3000; i++) { x[i] = i ^ 5; s = s + x[i] / (i + 1) }
s
2 ^ 9000 % 7 ^ 900
END
same_from "$scratch/work.bc" bc -l -q
